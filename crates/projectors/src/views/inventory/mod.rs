//! Views of the inventory.

pub(super) mod stock;
