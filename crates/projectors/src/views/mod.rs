//! The views, by slice.

// A new event must not compile before every view of its slice says what it does with it.
#![deny(clippy::wildcard_enum_match_arm)]

#[cfg(test)]
mod agreement;
mod cart;
mod catalog;
mod inventory;
mod order;

use crate::{ViewError, engine::view::ViewSpec};

/// Every view.
pub static ALL: [&ViewSpec; 7] = [
    &catalog::product::VIEW,
    &catalog::category::VIEW,
    &inventory::stock::VIEW,
    &cart::cart::VIEW,
    &order::order::VIEW,
    &order::sales_by_day::VIEW,
    &order::top_products::VIEW,
];

/// The view of this name.
///
/// # Errors
/// [`ViewError::UnknownView`].
pub fn named(name: &str) -> Result<&'static ViewSpec, ViewError> {
    ALL.into_iter().find(|view| view.name == name).ok_or_else(|| ViewError::UnknownView(name.to_owned()))
}
