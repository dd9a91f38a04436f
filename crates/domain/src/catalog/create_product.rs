//! Creating a product.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Category, NewVariant, NothingToSell, Product, ProductCreated, ProductPublished, TooManyVariants,
    details::{check_categories_exist, check_counts},
    policy::{MAX_ATTRIBUTES, MAX_CATEGORIES, MAX_VARIANTS, keys},
    slug_of_name::free_slug,
    slugs,
    variants::{add_variant, check_prices, check_size, check_unclaimed},
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::{CategoryId, ProductId, Sku},
    text::{Name, Prose, Slug},
    unique::unique,
};

/// Creates a product, with its variants if they are known, as a draft or published at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProduct {
    /// The id of the new product, chosen by the caller (UUID version 7 is best).
    #[serde(deserialize_with = "daybook_kernel::ids::real")]
    pub product_id: ProductId,
    /// What it is called.
    pub name: Name,
    /// Its part of a URL, unique among products; made from the name when left out.
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
    #[schemars(length(max = MAX_CATEGORIES))]
    pub categories: Vec<CategoryId>,
    /// Anything else that is said of it, by name.
    #[serde(default, deserialize_with = "unique")]
    #[schemars(extend("maxProperties" = MAX_ATTRIBUTES, "propertyNames" = keys()))]
    pub attributes: BTreeMap<Name, Name>,
    /// Its variants; more can be added later.
    #[serde(default)]
    #[schemars(length(max = MAX_VARIANTS))]
    pub variants: Vec<NewVariant>,
    /// Whether it is published at once.
    #[serde(default)]
    pub publish: bool,
}

refusals! {
    /// The id is in use.
    "product_exists" ProductExists: Rule at "product_id" = "product {product_id} exists already", {
        /// The product.
        product_id: ProductId,
    }
    /// The same command names a SKU twice.
    "sku_repeated" SkuRepeated: Rule at "sku" = "SKU {sku} is named twice", {
        /// The SKU.
        sku: Sku,
    }
}

impl Decide for CreateProduct {
    fn reads(&self, reads: &mut Reads) {
        // More categories are refused without a look at them.
        if self.categories.len() <= MAX_CATEGORIES {
            reads.add_all::<Category>(&self.categories);
        }
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let product_id = self.product_id;
        if self.variants.len() > MAX_VARIANTS {
            return Err(TooManyVariants { limit: MAX_VARIANTS }.into());
        }
        check_counts(self.categories.len(), self.attributes.len())?;
        let mut seen = BTreeSet::new();
        for variant in &self.variants {
            check_size(&variant.sku, variant.name.as_ref(), &variant.options)?;
            check_prices(variant, context.now)?;
            if !seen.insert(&variant.sku) {
                return Err(SkuRepeated { sku: variant.sku.clone() }.into());
            }
        }
        if streams.assume_absent::<Product>(&product_id)?.is_some_and(|product| *product != Product::Absent) {
            return Err(ProductExists { product_id }.into());
        }
        check_categories_exist(&self.categories, streams)?;
        for variant in &self.variants {
            check_unclaimed(&variant.sku, streams)?;
        }
        if self.publish && self.variants.is_empty() {
            return Err(NothingToSell { product_id }.into());
        }
        let slug = match &self.slug {
            Some(slug) => slug.clone(),
            None => free_slug(&self.name, product_id, context.now, streams)?,
        };
        self.decision(&slug, context.now, streams)
    }
}

impl CreateProduct {
    fn decision(&self, slug: &Slug, now: DateTime<Utc>, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { product_id, name, slug: _, description, brand, categories, attributes, variants, publish } =
            self.clone();
        let created =
            ProductCreated { product_id, name, slug: Some(slug.clone()), description, brand, categories, attributes };
        let mut decision = slugs::claim(Decision::of::<Product>(&product_id, created), slug, product_id, now, streams)?;
        for variant in &variants {
            decision = add_variant(decision, product_id, variant);
        }
        if publish {
            decision = decision.and::<Product>(&product_id, ProductPublished { product_id });
        }
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        catalog::{
            SkuRecord,
            policy::{MAX_ATTRIBUTES, MAX_CATEGORIES, MAX_NEW_PRICES, MAX_VARIANTS},
        },
        spec::{Book, code, product},
    };

    fn draft(number: u128, sku: &str) -> Value {
        json!({ "product_id": product(number), "name": "P", "variants": [{ "sku": sku }] })
    }

    #[test]
    fn a_sku_belongs_to_one_variant_for_ever() {
        let mut book = Book::new();
        book.given("CreateProduct", draft(1, "a")).given("ArchiveProduct", json!({ "product_id": product(1) }));
        assert_eq!(code(book.when("CreateProduct", draft(2, "a"))), "sku_taken");
        assert_eq!(code(book.when("CreateProduct", draft(1, "b"))), "product_exists");
        book.given("CreateProduct", draft(2, "b"));
        assert_eq!(code(book.when("AddVariant", json!({ "product_id": product(2), "sku": "a" }))), "sku_taken");
        let twice = json!({ "product_id": product(3), "name": "P", "variants": [{ "sku": "c" }, { "sku": "c" }] });
        assert_eq!(code(book.when("CreateProduct", twice)), "sku_repeated");
    }

    #[test]
    fn a_product_has_its_prices_from_the_beginning() {
        let mut book = Book::new();
        let with = |prices: Value| json!({ "product_id": product(1), "name": "P", "variants": [{ "sku": "a", "prices": prices }], "publish": true });
        let price = |cents: i64, channel: &str| json!({ "channel": channel, "price": { "minor_units": cents, "currency": "EUR" } });
        assert_eq!(code(book.when("CreateProduct", with(json!([price(-1, "web")])))), "price_out_of_range");
        let twice = json!([price(1, "web"), price(2, "web")]);
        assert_eq!(code(book.when("CreateProduct", with(twice))), "prices_repeated");
        let many: Vec<_> = (0..=MAX_NEW_PRICES).map(|nr| price(1, &format!("c{nr}"))).collect();
        assert_eq!(code(book.when("CreateProduct", with(json!(many)))), "prices_repeated");
        let created = book.when("CreateProduct", with(json!([price(5, "web"), price(4, "shop")])));
        let expected =
            ["ProductCreated", "SlugClaimed", "SkuClaimed", "VariantAdded", "PriceSet", "PriceSet", "ProductPublished"]
                .map(|name| format!("catalog.{name}"));
        assert_eq!(created.map(|types| types.join(" ")), Ok(expected.join(" ")));
        let channel = "shop".parse().expect("a channel");
        let record = book.state::<SkuRecord>(&"a".parse().expect("a SKU"));
        let price = record.price(&channel, "EUR".parse().expect("a currency")).expect("a price");
        assert_eq!(price.minor_units, 4);
    }

    #[test]
    fn what_is_said_of_a_product_is_bounded() {
        let mut book = Book::new();
        let with = |field: &str, value: Value| {
            let mut body = json!({ "product_id": product(1), "name": "P" });
            body[field] = value;
            body
        };
        let variants = |count: usize| (0..count).map(|nr| json!({ "sku": format!("s{nr}") })).collect();
        let attributes = |count: usize| {
            json!((0..count).map(|nr| (nr.to_string(), "x")).collect::<std::collections::BTreeMap<_, _>>())
        };
        let categories = json!((0..=MAX_CATEGORIES).map(|nr| product(nr as u128)).collect::<Vec<_>>());
        assert_eq!(code(book.when("CreateProduct", with("variants", variants(MAX_VARIANTS + 1)))), "too_many_variants");
        assert_eq!(code(book.when("CreateProduct", with("categories", categories))), "too_many_categories");
        assert_eq!(
            code(book.when("CreateProduct", with("attributes", attributes(MAX_ATTRIBUTES + 1)))),
            "too_many_attributes"
        );
        let mut full = with("variants", variants(MAX_VARIANTS));
        full["attributes"] = attributes(MAX_ATTRIBUTES);
        book.given("CreateProduct", full);
    }
}
