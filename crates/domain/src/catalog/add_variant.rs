//! Adding a variant to a product.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    NewVariant, Product, SkuRecord, TooManyVariants, VariantAdded,
    details::existing,
    policy::{MAX_OPTIONS, MAX_VARIANTS, keys},
    variants::{add_variant, check_size, check_unclaimed},
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::{ProductId, Sku},
    text::Name,
    unique::unique,
};

/// Adds a variant to a product. A variant that was removed from it can be added again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddVariant {
    /// The product.
    pub product_id: ProductId,
    /// The code of the variant. No other product has had it.
    pub sku: Sku,
    /// What distinguishes it from the other variants.
    #[serde(default)]
    pub name: Option<Name>,
    /// Its options by name.
    #[serde(default, deserialize_with = "unique")]
    #[schemars(extend("maxProperties" = MAX_OPTIONS, "propertyNames" = keys()))]
    pub options: BTreeMap<Name, Name>,
}

impl Decide for AddVariant {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Product>(&self.product_id);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { product_id, sku, name, options } = self.clone();
        check_size(&sku, name.as_ref(), &options)?;
        let product = existing(product_id, streams.get::<Product>(&product_id)?)?;
        let own = streams.assume_absent::<SkuRecord>(&sku)?.and_then(SkuRecord::product_id) == Some(product_id);
        let was_removed = own && product.variant(&sku).is_none();
        if !was_removed {
            check_unclaimed(&sku, streams)?;
        }
        if product.variants.len() >= MAX_VARIANTS {
            return Err(TooManyVariants { limit: MAX_VARIANTS }.into());
        }
        if was_removed {
            return Ok(Decision::of::<Product>(&product_id, VariantAdded { product_id, sku, name, options }));
        }
        let variant = NewVariant { sku, name, options, prices: Vec::new() };
        Ok(add_variant(Decision::default(), product_id, &variant))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use crate::{
        catalog::{
            Product,
            policy::{MAX_OPTIONS, MAX_VARIANTS},
        },
        spec::{Book, code, product},
    };

    #[test]
    fn a_product_takes_variants_up_to_the_limit() {
        let mut book = Book::new();
        let variants: Vec<_> = (1..MAX_VARIANTS).map(|nr| json!({ "sku": format!("s{nr}") })).collect();
        let add = |sku: &str| json!({ "product_id": product(1), "sku": sku });
        assert_eq!(code(book.when("AddVariant", add("x"))), "product_not_found");
        book.given("CreateProduct", json!({ "product_id": product(1), "name": "P", "variants": variants }));
        let added = book.when("AddVariant", add("x"));
        assert_eq!(added, Ok(vec!["catalog.SkuClaimed", "catalog.VariantAdded"]));
        assert_eq!(
            book.state::<Product>(&product(1)).details().map(|details| details.variants.len()),
            Some(MAX_VARIANTS)
        );
        assert_eq!(code(book.when("AddVariant", add("y"))), "too_many_variants");
    }

    #[test]
    fn what_is_said_of_a_variant_is_bounded() {
        let mut book = Book::new();
        book.given("CreateProduct", json!({ "product_id": product(1), "name": "P" }));
        let options = |count: usize, length: usize| -> Value {
            (0..count).map(|nr| (format!("o{nr:02}"), json!("x".repeat(length)))).collect::<Map<_, _>>().into()
        };
        let with = |options: Value| json!({ "product_id": product(1), "sku": "a", "options": options });
        assert_eq!(code(book.when("AddVariant", with(options(MAX_OPTIONS + 1, 1)))), "too_many_options");
        let refusal = book.when("AddVariant", with(options(3, 230))).expect_err("it is too long");
        assert_eq!((refusal.code(), &refusal.data()["bytes"]), ("variant_too_long", &json!(3 * (5 + 232 + 2))));
        let quotes = json!({ "a": "\"".repeat(180), "b": "\\".repeat(180) });
        assert_eq!(code(book.when("AddVariant", with(quotes))), "variant_too_long");
        let new =
            json!({ "product_id": product(2), "name": "P", "variants": [{ "sku": "b", "options": options(3, 230) }] });
        assert_eq!(code(book.when("CreateProduct", new)), "variant_too_long");
        book.given("AddVariant", with(options(MAX_OPTIONS, 20)));
    }
}
