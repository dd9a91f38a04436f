//! Reactions to stock.

pub(super) mod expiry;
