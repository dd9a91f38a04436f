//! Catalog: products and their variants, SKUs and their prices, the category tree.
//!
//! A SKU has a stream of its own, which is its claim (it belongs to one product, for ever) and its price list, so that a
//! checkout reads a few bytes per line and not whole products. A slug is claimed the same way, and may be given back.

pub mod command;
mod decide;
pub mod event;
mod refusal;
mod state;

pub use refusal::CatalogRefusal;
pub use state::{Category, PriceList, Product, ProductStatus, SkuRecord, SlugClaim};
