//! Carts.

mod mutations;
mod queries;
mod types;

pub(crate) use mutations::CartMutation;
pub(crate) use queries::CartQuery;
