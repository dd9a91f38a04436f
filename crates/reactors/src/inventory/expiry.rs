//! A reservation ends when its time is over, and its stock is free for all to see. Reservations of orders do not expire.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Event, Refusal, Slice,
    ids::{LocationId, ReservationId, Sku},
    inventory::{self, ExpireReservation, ReservationNotExpired},
};

use crate::engine::{Reaction, Reactions, Reactor, Trigger};

pub(crate) static REACTOR: Reactor = Reactor {
    name: "reservation_expiry",
    slices: &[Slice::Inventory],
    table: &[
        Trigger { on: "inventory.StockReserved with expires_at", reaction: "ExpireReservation at expires_at" },
        Trigger {
            on: "inventory.ReservationReleased, inventory.ReservationCommitted",
            reaction: "the timer is cancelled",
        },
    ],
    react,
    again_at,
};

fn react(event: &Event, _at: DateTime<Utc>, reactions: &mut Reactions) {
    let Event::Inventory(event) = event else { return };
    match event {
        inventory::Event::StockReserved(e) => {
            let Some(expires_at) = e.expires_at else { return };
            let (sku, location, reservation_id) = (e.sku.clone(), e.location.clone(), e.reservation_id);
            let key = key(&sku, &location, reservation_id);
            reactions.set(key, Reaction::at(expires_at, ExpireReservation { sku, location, reservation_id }));
        }
        inventory::Event::ReservationReleased(e) => reactions.cancel(key(&e.sku, &e.location, e.reservation_id)),
        inventory::Event::ReservationCommitted(e) => reactions.cancel(key(&e.sku, &e.location, e.reservation_id)),
        inventory::Event::StockReceived(_)
        | inventory::Event::StockAdjusted(_)
        | inventory::Event::StockTransferredOut(_)
        | inventory::Event::StockTransferredIn(_)
        | inventory::Event::BackordersAllowed(_)
        | inventory::Event::BackordersForbidden(_) => {}
    }
}

/// A reservation has its id for one stock only.
fn key(sku: &Sku, location: &LocationId, id: ReservationId) -> String {
    format!("{sku}@{location}/{id}")
}

fn again_at(refusal: &Refusal) -> Option<DateTime<Utc>> {
    match refusal {
        Refusal::Inventory(inventory::Refusal::ReservationNotExpired(ReservationNotExpired { expires_at, .. })) => {
            *expires_at
        }
        _ => None,
    }
}
