//! A cart ends when it was not changed for too long.
//!
//! A timer is set once, when the cart is opened. When it is due and the cart was changed since, the refusal says when the cart
//! expires now, and the timer waits until then. So a change of a cart costs no write here.

use chrono::{DateTime, TimeDelta, Utc};
use daybook_domain::{
    Event, Refusal, Slice,
    cart::{self, CartNotExpired, ExpireCart, policy},
};

use crate::engine::{Reaction, Reactions, Reactor, Trigger};

pub(crate) static REACTOR: Reactor = Reactor {
    name: "cart_expiry",
    slices: &[Slice::Cart],
    table: &[
        Trigger { on: "cart.CartOpened", reaction: "ExpireCart when the lifetime of the cart is over" },
        Trigger {
            on: "cart.CartCheckedOut, cart.CartMergedInto, cart.CartAbandoned, cart.CartExpired",
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
            let is_customers = e.customer_id.is_some();
            let lifetime = if is_customers { policy::CUSTOMER_CART_LIFETIME } else { policy::GUEST_CART_LIFETIME };
            reactions.set(key, Reaction::at(add(at, lifetime), ExpireCart { cart_id: e.cart_id }));
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
    match refusal {
        Refusal::Cart(cart::Refusal::CartNotExpired(CartNotExpired { expires_at, .. })) => Some(*expires_at),
        _ => None,
    }
}

fn add(at: DateTime<Utc>, lifetime: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(lifetime).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
