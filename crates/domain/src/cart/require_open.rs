//! What every change of a cart asks first: whether the cart is open.

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;

use super::{Cart, OpenedCart};
use crate::{Context, Rejection, Streams, ids::CartId};

refusals! {
    /// There is no such cart.
    "cart_not_found" CartNotFound: NotFound at "cart_id" = "there is no cart {cart_id}", {
        /// The cart.
        cart_id: CartId,
    }
    /// The cart was checked out, merged or abandoned.
    "cart_closed" CartClosed: Rule at "cart_id" = "cart {cart_id} is closed: it was {how}", {
        /// The cart.
        cart_id: CartId,
        /// What ended it: `checked out`, `merged` or `abandoned`.
        how: String,
    }
    /// The cart was not changed for too long.
    "cart_expired" CartExpiredAt: Rule at "cart_id" = "cart {cart_id} expired at {expired_at}", {
        /// The cart.
        cart_id: CartId,
        /// When it expired.
        expired_at: DateTime<Utc>,
    }
}

impl CartClosed {
    pub(super) fn of(cart_id: CartId, how: &str) -> Self {
        Self { cart_id, how: how.to_owned() }
    }
}

/// The cart, if it can be changed now.
pub(crate) fn require_open<'a>(
    cart_id: CartId,
    context: &Context,
    streams: &Streams<'a>,
) -> Result<&'a OpenedCart, Rejection> {
    let cart = require_not_ended(cart_id, streams)?;
    if cart.is_expired(context.now) {
        return Err(CartExpiredAt { cart_id, expired_at: cart.expires_at() }.into());
    }
    Ok(cart)
}

/// The cart, if no event has ended it. Its time may be over.
pub(super) fn require_not_ended<'a>(cart_id: CartId, streams: &Streams<'a>) -> Result<&'a OpenedCart, Rejection> {
    match streams.get::<Cart>(&cart_id)? {
        Cart::Absent => Err(CartNotFound { cart_id }.into()),
        Cart::CheckedOut { .. } => Err(CartClosed::of(cart_id, "checked out").into()),
        Cart::Merged { .. } => Err(CartClosed::of(cart_id, "merged").into()),
        Cart::Abandoned { .. } => Err(CartClosed::of(cart_id, "abandoned").into()),
        Cart::Expired { expired_at, .. } => Err(CartExpiredAt { cart_id, expired_at: *expired_at }.into()),
        Cart::Open(cart) => Ok(cart),
    }
}
