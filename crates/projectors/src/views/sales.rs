//! What sales figures count: an order counts from when it is placed until it is cancelled. Both views of sales keep a row per
//! order that says what it contributes; when it changes, the difference goes to the sums.

use chrono::NaiveDate;
use daybook_domain::{
    Currency, Event,
    ids::{CustomerId, OrderId, Sku},
};

use crate::view::Recorded;

/// What an event does to the contribution of an order.
pub(super) enum Change {
    /// The order contributes this.
    Begins(Box<Sale>),
    /// The order does not count any more.
    Ends,
}

/// An order that was placed.
pub(super) struct Sale {
    pub(super) order_id: OrderId,
    /// The day in UTC on which it was placed.
    pub(super) day: NaiveDate,
    pub(super) currency: Currency,
    pub(super) customer_id: Option<CustomerId>,
    pub(super) gross: i64,
    pub(super) discount: i64,
    pub(super) net: i64,
    pub(super) lines: Vec<SoldLine>,
}

/// A line of it.
pub(super) struct SoldLine {
    pub(super) sku: Sku,
    pub(super) units: i64,
    pub(super) gross: i64,
    pub(super) net: i64,
}

/// What an event does to the contribution of an order, if anything.
pub(super) fn change(recorded: &Recorded) -> Option<Change> {
    match &recorded.event {
        Event::OrderPlaced(e) => Some(Change::Begins(Box::new(Sale {
            order_id: e.order_id,
            day: e.placed_at.date_naive(),
            currency: e.currency,
            customer_id: e.customer_id.clone(),
            gross: e.totals.gross.minor_units,
            discount: e.totals.discount.minor_units,
            net: e.totals.net.minor_units,
            lines: e
                .lines
                .iter()
                .map(|line| SoldLine {
                    sku: line.sku.clone(),
                    units: line.quantity.signed(),
                    gross: line.line_total.minor_units,
                    net: line.line_total.minor_units,
                })
                .collect(),
        }))),
        Event::OrderImported(e) => Some(Change::Begins(Box::new(Sale {
            order_id: e.order_id,
            day: e.placed_at.date_naive(),
            currency: e.currency,
            customer_id: e.customer_id.clone(),
            gross: e.totals.gross.minor_units,
            discount: e.totals.discount.minor_units,
            net: e.totals.net.minor_units,
            lines: e
                .lines
                .iter()
                .map(|line| SoldLine {
                    sku: line.sku.clone(),
                    units: line.quantity.signed(),
                    gross: line.line_total.minor_units.saturating_add(line.discount.minor_units),
                    net: line.line_total.minor_units,
                })
                .collect(),
        }))),
        Event::OrderCancelled(_) => Some(Change::Ends),
        _ => None,
    }
}
