//! Carts.

mod line;
mod mutations;
mod queries;
mod quote;
mod types;

pub(crate) use mutations::CartMutation;
pub(crate) use queries::CartQuery;

use crate::reader::View;

/// The carts.
pub(crate) const CART: View = View { name: "cart", tables: &["carts"] };
