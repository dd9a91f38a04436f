//! Views of the catalog.

pub(super) mod category;
pub(super) mod price;
pub(super) mod product;
pub(super) mod slug;
pub(super) mod variant;
