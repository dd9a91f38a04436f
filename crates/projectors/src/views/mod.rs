//! The views.

mod cart;
mod category;
mod customer_orders;
mod opened;
mod order;
mod product;
mod sales;
mod sales_by_day;
mod stock;
mod top_products;

use crate::{ViewError, view::ViewSpec};

/// Every view there is.
pub static ALL: [&ViewSpec; 8] = [
    &product::VIEW,
    &category::VIEW,
    &stock::VIEW,
    &cart::VIEW,
    &order::VIEW,
    &customer_orders::VIEW,
    &sales_by_day::VIEW,
    &top_products::VIEW,
];

/// The view of this name.
///
/// # Errors
/// [`ViewError::UnknownView`].
pub fn named(name: &str) -> Result<&'static ViewSpec, ViewError> {
    ALL.into_iter().find(|view| view.name == name).ok_or_else(|| ViewError::UnknownView(name.to_owned()))
}
