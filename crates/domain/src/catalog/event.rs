//! The events of the catalog.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Currency, Money,
    ids::{CategoryId, Channel, ProductId, Sku},
    text::{Name, Prose, Slug},
};

/// A product was created, as a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductCreated {
    /// The product.
    pub product_id: ProductId,
    /// What it is called.
    pub name: Name,
    /// Its part of a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<Slug>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// Whose brand it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Name>,
    /// The categories it is shown in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryId>,
    /// Anything else that is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Name, Name>,
}

/// What is said of a product was changed; the event holds all of it, as it is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductRevised {
    /// The product.
    pub product_id: ProductId,
    /// What it is called.
    pub name: Name,
    /// Its part of a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<Slug>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// Whose brand it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Name>,
    /// The categories it is shown in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryId>,
    /// Anything else that is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Name, Name>,
}

/// A product got a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariantAdded {
    /// The product.
    pub product_id: ProductId,
    /// The code of the variant.
    pub sku: Sku,
    /// What distinguishes it from the other variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its options by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<Name, Name>,
}

/// What is said of a variant was changed; the event holds all of it, as it is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariantRevised {
    /// The product.
    pub product_id: ProductId,
    /// The code of the variant.
    pub sku: Sku,
    /// What distinguishes it from the other variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its options by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<Name, Name>,
}

/// A product has a variant no more. Its SKU stays the product's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariantRemoved {
    /// The product.
    pub product_id: ProductId,
    /// The code of the variant.
    pub sku: Sku,
}

/// A product is shown to customers from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductPublished {
    /// The product.
    pub product_id: ProductId,
}

/// A product was taken out of sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductArchived {
    /// The product.
    pub product_id: ProductId,
}

/// A SKU belongs to a product from now on, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkuClaimed {
    /// The SKU.
    pub sku: Sku,
    /// The product it belongs to.
    pub product_id: ProductId,
}

/// A SKU has a new price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceSet {
    /// The SKU.
    pub sku: Sku,
    /// The product it belongs to.
    pub product_id: ProductId,
    /// The channel in which the price holds.
    pub channel: Channel,
    /// The price of one unit from now on.
    pub price: Money,
    /// The price before, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Money>,
}

/// A SKU has no price in a channel and a currency any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceRemoved {
    /// The SKU.
    pub sku: Sku,
    /// The product it belongs to.
    pub product_id: ProductId,
    /// The channel in which the price held.
    pub channel: Channel,
    /// The currency of the price.
    pub currency: Currency,
    /// The price before.
    pub previous: Money,
}

/// A slug leads to a product from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlugClaimed {
    /// The slug.
    pub slug: Slug,
    /// The product it leads to.
    pub product_id: ProductId,
}

/// A slug leads nowhere any more and may be claimed again. Only books from before old slugs led on have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlugReleased {
    /// The slug.
    pub slug: Slug,
    /// The product it led to.
    pub product_id: ProductId,
}

/// A product has another slug, or none. For some time the old one still leads to the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlugForwarded {
    /// The old slug.
    pub slug: Slug,
    /// The product it leads to.
    pub product_id: ProductId,
    /// Until when it does. From then on it may be claimed again.
    #[serde(deserialize_with = "daybook_kernel::time::stored")]
    pub until: DateTime<Utc>,
}

/// A category was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CategoryCreated {
    /// The category.
    pub category_id: CategoryId,
    /// The category it stands under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CategoryId>,
    /// What it is called.
    pub name: Name,
}

/// A child of a category came, went, or has a subtree of another height. The stream of the parent tells it, so that a move knows how deep
/// a whole subtree will stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CategoryChildChanged {
    /// The category.
    pub category_id: CategoryId,
    /// The child.
    pub child_id: CategoryId,
    /// How many levels the subtree of the child has, the child's own included; absent when the child went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<usize>,
}

/// A category, and all that stands under it, was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CategoryMoved {
    /// The category.
    pub category_id: CategoryId,
    /// The category it stands under from now on; a root when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CategoryId>,
}

/// A category is called otherwise from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CategoryRenamed {
    /// The category.
    pub category_id: CategoryId,
    /// What it is called.
    pub name: Name,
}

/// A category was removed. What stood under it or in it stands under or in its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CategoryRemoved {
    /// The category.
    pub category_id: CategoryId,
}
