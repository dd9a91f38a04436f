//! What the catalog says no to.

use serde::Serialize;

use crate::{
    Money,
    ids::{CategoryId, ProductId, Sku},
    refusal::RefusalKind,
    text::Slug,
};

/// A rule of the catalog said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum CatalogRefusal {
    /// The id is in use.
    #[error("product {product_id} exists already")]
    ProductExists {
        /// The product.
        product_id: ProductId,
    },
    /// There is no such product.
    #[error("there is no product {product_id}")]
    ProductNotFound {
        /// The product.
        product_id: ProductId,
    },
    /// A SKU belongs to one variant, for ever.
    #[error("SKU {sku} belongs to product {product_id}")]
    SkuTaken {
        /// The SKU.
        sku: Sku,
        /// The product it belongs to.
        product_id: ProductId,
    },
    /// The same command names a SKU twice.
    #[error("SKU {sku} is named twice")]
    SkuRepeated {
        /// The SKU.
        sku: Sku,
    },
    /// No product has this SKU.
    #[error("there is no SKU {sku}")]
    UnknownSku {
        /// The SKU.
        sku: Sku,
    },
    /// A slug leads to one product.
    #[error("the slug {slug} leads to product {product_id}")]
    SlugTaken {
        /// The slug.
        slug: Slug,
        /// The product it leads to.
        product_id: ProductId,
    },
    /// A product has a bounded number of variants.
    #[error("a product has at most {limit} variants")]
    TooManyVariants {
        /// The bound.
        limit: usize,
    },
    /// A product stands in a bounded number of categories and has a bounded number of attributes.
    #[error("a product has at most {limit} {what}")]
    TooManyDetails {
        /// What there are too many of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A product without a variant cannot be bought, so it is not published.
    #[error("product {product_id} has no variant to sell")]
    NothingToSell {
        /// The product.
        product_id: ProductId,
    },
    /// The product is in that status already, or the change changes nothing.
    #[error("product {product_id} is like that already")]
    NothingChanges {
        /// The product.
        product_id: ProductId,
    },
    /// Prices are not negative.
    #[error("a price is not negative and at most {limit} minor units, not {price}")]
    PriceOutOfRange {
        /// The price that was asked for.
        price: Money,
        /// The bound, in minor units.
        limit: i64,
    },
    /// It has that price already.
    #[error("SKU {sku} costs {price} already")]
    PriceUnchanged {
        /// The SKU.
        sku: Sku,
        /// Its price.
        price: Money,
    },
    /// The id is in use.
    #[error("category {category_id} exists already")]
    CategoryExists {
        /// The category.
        category_id: CategoryId,
    },
    /// There is no such category.
    #[error("there is no category {category_id}")]
    CategoryNotFound {
        /// The category.
        category_id: CategoryId,
    },
    /// The tree would become a ring.
    #[error("category {category_id} cannot stand under itself")]
    CategoryCycle {
        /// The category.
        category_id: CategoryId,
    },
    /// It stands there already.
    #[error("category {category_id} stands there already")]
    CategoryUnmoved {
        /// The category.
        category_id: CategoryId,
    },
    /// The tree has a bounded depth.
    #[error("categories nest at most {limit} deep")]
    CategoryTooDeep {
        /// The bound.
        limit: usize,
    },
}

impl CatalogRefusal {
    pub(crate) const fn kind(&self) -> RefusalKind {
        match self {
            Self::ProductNotFound { .. } | Self::CategoryNotFound { .. } => RefusalKind::NotFound,
            _ => RefusalKind::Rule,
        }
    }
}
