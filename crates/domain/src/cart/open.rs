//! What every change of a cart asks first: is the cart open, and how much may it hold.

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;

use super::{Cart, OpenedCart, policy::MAX_LINES};
use crate::{
    Context, Quantity, Rejection, Streams,
    ids::{CartId, Sku},
};

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
    /// A cart has a bounded number of lines.
    "too_many_lines" TooManyLines: Rule at "lines" = "a cart has at most {limit} lines; it would have {lines}", {
        /// The limit.
        limit: usize,
        /// How many there would be.
        lines: usize,
    }
    /// A line has a bounded quantity.
    "quantity_too_large" QuantityTooLarge: Rule at "quantity" = "there would be {quantity} of SKU {sku}; the limit is {limit}", {
        /// The SKU.
        sku: Sku,
        /// How many there would be.
        quantity: i64,
        /// The limit.
        limit: u32,
        /// The index of the line in the command, where it has lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    }
    /// The cart has no line of that SKU.
    "line_not_found" LineNotFound: Rule at "sku" = "cart {cart_id} has no line of SKU {sku}", {
        /// The cart.
        cart_id: CartId,
        /// The SKU.
        sku: Sku,
    }
}

impl CartClosed {
    pub(super) fn of(cart_id: CartId, how: &str) -> Self {
        Self { cart_id, how: how.to_owned() }
    }
}

/// The cart, if it can be changed now.
pub(crate) fn open_cart<'a>(
    cart_id: CartId,
    context: &Context,
    streams: &Streams<'a>,
) -> Result<&'a OpenedCart, Rejection> {
    match streams.get::<Cart>(&cart_id)? {
        Cart::Absent => Err(CartNotFound { cart_id }.into()),
        Cart::CheckedOut { .. } => Err(CartClosed::of(cart_id, "checked out").into()),
        Cart::Merged { .. } => Err(CartClosed::of(cart_id, "merged").into()),
        Cart::Abandoned { .. } => Err(CartClosed::of(cart_id, "abandoned").into()),
        Cart::Expired { expired_at, .. } => Err(CartExpiredAt { cart_id, expired_at: *expired_at }.into()),
        Cart::Open(cart) if cart.expires_at() <= context.now => {
            Err(CartExpiredAt { cart_id, expired_at: cart.expires_at() }.into())
        }
        Cart::Open(cart) => Ok(cart),
    }
}

/// Checks that a cart does not hold too many lines.
pub(super) fn check_line_count(lines: usize) -> Result<(), TooManyLines> {
    if lines > MAX_LINES { Err(TooManyLines { limit: MAX_LINES, lines }) } else { Ok(()) }
}

/// The sum of two quantities of one SKU, which one line has to hold.
pub(super) fn add_up(
    sku: &Sku,
    before: Option<Quantity>,
    more: Quantity,
    line: Option<usize>,
) -> Result<Quantity, QuantityTooLarge> {
    let Some(before) = before else { return Ok(more) };
    let sum = before.signed() + more.signed();
    before.plus(more).map_err(|_| QuantityTooLarge { sku: sku.clone(), quantity: sum, limit: Quantity::MAX, line })
}
