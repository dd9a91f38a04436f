//! The order header: what views of orders take from the first event of an order, whether it was placed here or imported.

use chrono::{DateTime, SubsecRound, Utc};
use daybook_domain::{
    Currency, Event,
    ids::{CartId, Channel, CustomerId, ExternalRef, OrderId},
    order::{self, OrderImported, OrderPlaced, Progress, Totals},
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

/// The first event of an order.
#[derive(Clone, Copy)]
pub(super) enum FirstEvent<'e> {
    /// It was placed here.
    Placed(&'e OrderPlaced),
    /// It was imported.
    Imported(&'e OrderImported),
}

impl<'e> FirstEvent<'e> {
    /// An event as the first one of its order, if it is one.
    pub(super) fn of(event: &'e Event) -> Option<Self> {
        let Event::Order(event) = event else { return None };
        match event {
            order::Event::OrderPlaced(e) => Some(Self::Placed(e)),
            order::Event::OrderImported(e) => Some(Self::Imported(e)),
            order::Event::OrderConfirmed(_)
            | order::Event::OrderHeld(_)
            | order::Event::OrderResumed(_)
            | order::Event::FulfilmentStarted(_)
            | order::Event::OrderShipped(_)
            | order::Event::OrderDelivered(_)
            | order::Event::OrderCancelled(_)
            | order::Event::OrderReturned(_)
            | order::Event::OrderRefunded(_)
            | order::Event::NoteAdded(_) => None,
        }
    }

    /// The lines of the order, as they were agreed.
    pub(super) fn lines(self) -> Verbatim {
        match self {
            Self::Placed(e) => Verbatim::of(&e.lines),
            Self::Imported(e) => Verbatim::of(&e.lines),
        }
    }
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
    /// What the first event of an order says.
    pub(super) fn of(first: FirstEvent<'e>) -> Self {
        match first {
            FirstEvent::Placed(e) => Self {
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
            FirstEvent::Imported(e) => Self {
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
        }
    }
}
