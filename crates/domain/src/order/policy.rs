//! Every limit of orders.

use chrono::TimeDelta;

use crate::MAX_STREAMS;

/// The most locations that one order may name.
pub const MAX_LOCATIONS: usize = 20;
/// The most locations that an order of so many lines can ask. It reads the order and the cart, and for each line a SKU, a product, and a
/// stock at each location.
#[must_use]
pub fn locations_of(lines: usize) -> usize {
    let of_a_line = (MAX_STREAMS - 2) / lines.max(1);
    of_a_line.saturating_sub(2).clamp(1, MAX_LOCATIONS)
}
/// The most lines of one imported order. It reads the order, and a SKU for each line.
pub const MAX_IMPORTED_LINES: usize = MAX_STREAMS - 1;
/// How far the clock of another system may be ahead of this one's. A till whose clock is ahead by more gets a refusal that says by how much.
pub const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);
