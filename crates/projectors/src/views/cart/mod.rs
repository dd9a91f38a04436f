//! Views of carts.

#[expect(clippy::module_inception, reason = "the view has the name of its slice")]
pub(super) mod cart;
