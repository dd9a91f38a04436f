//! The catalog: products, their variants and prices, and the tree of categories.

mod loaders;
mod mutations;
mod queries;
mod statements;
mod types;

pub(crate) use mutations::CatalogMutation;
pub(crate) use queries::CatalogQuery;
pub(crate) use types::{BySku, Product, ProductOfSku};
