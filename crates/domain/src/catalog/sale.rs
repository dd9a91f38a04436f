//! Whether a SKU is on sale. Decisions and read models share it.

use serde::{Deserialize, Serialize};

use super::{Product, SkuRecord};
use crate::ids::Sku;

/// Whether a SKU is on sale, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sale {
    /// Customers can buy it.
    OnSale,
    /// Its product was not published yet.
    Draft,
    /// Its product was taken out of sale.
    Archived,
    /// It was removed from its product.
    Removed,
    /// No product has it.
    Unknown,
}

impl Sale {
    /// Whether a SKU is on sale, by the phase of its product, and by whether the product has the variant still.
    #[must_use]
    pub fn of(product: &Product, sku: &Sku) -> Self {
        match product {
            Product::Absent => Self::Unknown,
            Product::Draft(_) => Self::Draft,
            Product::Archived(_) => Self::Archived,
            Product::Published(details) if details.variant(sku).is_none() => Self::Removed,
            Product::Published(_) => Self::OnSale,
        }
    }

    /// Whether customers may know of it. A draft does not exist for them yet.
    #[must_use]
    pub const fn is_public(self) -> bool {
        matches!(self, Self::OnSale | Self::Archived | Self::Removed)
    }
}

impl SkuRecord {
    /// Whether a SKU with this record is on sale; `product` is the product that the record names.
    #[must_use]
    pub fn sale(&self, sku: &Sku, product: Option<&Product>) -> Sale {
        match (self, product) {
            (Self::Claimed { .. }, Some(product)) => Sale::of(product, sku),
            (Self::Claimed { .. }, None) | (Self::Free, _) => Sale::Unknown,
        }
    }
}
