//! A cart ends when it was not changed for too long.
//!
//! A timer is set once, when the cart is opened. When it is due and the cart was changed since, the refusal says when the cart
//! expires now, and the timer waits until then. So a change of a cart costs no write here.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Event, Refusal, Slice,
    cart::{self, CartNotExpired, ExpireCart, policy},
};

use crate::engine::reactor::{Reaction, Reactions, Reactor, Trigger};

pub(crate) static REACTOR: Reactor = Reactor {
    name: "cart_expiry",
    slices: &[Slice::Cart],
    table: &[
        Trigger {
            on: &["cart.CartOpened"],
            reaction: "ExpireCart when the lifetime of the cart is over. A cart that was changed is asked again when it expires now",
        },
        Trigger {
            on: &["cart.CartCheckedOut", "cart.CartMergedInto", "cart.CartAbandoned", "cart.CartExpired"],
            reaction: "the timer is cancelled",
        },
    ],
    react,
    again_at,
};

fn react(event: &Event, at: DateTime<Utc>, reactions: &mut Reactions) {
    let Event::Cart(event) = event else { return };
    let key = event.cart_id().to_string();
    match event {
        cart::Event::CartOpened(e) => {
            let expires_at = policy::expires_at(e.customer_id, at);
            reactions.set(key, Reaction::at(expires_at, ExpireCart { cart_id: e.cart_id }));
        }
        cart::Event::CartMergedInto(_)
        | cart::Event::CartAbandoned(_)
        | cart::Event::CartExpired(_)
        | cart::Event::CartCheckedOut(_) => reactions.cancel(key),
        cart::Event::LineAdded(_)
        | cart::Event::QuantityChanged(_)
        | cart::Event::LineRemoved(_)
        | cart::Event::CartMerged(_) => {}
    }
}

fn again_at(refusal: &Refusal) -> Option<DateTime<Utc>> {
    let Refusal::Cart(refusal) = refusal else { return None };
    match refusal {
        cart::Refusal::CartNotExpired(CartNotExpired { expires_at, .. }) => Some(*expires_at),
        cart::Refusal::CartExists(_)
        | cart::Refusal::CartNotFound(_)
        | cart::Refusal::CartNotYours(_)
        | cart::Refusal::CartClosed(_)
        | cart::Refusal::CartExpiredAt(_)
        | cart::Refusal::NoLines(_)
        | cart::Refusal::TooManyNewLines(_)
        | cart::Refusal::TooManyLines(_)
        | cart::Refusal::QuantityTooLarge(_)
        | cart::Refusal::LineNotFound(_)
        | cart::Refusal::MergeIntoItself(_)
        | cart::Refusal::OwnersDiffer(_)
        | cart::Refusal::CartsDiffer(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CART: &str = "00000000-0000-0000-0000-000000000001";

    fn reactions(name: &str, rest: &Value) -> Reactions {
        let mut data = json!({ "cart_id": CART });
        data.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        let event = Event::deserialize(name, data).expect("there is such an event").expect("it has this form");
        let mut reactions = Reactions::default();
        react(&event, DateTime::UNIX_EPOCH, &mut reactions);
        reactions
    }

    #[test]
    fn a_cart_that_is_opened_is_asked_when_its_lifetime_is_over() {
        let open = |rest: Value| {
            let reactions = reactions("cart.CartOpened", &rest);
            let (key, reaction) = reactions.only();
            (key.to_owned(), reaction.expect("it is set").clone())
        };
        let cart_id = CART.parse().expect("an id");
        let asked = |lifetime| (CART.to_owned(), Reaction::at(DateTime::UNIX_EPOCH + lifetime, ExpireCart { cart_id }));
        let guests = json!({ "channel": "web", "currency": "EUR" });
        assert_eq!(open(guests), asked(policy::GUEST_CART_LIFETIME));
        let customers = json!({ "channel": "web", "currency": "EUR", "customer_id": CART });
        assert_eq!(open(customers), asked(policy::CUSTOMER_CART_LIFETIME));
    }

    #[test]
    fn a_cart_that_has_ended_is_not_asked_and_a_change_costs_nothing() {
        let ended = [
            ("cart.CartAbandoned", json!({})),
            ("cart.CartMergedInto", json!({ "into": CART })),
            ("cart.CartCheckedOut", json!({ "order_id": CART })),
            ("cart.CartExpired", json!({ "expired_at": "2026-03-01T12:00:00Z" })),
        ];
        for (name, rest) in ended {
            assert_eq!(reactions(name, &rest).only(), (CART, None), "{name}");
        }
        assert!(reactions("cart.QuantityChanged", &json!({ "sku": "oat", "quantity": 2 })).is_empty());
    }
}
