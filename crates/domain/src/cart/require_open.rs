//! What every change of a cart asks first: whether the cart is open.

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;

use super::{Cart, OpenedCart};
use crate::{
    Context, Rejection, Streams,
    ids::{CartId, OrderId},
};

refusals! {
    /// There is no such cart.
    "cart_not_found" CartNotFound: NotFound at "cart_id" = "there is no cart {cart_id}", {
        /// The cart.
        cart_id: CartId,
    }
    /// The cart was checked out, merged or abandoned.
    "cart_closed" CartClosed: Rule at "cart_id" = "cart {cart_id} is closed: it was {how}{}"
        (order_id.map(|id| format!(", as order {id}")).or_else(|| into.map(|id| format!(", into cart {id}"))).unwrap_or_default()), {
        /// The cart.
        cart_id: CartId,
        /// What ended it: `checked out`, `merged` or `abandoned`.
        how: String,
        /// The order that it became.
        #[serde(skip_serializing_if = "Option::is_none")]
        order_id: Option<OrderId>,
        /// The cart that has its lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        into: Option<CartId>,
    }
    /// The cart was not changed for too long.
    "cart_expired" CartExpiredAt: Rule at "cart_id" = "cart {cart_id} expired at {expired_at}", {
        /// The cart.
        cart_id: CartId,
        /// When it expired.
        expired_at: DateTime<Utc>,
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
        Cart::CheckedOut { order_id, .. } => {
            Err(CartClosed { cart_id, how: "checked out".to_owned(), order_id: Some(*order_id), into: None }.into())
        }
        Cart::Merged { into, .. } => {
            Err(CartClosed { cart_id, how: "merged".to_owned(), order_id: None, into: Some(*into) }.into())
        }
        Cart::Abandoned { .. } => {
            Err(CartClosed { cart_id, how: "abandoned".to_owned(), order_id: None, into: None }.into())
        }
        Cart::Expired { expired_at, .. } => Err(CartExpiredAt { cart_id, expired_at: *expired_at }.into()),
        Cart::Open(cart) => Ok(cart),
    }
}
