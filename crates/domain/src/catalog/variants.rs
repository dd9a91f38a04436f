//! Variants: each claims its SKU, which belongs to one variant for ever.

use std::collections::BTreeMap;

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Product, SkuClaimed, SkuRecord, Variant, VariantAdded, details::existing};
use crate::{
    Decision, Rejection, Streams,
    ids::{ProductId, Sku},
    text::Name,
};

/// A variant to be sold: one SKU of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVariant {
    /// The code of the variant, unused in the whole book.
    pub sku: Sku,
    /// What distinguishes it from the other variants, such as `1 l`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its options by name: `{"size": "XL", "colour": "red"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<Name, Name>,
}

refusals! {
    /// A SKU belongs to one variant, for ever.
    "sku_taken" SkuTaken: Rule at "sku" = "SKU {sku} belongs to product {product_id}", {
        /// The SKU.
        sku: Sku,
        /// The product it belongs to.
        product_id: ProductId,
    }
    /// The product has no such variant.
    "variant_not_found" VariantNotFound: NotFound at "sku" = "product {product_id} has no variant with the SKU {sku}", {
        /// The product.
        product_id: ProductId,
        /// The SKU.
        sku: Sku,
    }
    /// A product has a bounded number of variants.
    "too_many_variants" TooManyVariants: Rule at "variants" = "a product has at most {limit} variants", {
        /// The limit.
        limit: usize,
    }
}

/// Checks that a SKU belongs to no variant yet. A stream that is not loaded counts as unclaimed; the commit checks that.
pub(super) fn check_unclaimed(sku: &Sku, streams: &Streams<'_>) -> Result<(), Rejection> {
    match streams.assume_absent::<SkuRecord>(sku)?.and_then(SkuRecord::product_id) {
        Some(product_id) => Err(SkuTaken { sku: sku.clone(), product_id }.into()),
        None => Ok(()),
    }
}

/// What is said of a variant of a product.
pub(super) fn existing_variant<'a>(
    product_id: ProductId,
    sku: &Sku,
    streams: &Streams<'a>,
) -> Result<&'a Variant, Rejection> {
    let details = existing(product_id, streams.get::<Product>(&product_id)?)?;
    details.variant(sku).ok_or_else(|| VariantNotFound { product_id, sku: sku.clone() }.into())
}

/// Adds a variant and the claim of its SKU to a decision.
pub(super) fn add_variant(decision: Decision, product_id: ProductId, variant: &NewVariant) -> Decision {
    let NewVariant { sku, name, options } = variant.clone();
    decision
        .and::<SkuRecord>(&sku, SkuClaimed { sku: sku.clone(), product_id })
        .and::<Product>(&product_id, VariantAdded { product_id, sku: sku.clone(), name, options })
}
