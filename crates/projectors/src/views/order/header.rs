//! The order header: what views of orders take from the first event of an order, whether it was placed here or imported.

use chrono::{DateTime, SubsecRound, Utc};
use daybook_domain::{
    Currency, Event,
    ids::{CartId, Channel, CustomerId, ExternalRef, OrderId},
    order::{self, Progress, Totals},
};

use crate::engine::{
    recorded::Recorded,
    store::{SECOND_DIGITS, Verbatim},
};

/// The order that an event is about.
pub(super) fn order_id(recorded: &Recorded) -> Option<OrderId> {
    let Event::Order(event) = &recorded.event else { return None };
    Some(event.order_id())
}

/// What is known of an order from its first event.
pub(super) struct OrderHeader<'e> {
    pub(super) order_id: OrderId,
    pub(super) customer_id: Option<CustomerId>,
    pub(super) cart_id: Option<CartId>,
    pub(super) external_ref: Option<&'e ExternalRef>,
    pub(super) channel: &'e Channel,
    pub(super) currency: Currency,
    pub(super) placed_at: DateTime<Utc>,
    pub(super) totals: &'e Totals,
    pub(super) units: i64,
    pub(super) progress: Progress,
}

impl<'e> OrderHeader<'e> {
    /// The order that an event begins, if it begins one.
    pub(super) fn of(event: &'e Event) -> Option<Self> {
        Some(match event {
            Event::Order(order::Event::OrderPlaced(e)) => Self {
                order_id: e.order_id,
                customer_id: e.customer_id,
                cart_id: Some(e.cart_id),
                external_ref: None,
                channel: &e.channel,
                currency: e.currency,
                placed_at: e.placed_at.trunc_subsecs(SECOND_DIGITS),
                totals: &e.totals,
                units: e.lines.iter().map(|line| line.quantity.signed()).sum(),
                progress: Progress::PLACED,
            },
            Event::Order(order::Event::OrderImported(e)) => Self {
                order_id: e.order_id,
                customer_id: e.customer_id,
                cart_id: None,
                external_ref: Some(&e.external_ref),
                channel: &e.channel,
                currency: e.currency,
                placed_at: e.placed_at.trunc_subsecs(SECOND_DIGITS),
                totals: &e.totals,
                units: e.lines.iter().map(|line| line.quantity.signed()).sum(),
                progress: Progress::IMPORTED,
            },
            _ => return None,
        })
    }
}

/// The lines of the order that an event begins, as they were agreed.
pub(super) fn lines(event: &Event) -> Option<Verbatim> {
    match event {
        Event::Order(order::Event::OrderPlaced(e)) => Some(Verbatim::of(&e.lines)),
        Event::Order(order::Event::OrderImported(e)) => Some(Verbatim::of(&e.lines)),
        _ => None,
    }
}
