//! What an order stream comes to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Currency, Event, Fold, Quantity, State, StreamName,
    ids::{Channel, CustomerId, LocationId, OrderId, ReservationId, Sku},
    order::{event::Totals, moves::Phase},
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

/// How far an order is. Beside notes it is all that changes in an order, so it can be followed without the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How far.
    pub phase: Phase,
    /// How far it was when it was held.
    pub held_in: Option<Phase>,
}

impl Progress {
    /// How far an order is that begins in a phase.
    #[must_use]
    pub const fn at(phase: Phase) -> Self {
        Self { phase, held_in: None }
    }

    /// How far it is after an event.
    #[must_use]
    pub fn after(self, event: &Event) -> Self {
        let phase = match event {
            Event::OrderPlaced(_) => return Self::at(Phase::Placed),
            Event::OrderImported(_) => return Self::at(Phase::Delivered),
            Event::OrderHeld(_) => return Self { phase: Phase::Held, held_in: Some(self.phase) },
            Event::OrderResumed(_) => return Self::at(self.held_in.unwrap_or(Phase::Placed)),
            Event::OrderConfirmed(_) => Phase::Confirmed,
            Event::FulfilmentStarted(_) => Phase::InFulfilment,
            Event::OrderShipped(_) => Phase::Shipped,
            Event::OrderDelivered(_) => Phase::Delivered,
            Event::OrderCancelled(_) => Phase::Cancelled,
            Event::OrderReturned(_) => Phase::Returned,
            Event::OrderRefunded(_) => Phase::Refunded,
            _ => return self,
        };
        Self { phase, ..self }
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Whose order it is; a guest's when absent.
    pub customer_id: Option<CustomerId>,
    /// The channel it came through.
    pub channel: Channel,
    /// The currency of its amounts.
    pub currency: Currency,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// Its lines.
    pub lines: Vec<RecordedLine>,
    /// What it comes to; set once.
    pub totals: Totals,
    /// How far it is.
    pub phase: Phase,
    /// How far it was when it was held.
    pub held_in: Option<Phase>,
    /// How many notes staff have written.
    pub notes: u32,
}

/// An order, or the absence of one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Order(pub Option<OrderRecord>);

impl Fold for Order {
    type Id = OrderId;

    fn stream(id: &OrderId) -> StreamName {
        StreamName::of("order", id)
    }

    fn evolve(&mut self, event: &Event, _at: DateTime<Utc>) {
        match (event, &mut self.0) {
            (Event::OrderPlaced(e), _) => {
                let lines = e.lines.iter().map(|line| RecordedLine {
                    sku: line.sku.clone(),
                    quantity: line.quantity,
                    reserved: Some((line.location.clone(), line.reservation_id)),
                });
                self.0 = Some(OrderRecord {
                    customer_id: e.customer_id.clone(),
                    channel: e.channel.clone(),
                    currency: e.currency,
                    placed_at: e.placed_at,
                    lines: lines.collect(),
                    totals: e.totals.clone(),
                    phase: Phase::Placed,
                    held_in: None,
                    notes: 0,
                });
            }
            (Event::OrderImported(e), _) => {
                let lines = e.lines.iter().map(|line| RecordedLine {
                    sku: line.sku.clone(),
                    quantity: line.quantity,
                    reserved: None,
                });
                self.0 = Some(OrderRecord {
                    customer_id: e.customer_id.clone(),
                    channel: e.channel.clone(),
                    currency: e.currency,
                    placed_at: e.placed_at,
                    lines: lines.collect(),
                    totals: e.totals.clone(),
                    phase: Phase::Delivered,
                    held_in: None,
                    notes: 0,
                });
            }
            (event, Some(order)) => order.evolve(event),
            (_, None) => {}
        }
    }

    fn of(state: &State) -> Option<&Self> {
        match state {
            State::Order(order) => Some(order),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        self.0.as_ref().map_or(0, |order| 256 + 96 * order.lines.len())
    }
}

impl OrderRecord {
    fn evolve(&mut self, event: &Event) {
        if let Event::NoteAdded(_) = event {
            self.notes = self.notes.saturating_add(1);
        }
        let progress = Progress { phase: self.phase, held_in: self.held_in };
        Progress { phase: self.phase, held_in: self.held_in } = progress.after(event);
    }
}
