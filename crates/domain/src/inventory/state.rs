//! The state of a stock.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Event, StockLevel};
use crate::{
    Fold, Quantity, StreamName,
    ids::{LocationId, ReservationId, ReservationOwner, Sku},
};

/// Names a stock: a SKU at a location.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StockId {
    /// The SKU.
    pub sku: Sku,
    /// The location.
    pub location: LocationId,
}

/// An open claim on stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Whose claim it is.
    pub owner: ReservationOwner,
    /// How many.
    pub quantity: Quantity,
    /// Until when it holds; for ever when absent.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Reservation {
    /// Whether it has expired at `now`. From the instant at which it expires, it does not hold any more.
    #[must_use]
    pub fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// How much of a SKU a location holds, and who has a claim on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stock {
    /// How many units the location holds.
    pub on_hand: i64,
    /// How many of them are claimed.
    pub reserved: i64,
    /// Whether more may be claimed than the location holds.
    pub backorders: bool,
    /// The open claims.
    pub reservations: BTreeMap<ReservationId, Reservation>,
    /// The reservations that expire, the next one first.
    pub(super) expiries: BTreeSet<(DateTime<Utc>, ReservationId)>,
}

impl Stock {
    /// What it holds and has claimed at `now`.
    #[must_use]
    pub fn level(&self, now: DateTime<Utc>) -> StockLevel {
        let lapsed = self.expired(now).map(|(_, reservation)| reservation.quantity.signed()).sum();
        StockLevel { on_hand: self.on_hand, reserved: self.reserved, lapsed, backorders: self.backorders }
    }

    /// The reservations that have [expired](Reservation::has_expired) at `now`, the oldest first.
    pub fn expired(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&ReservationId, &Reservation)> {
        self.expiries
            .iter()
            .take_while(move |(expires_at, _)| *expires_at <= now)
            .filter_map(|(_, id)| self.reservations.get_key_value(id))
    }

    fn end(&mut self, id: ReservationId) -> Option<Reservation> {
        let reservation = self.reservations.remove(&id)?;
        self.reserved = self.reserved.saturating_sub(reservation.quantity.signed());
        if let Some(expires_at) = reservation.expires_at {
            self.expiries.remove(&(expires_at, id));
        }
        Some(reservation)
    }
}

impl Fold for Stock {
    type Id = StockId;
    type Event = Event;

    fn stream(id: &StockId) -> StreamName {
        StreamName::of("stock", format_args!("{}@{}", id.sku, id.location))
    }

    // Sums saturate: a rule keeps them far from the bounds, and folding the past never fails.
    fn evolve(&mut self, event: &Event, _at: DateTime<Utc>) {
        match event {
            Event::StockReceived(e) => self.on_hand = self.on_hand.saturating_add(e.quantity.signed()),
            Event::StockAdjusted(e) => self.on_hand = self.on_hand.saturating_add(i64::from(e.delta)),
            Event::StockTransferredIn(e) => self.on_hand = self.on_hand.saturating_add(e.quantity.signed()),
            Event::StockTransferredOut(e) => self.on_hand = self.on_hand.saturating_sub(e.quantity.signed()),
            Event::StockReserved(e) => {
                self.reserved = self.reserved.saturating_add(e.quantity.signed());
                if let Some(expires_at) = e.expires_at {
                    self.expiries.insert((expires_at, e.reservation_id));
                }
                let (owner, quantity, expires_at) = (e.owner.clone(), e.quantity, e.expires_at);
                self.reservations.insert(e.reservation_id, Reservation { owner, quantity, expires_at });
            }
            Event::ReservationReleased(e) => {
                self.end(e.reservation_id);
            }
            Event::ReservationCommitted(e) => {
                if let Some(reservation) = self.end(e.reservation_id) {
                    self.on_hand = self.on_hand.saturating_sub(reservation.quantity.signed());
                }
            }
            Event::BackordersAllowed(_) => self.backorders = true,
            Event::BackordersForbidden(_) => self.backorders = false,
        }
    }

    fn heap_size(&self) -> usize {
        160 * self.reservations.len() + 48 * self.expiries.len()
    }
}
