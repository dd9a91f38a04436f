//! A reservation ends when its time is over, and its stock is free for all to see. Reservations of orders do not expire.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Event, Refusal, Slice,
    ids::{LocationId, ReservationId, Sku},
    inventory::{self, ExpireReservation, ReservationNotExpired},
};

use crate::engine::reactor::{Reaction, Reactions, Reactor, Trigger};

pub(crate) static REACTOR: Reactor = Reactor {
    name: "reservation_expiry",
    slices: &[Slice::Inventory],
    table: &[
        Trigger {
            on: &["inventory.StockReserved"],
            reaction: "ExpireReservation when the reservation expires, if it does",
        },
        Trigger {
            on: &["inventory.ReservationReleased", "inventory.ReservationCommitted"],
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
    let Refusal::Inventory(refusal) = refusal else { return None };
    match refusal {
        inventory::Refusal::ReservationNotExpired(ReservationNotExpired { expires_at, .. }) => *expires_at,
        inventory::Refusal::NotOnSale(_)
        | inventory::Refusal::NoLongerOnSale(_)
        | inventory::Refusal::NoPrice(_)
        | inventory::Refusal::InsufficientStock(_)
        | inventory::Refusal::NotOnHand(_)
        | inventory::Refusal::ReservationExists(_)
        | inventory::Refusal::ReservationNotFound(_)
        | inventory::Refusal::ReservationOfOrder(_)
        | inventory::Refusal::ReservationExpired(_)
        | inventory::Refusal::ExpiryInThePast(_)
        | inventory::Refusal::DeltaOutOfRange(_)
        | inventory::Refusal::SameLocation(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    fn reactions(name: &str, rest: &Value) -> Reactions {
        let mut data = json!({ "sku": "oat", "location": "main", "reservation_id": ID, "owner": "me", "quantity": 2 });
        data.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        let event = Event::deserialize(name, data).expect("there is such an event").expect("it has this form");
        let mut reactions = Reactions::default();
        react(&event, DateTime::UNIX_EPOCH, &mut reactions);
        reactions
    }

    #[test]
    fn a_reservation_is_ended_at_its_time_if_it_has_one() {
        let expires_at: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().expect("a time");
        let reserved = reactions("inventory.StockReserved", &json!({ "expires_at": expires_at }));
        let (sku, reservation_id) = ("oat".parse().expect("a SKU"), ID.parse().expect("an id"));
        let location = LocationId::default();
        let expire = Reaction::at(expires_at, ExpireReservation { sku, location, reservation_id });
        assert_eq!(reserved.only(), (format!("oat@main/{ID}").as_str(), Some(&expire)));
        assert!(reactions("inventory.StockReserved", &json!({})).is_empty(), "one of an order lasts");
    }

    #[test]
    fn a_reservation_that_has_ended_has_no_timer() {
        let key = format!("oat@main/{ID}");
        let released = reactions("inventory.ReservationReleased", &json!({ "cause": "given_up" }));
        assert_eq!(released.only(), (key.as_str(), None));
        assert_eq!(reactions("inventory.ReservationCommitted", &json!({})).only(), (key.as_str(), None));
    }
}
