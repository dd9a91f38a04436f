//! Every limit of the inventory. The command that makes a reservation says when it expires; a reservation of an order never does.

use crate::Quantity;

/// The largest adjustment either way: the largest quantity.
pub const MAX_DELTA: u32 = Quantity::MAX;
