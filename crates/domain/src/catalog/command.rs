//! What can be asked of the catalog.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Money,
    ids::{CategoryId, Channel, ProductId, Sku},
    text::{Name, Prose, Slug},
};

/// A variant to be sold: one SKU of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVariant {
    /// The code of the variant, unused in the whole book.
    pub sku: Sku,
    /// What tells it from the other variants, such as `1 l`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its options by name: `{"size": "XL", "colour": "red"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<Name, Name>,
}

/// Creates a product, with its variants if they are known, as a draft or published at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProduct {
    /// The id of the new product, chosen by the caller (UUID version 7 is best).
    pub product_id: ProductId,
    /// What it is called.
    pub name: Name,
    /// Its part of a URL, unique among products.
    #[serde(default)]
    pub slug: Option<Slug>,
    /// What it is.
    #[serde(default)]
    pub description: Option<Prose>,
    /// Whose brand it is.
    #[serde(default)]
    pub brand: Option<Name>,
    /// The categories it is shown in.
    #[serde(default)]
    pub categories: Vec<CategoryId>,
    /// Anything else that is said of it, by name.
    #[serde(default)]
    pub attributes: BTreeMap<Name, Name>,
    /// Its variants; more can be added later.
    #[serde(default)]
    pub variants: Vec<NewVariant>,
    /// Whether it is published at once.
    #[serde(default)]
    pub publish: bool,
}

/// Changes what is said of a product; what is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviseProduct {
    /// The product.
    pub product_id: ProductId,
    /// What it is called from now on.
    #[serde(default)]
    pub name: Option<Name>,
    /// Its new part of a URL; the old one becomes free.
    #[serde(default)]
    pub slug: Option<Slug>,
    /// What it is.
    #[serde(default)]
    pub description: Option<Prose>,
    /// Whose brand it is.
    #[serde(default)]
    pub brand: Option<Name>,
    /// The categories it is shown in, all of them.
    #[serde(default)]
    pub categories: Option<Vec<CategoryId>>,
    /// Anything else that is said of it, all of it.
    #[serde(default)]
    pub attributes: Option<BTreeMap<Name, Name>>,
}

/// Adds a variant to a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddVariant {
    /// The product.
    pub product_id: ProductId,
    /// The code of the variant, unused in the whole book.
    pub sku: Sku,
    /// What tells it from the other variants.
    #[serde(default)]
    pub name: Option<Name>,
    /// Its options by name.
    #[serde(default)]
    pub options: BTreeMap<Name, Name>,
}

/// Sets the price of a SKU in one channel and currency, from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPrice {
    /// The SKU.
    pub sku: Sku,
    /// The channel; `web` when left out.
    #[serde(default)]
    pub channel: Channel,
    /// The price of one unit, not negative.
    pub price: Money,
}

/// Shows a product to customers, who can buy it from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishProduct {
    /// The product; it needs a variant.
    pub product_id: ProductId,
}

/// Takes a product out of sale. Its SKUs stay its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveProduct {
    /// The product.
    pub product_id: ProductId,
}

/// Creates a category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCategory {
    /// The id of the new category, chosen by the caller.
    pub category_id: CategoryId,
    /// The category it stands under; a root when left out.
    #[serde(default)]
    pub parent: Option<CategoryId>,
    /// What it is called.
    pub name: Name,
}

/// Moves a category, and all that stands under it, to another parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveCategory {
    /// The category.
    pub category_id: CategoryId,
    /// Its new parent; it becomes a root when left out.
    #[serde(default)]
    pub parent: Option<CategoryId>,
}
