//! Every limit and lifetime of carts.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{MAX_STREAMS, ids::CustomerId};

/// For how long a guest's cart is kept after its last change.
pub const GUEST_CART_LIFETIME: TimeDelta = TimeDelta::days(7);
/// For how long a customer's cart is kept after its last change.
pub const CUSTOMER_CART_LIFETIME: TimeDelta = TimeDelta::days(30);
/// The most lines of one cart. A checkout reads the cart and the order, and a SKU, a product and a stock for each line; so
/// every cart can be ordered from one location.
pub const MAX_LINES: usize = (MAX_STREAMS - 2) / 3;
/// The most lines that one command adds. Those of one SKU become one line, so this may be more than a cart holds.
pub const MAX_NEW_LINES: usize = 1_000;

/// When a cart that was changed at `touched_at` expires, if it is not changed before.
#[must_use]
pub fn expires_at(customer_id: Option<CustomerId>, touched_at: DateTime<Utc>) -> DateTime<Utc> {
    let lifetime = if customer_id.is_some() { CUSTOMER_CART_LIFETIME } else { GUEST_CART_LIFETIME };
    touched_at.checked_add_signed(lifetime).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
