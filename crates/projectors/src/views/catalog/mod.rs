//! Views of the catalog.

pub(super) mod category;
pub(super) mod product;
