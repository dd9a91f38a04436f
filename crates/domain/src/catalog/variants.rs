//! Variants: each claims its SKU, which belongs to one variant for ever.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PriceSet, Product, SkuClaimed, SkuRecord, Variant, VariantAdded,
    details::existing,
    policy::{MAX_NEW_PRICES, MAX_OPTIONS, MAX_VARIANT_BYTES, keys},
    set_price::check_price,
};
use crate::{
    Decision, Money, Refusal, Rejection, Streams,
    ids::{Channel, ProductId, Sku},
    text::Name,
    unique::unique,
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
    #[serde(default, deserialize_with = "unique", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = MAX_OPTIONS, "propertyNames" = keys()))]
    pub options: BTreeMap<Name, Name>,
    /// What it costs from the beginning, at most once a channel and currency. So a product is never there without its price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_NEW_PRICES))]
    pub prices: Vec<NewPrice>,
}

/// A price that a variant has from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPrice {
    /// The channel; `web` when left out.
    #[serde(default)]
    pub channel: Channel,
    /// The price of one unit, not negative.
    pub price: Money,
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
    /// A new variant has one price in a channel and currency, and a bounded number of them.
    "prices_repeated" PricesRepeated: Rule at "prices"
        = "SKU {sku} has at most {limit} prices, each in a channel and currency of its own", {
        /// The SKU.
        sku: Sku,
        /// The limit.
        limit: usize,
    }
    /// A product has a bounded number of variants.
    "too_many_variants" TooManyVariants: Rule at "variants" = "a product has at most {limit} variants", {
        /// The limit.
        limit: usize,
    }
    /// A variant has a bounded number of options.
    "too_many_options" TooManyOptions: Rule at "options" = "SKU {sku} would have {options} options; a variant has at most {limit}", {
        /// The SKU.
        sku: Sku,
        /// How many options there would be.
        options: usize,
        /// The limit.
        limit: usize,
    }
    /// The name and the options of a variant are bounded together.
    "variant_too_long" VariantTooLong: Rule at "options" or "name"
        = "the name and the options of SKU {sku} come to {bytes} bytes of JSON; the limit is {limit}", {
        /// The SKU.
        sku: Sku,
        /// How many bytes there would be, as JSON.
        bytes: usize,
        /// The limit.
        limit: usize,
    }
}

/// Checks how much is said of a variant.
pub(super) fn check_size(sku: &Sku, name: Option<&Name>, options: &BTreeMap<Name, Name>) -> Result<(), Refusal> {
    if options.len() > MAX_OPTIONS {
        return Err(TooManyOptions { sku: sku.clone(), options: options.len(), limit: MAX_OPTIONS }.into());
    }
    let of_options = options.iter().map(|(option, value)| json_bytes(option) + json_bytes(value) + ":,".len());
    let bytes = name.map_or(0, json_bytes) + of_options.sum::<usize>();
    if bytes > MAX_VARIANT_BYTES {
        return Err(VariantTooLong { sku: sku.clone(), bytes, limit: MAX_VARIANT_BYTES }.into());
    }
    Ok(())
}

/// How many bytes a name has as a string of JSON, where a quote and a backslash take two.
fn json_bytes(name: &Name) -> usize {
    let text = name.as_str();
    text.len() + 2 + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
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

/// Checks the prices of a new variant.
pub(super) fn check_prices(variant: &NewVariant, now: DateTime<Utc>) -> Result<(), Refusal> {
    let NewVariant { sku, prices, .. } = variant;
    let mut seen = BTreeSet::new();
    for NewPrice { channel, price } in prices {
        check_price(*price, now)?;
        if !seen.insert((channel, price.currency)) || seen.len() > MAX_NEW_PRICES {
            return Err(PricesRepeated { sku: sku.clone(), limit: MAX_NEW_PRICES }.into());
        }
    }
    Ok(())
}

/// Adds a variant, the claim of its SKU, and its prices to a decision.
pub(super) fn add_variant(decision: Decision, product_id: ProductId, variant: &NewVariant) -> Decision {
    let NewVariant { sku, name, options, prices } = variant.clone();
    let decision = decision
        .and::<SkuRecord>(&sku, SkuClaimed { sku: sku.clone(), product_id })
        .and::<Product>(&product_id, VariantAdded { product_id, sku: sku.clone(), name, options });
    let set = prices.into_iter().map(|NewPrice { channel, price }| PriceSet {
        sku: sku.clone(),
        product_id,
        channel,
        price,
        previous: None,
    });
    decision.and_all::<SkuRecord>(&sku, set)
}
