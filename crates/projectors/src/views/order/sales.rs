//! What sales figures count. An order counts in the quarter-hour in which it was placed, until it is cancelled. Its cancellation, its
//! return and its refund count in the quarter-hour in which each happened. A view of sales keeps a row per order that says what it
//! contributes; when that changes, the difference goes to the sums.
//!
//! Sums are kept by quarter-hours, because the days of every time zone in use consist of whole ones (`Asia/Kathmandu` is at +05:45).

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Money, Quantity,
    ids::{CustomerId, OrderId, Sku},
    order::{self, Totals},
};
use daybook_event_stream::EffectError;
use serde::{Deserialize, Serialize};

use super::header::{FirstEvent, OrderHeader, order_id};
use crate::engine::{
    recorded::Recorded,
    store::{Row, Store, Sum},
};

/// An order that was placed.
pub(super) struct Sale {
    pub(super) order_id: OrderId,
    /// The quarter-hour in which it was placed.
    pub(super) placed: i64,
    pub(super) currency: Currency,
    pub(super) customer_id: Option<CustomerId>,
    pub(super) totals: Totals,
    pub(super) lines: Vec<SoldLine>,
}

/// A line of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::views) struct SoldLine {
    pub(super) sku: Sku,
    pub(super) units: i64,
    pub(super) gross: i64,
    pub(super) net: i64,
}

impl SoldLine {
    /// Adds another line of the same SKU.
    pub(super) fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.gross = self.gross.saturating_add(other.gross);
        self.net = self.net.saturating_add(other.net);
    }
}

/// A row per order that says what the order adds to sums.
pub(super) trait Contribution: Row {
    /// The rows of sums.
    type Sum: Sum;

    /// The key of an order's row.
    fn key_of(order_id: OrderId) -> Self::Key;

    /// What an order contributes from now on.
    fn of(sale: Sale) -> Self;

    /// Notes the quarter-hour in which something happened to the order.
    fn note(&mut self, milestone: Milestone, quarter_hour: i64);

    /// What the order adds to sums, `times` so often. An order that does not count still makes its sums, so that the table does not
    /// depend on how events came in batches.
    fn parts(&self, times: i64) -> Vec<Self::Sum>;
}

/// What happens to an order that sales figures count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Milestone {
    /// It was called off, and does not count any more.
    Cancelled,
    /// The goods came back.
    Returned,
    /// The money went back.
    Refunded,
}

/// The quarter-hour of a time: the number of quarter-hours since 1970 began in UTC.
pub(super) fn quarter_hour(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(15 * 60)
}

/// Projects events into the contributions of their orders, and from there into the sums.
pub(super) async fn project<C: Contribution>(store: &Store<'_>, events: &[Recorded]) -> Result<(), EffectError> {
    let key = |recorded: &Recorded| {
        SalesEvent::of(&recorded.event)?;
        order_id(recorded).map(C::key_of)
    };
    let changes = store.changes(events, key, fold::<C>).await?;
    let mut parts = Vec::with_capacity(changes.len());
    for (before, after) in changes {
        for (row, times) in [(before, -1), (after, 1)] {
            parts.extend(row.into_iter().flat_map(|row| row.parts(times)));
        }
    }
    store.add(parts).await
}

/// What an event changes in the sales figures.
enum SalesEvent<'e> {
    /// An order counts from now on.
    Begun(FirstEvent<'e>),
    /// Something else happened to it that counts.
    Noted(Milestone),
}

impl<'e> SalesEvent<'e> {
    /// None for an event that changes nothing.
    fn of(event: &'e Event) -> Option<Self> {
        let Event::Order(event) = event else { return None };
        match event {
            order::Event::OrderPlaced(e) => Some(Self::Begun(FirstEvent::Placed(e))),
            order::Event::OrderImported(e) => Some(Self::Begun(FirstEvent::Imported(e))),
            order::Event::OrderCancelled(_) => Some(Self::Noted(Milestone::Cancelled)),
            order::Event::OrderReturned(_) => Some(Self::Noted(Milestone::Returned)),
            order::Event::OrderRefunded(_) => Some(Self::Noted(Milestone::Refunded)),
            order::Event::OrderConfirmed(_)
            | order::Event::OrderHeld(_)
            | order::Event::OrderResumed(_)
            | order::Event::FulfilmentStarted(_)
            | order::Event::OrderShipped(_)
            | order::Event::OrderDelivered(_)
            | order::Event::NoteAdded(_) => None,
        }
    }
}

fn fold<C: Contribution>(row: Option<C>, recorded: &Recorded) -> Option<C> {
    match SalesEvent::of(&recorded.event) {
        Some(SalesEvent::Begun(first)) => Some(C::of(sale(first))),
        Some(SalesEvent::Noted(milestone)) => row.map(|mut row| {
            row.note(milestone, quarter_hour(recorded.record.effective_at));
            row
        }),
        None => row,
    }
}

fn sale(first: FirstEvent<'_>) -> Sale {
    let header = OrderHeader::of(first);
    let lines = match first {
        FirstEvent::Placed(e) => {
            e.lines.iter().map(|line| sold(&line.sku, line.quantity, line.line_total, 0)).collect()
        }
        FirstEvent::Imported(e) => e
            .lines
            .iter()
            .map(|line| sold(&line.sku, line.quantity, line.line_total, line.discount.minor_units))
            .collect(),
    };
    Sale {
        order_id: header.order_id,
        placed: quarter_hour(header.placed_at),
        currency: header.currency,
        customer_id: header.customer_id,
        totals: header.totals.clone(),
        lines,
    }
}

fn sold(sku: &Sku, quantity: Quantity, total: Money, discount: i64) -> SoldLine {
    let net = total.minor_units;
    SoldLine { sku: sku.clone(), units: quantity.signed(), gross: net.saturating_add(discount), net }
}
