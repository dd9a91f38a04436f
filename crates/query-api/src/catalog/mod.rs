//! The catalog: products, their variants and prices, and the tree of categories.

pub(crate) mod availability;
mod loaders;
mod mutations;
mod prices;
mod queries;
mod statements;
mod types;

pub(crate) use mutations::CatalogMutation;
pub(crate) use prices::{BySku, Price};
pub(crate) use queries::CatalogQuery;
pub(crate) use types::{Offer, OfferOf, Product, sale_of};

use crate::reader::View;

/// The products with their variants, prices and slugs.
pub(crate) const PRODUCT: View =
    View { name: "product", tables: &["products", "product_variants", "sku_prices", "product_slugs"] };
/// The categories.
pub(crate) const CATEGORY: View = View { name: "category", tables: &["categories"] };
