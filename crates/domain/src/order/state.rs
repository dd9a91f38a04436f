//! The state of an order.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Event, OrderImported, OrderPlaced, Totals, moves::Phase};
use crate::{
    Currency, Fold, Quantity, StreamName,
    ids::{Channel, CustomerId, ExternalRef, LocationId, OrderId, ReservationId, Sku},
};

/// What an order has to remember of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedLine {
    /// The SKU.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// Where the goods come from and by which claim; absent for imported orders.
    pub reserved: Option<(LocationId, ReservationId)>,
}

/// How far an order is, with what each phase knows. Beside notes it is all that changes in an order, so it can be followed
/// without the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Progress {
    /// See [`Phase::Placed`].
    Placed,
    /// See [`Phase::Confirmed`].
    Confirmed,
    /// See [`Phase::Held`].
    Held {
        /// The phase that it was held in, and goes on from.
        held_in: Phase,
    },
    /// See [`Phase::InFulfilment`].
    InFulfilment,
    /// See [`Phase::Shipped`].
    Shipped,
    /// See [`Phase::Delivered`].
    Delivered,
    /// See [`Phase::Cancelled`].
    Cancelled,
    /// See [`Phase::Returned`].
    Returned,
    /// See [`Phase::Refunded`].
    Refunded,
}

impl Progress {
    /// An order that was just placed.
    pub const PLACED: Self = Self::Placed;
    /// An order that was imported: the customer has had the goods for long.
    pub const IMPORTED: Self = Self::Delivered;

    /// The progress of a phase; `held_in` says where a held order goes on from.
    #[must_use]
    pub fn new(phase: Phase, held_in: Option<Phase>) -> Self {
        match phase {
            Phase::Placed => Self::Placed,
            Phase::Confirmed => Self::Confirmed,
            Phase::Held => Self::Held { held_in: held_in.unwrap_or(Phase::Placed) },
            Phase::InFulfilment => Self::InFulfilment,
            Phase::Shipped => Self::Shipped,
            Phase::Delivered => Self::Delivered,
            Phase::Cancelled => Self::Cancelled,
            Phase::Returned => Self::Returned,
            Phase::Refunded => Self::Refunded,
        }
    }

    /// The name of the phase.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::Placed => Phase::Placed,
            Self::Confirmed => Phase::Confirmed,
            Self::Held { .. } => Phase::Held,
            Self::InFulfilment => Phase::InFulfilment,
            Self::Shipped => Phase::Shipped,
            Self::Delivered => Phase::Delivered,
            Self::Cancelled => Phase::Cancelled,
            Self::Returned => Phase::Returned,
            Self::Refunded => Phase::Refunded,
        }
    }

    /// The phase that a held order goes on from.
    #[must_use]
    pub const fn held_in(self) -> Option<Phase> {
        match self {
            Self::Held { held_in } => Some(held_in),
            Self::Placed
            | Self::Confirmed
            | Self::InFulfilment
            | Self::Shipped
            | Self::Delivered
            | Self::Cancelled
            | Self::Returned
            | Self::Refunded => None,
        }
    }

    /// How far the order is after an event.
    #[must_use]
    pub fn after(self, event: &Event) -> Self {
        match event {
            Event::OrderPlaced(_) => Self::PLACED,
            Event::OrderImported(_) => Self::IMPORTED,
            Event::OrderHeld(_) => Self::Held { held_in: self.held_in().unwrap_or_else(|| self.phase()) },
            Event::OrderResumed(_) => Self::new(self.held_in().unwrap_or(Phase::Placed), None),
            Event::OrderConfirmed(_) => Self::Confirmed,
            Event::FulfilmentStarted(_) => Self::InFulfilment,
            Event::OrderShipped(_) => Self::Shipped,
            Event::OrderDelivered(_) => Self::Delivered,
            Event::OrderCancelled(_) => Self::Cancelled,
            Event::OrderReturned(_) => Self::Returned,
            Event::OrderRefunded(_) => Self::Refunded,
            Event::NoteAdded(_) => self,
        }
    }
}

/// An order that was placed or imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Whose order it is; absent for a guest's order, and for an imported order of no known customer.
    pub customer_id: Option<CustomerId>,
    /// The reference of an imported order in its original system.
    pub external_ref: Option<ExternalRef>,
    /// The channel it came through.
    pub channel: Channel,
    /// The currency of its amounts.
    pub currency: Currency,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// Its lines.
    pub lines: Vec<RecordedLine>,
    /// A digest of what was paid for each line of an imported order, which says whether another import says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines_digest: Option<Uuid>,
    /// What it comes to; set once.
    pub totals: Totals,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
    /// How many notes staff have written.
    pub notes: u32,
}

/// An order, or the absence of one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Order {
    /// It was placed or imported.
    Existing(OrderRecord),
    /// Nothing has happened yet.
    #[default]
    Absent,
}

impl Order {
    /// The order, if there is one.
    #[must_use]
    pub const fn record(&self) -> Option<&OrderRecord> {
        match self {
            Self::Existing(record) => Some(record),
            Self::Absent => None,
        }
    }
}

impl Fold for Order {
    type Id = OrderId;
    type Event = Event;

    fn stream(id: &OrderId) -> StreamName {
        StreamName::of("order", id)
    }

    fn evolve(&mut self, event: &Event, _at: DateTime<Utc>) {
        match (event, &mut *self) {
            (Event::OrderPlaced(e), _) => *self = Self::Existing(OrderRecord::placed(e)),
            (Event::OrderImported(e), _) => *self = Self::Existing(OrderRecord::imported(e)),
            (event, Self::Existing(order)) => order.evolve(event),
            (_, Self::Absent) => {}
        }
    }

    fn heap_size(&self) -> usize {
        self.record().map_or(0, |order| 256 + 96 * order.lines.len())
    }
}

/// The namespace of digests of lines (a random UUID, fixed for ever).
const LINES: Uuid = Uuid::from_u128(0x9f0e_61b7_4c3d_4d58_9a20_c1f7_3be8_5d42);

/// A digest of lines: of each the SKU, the quantity, what was paid, and the discount.
pub(super) fn lines_digest<'l>(lines: impl IntoIterator<Item = (&'l Sku, i64, i64, i64)>) -> Uuid {
    let mut text = String::new();
    for (sku, quantity, paid, discount) in lines {
        text += &format!("{sku}\t{quantity}\t{paid}\t{discount}\n");
    }
    Uuid::new_v5(&LINES, text.as_bytes())
}

impl OrderRecord {
    fn placed(e: &OrderPlaced) -> Self {
        let lines = e.lines.iter().map(|line| RecordedLine {
            sku: line.sku.clone(),
            quantity: line.quantity,
            reserved: Some((line.location.clone(), line.reservation_id)),
        });
        Self {
            customer_id: e.customer_id,
            external_ref: None,
            channel: e.channel.clone(),
            currency: e.currency,
            placed_at: e.placed_at,
            lines: lines.collect(),
            lines_digest: None,
            totals: e.totals.clone(),
            progress: Progress::PLACED,
            notes: 0,
        }
    }

    fn imported(e: &OrderImported) -> Self {
        let paid = e
            .lines
            .iter()
            .map(|line| (&line.sku, line.quantity.signed(), line.line_total.minor_units, line.discount.minor_units));
        let lines =
            e.lines.iter().map(|line| RecordedLine { sku: line.sku.clone(), quantity: line.quantity, reserved: None });
        Self {
            customer_id: e.customer_id,
            external_ref: Some(e.external_ref.clone()),
            channel: e.channel.clone(),
            currency: e.currency,
            placed_at: e.placed_at,
            lines: lines.collect(),
            lines_digest: Some(lines_digest(paid)),
            totals: e.totals.clone(),
            progress: Progress::IMPORTED,
            notes: 0,
        }
    }

    fn evolve(&mut self, event: &Event) {
        if let Event::NoteAdded(_) = event {
            self.notes = self.notes.saturating_add(1);
        }
        self.progress = self.progress.after(event);
    }
}
