//! Reactions to carts.

pub(super) mod expiry;
