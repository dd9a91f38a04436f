//! Every limit and lifetime of carts.

use chrono::TimeDelta;

use crate::MAX_STREAMS;

/// For how long a guest's cart is kept after its last change.
pub const GUEST_CART_LIFETIME: TimeDelta = TimeDelta::days(7);
/// For how long a customer's cart is kept after its last change.
pub const CUSTOMER_CART_LIFETIME: TimeDelta = TimeDelta::days(30);
/// The most lines of one cart. A checkout reads the cart and the order, and a SKU, a product and a stock for each line; so
/// every cart can be ordered from one location.
pub const MAX_LINES: usize = (MAX_STREAMS - 2) / 3;
