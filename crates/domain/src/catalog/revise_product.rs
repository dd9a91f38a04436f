//! Revising what is said of a product.

use std::collections::BTreeMap;

use daybook_kernel::patch::given;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Category, Product, ProductDetails, ProductRevised,
    details::{check_categories_exist, check_counts, existing},
    policy::{MAX_ATTRIBUTES, MAX_CATEGORIES, keys},
    slugs,
};
use crate::{
    Context, Decide, Decision, Patch, Reads, Rejection, Streams,
    ids::{CategoryId, ProductId},
    text::{Name, Prose, Slug},
    unique::unique_patch,
};

/// Changes what is said of a product: what is left out stays as it is, and null empties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviseProduct {
    /// The product.
    pub product_id: ProductId,
    /// What it is called from now on. A product has a name, so null is refused.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Name")]
    pub name: Option<Name>,
    /// Its new part of a URL; null for none. For a year the old one still leads to the product.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub slug: Patch<Slug>,
    /// What it is; null for nothing.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<Prose>,
    /// Whose brand it is; null for none.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub brand: Patch<Name>,
    /// The categories it is shown in, all of them; null for none.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schemars(length(max = MAX_CATEGORIES))]
    pub categories: Patch<Vec<CategoryId>>,
    /// Anything else that is said of it, all of it; null for nothing.
    #[serde(default, deserialize_with = "unique_patch", skip_serializing_if = "Patch::is_keep")]
    #[schemars(extend("maxProperties" = MAX_ATTRIBUTES, "propertyNames" = keys()))]
    pub attributes: Patch<BTreeMap<Name, Name>>,
}

impl Decide for ReviseProduct {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Product>(&self.product_id);
        let categories = self.categories.value().map_or(&[][..], Vec::as_slice);
        // More categories are refused without a look at them.
        if categories.len() <= MAX_CATEGORIES {
            reads.add_all::<Category>(categories);
        }
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let product_id = self.product_id;
        let (categories, attributes) = (self.categories.value(), self.attributes.value());
        check_counts(categories.map_or(0, Vec::len), attributes.map_or(0, BTreeMap::len))?;
        let before = existing(product_id, streams.get::<Product>(&product_id)?)?;
        let revised = self.applied_to(before);
        // Those that it stands in already may have been removed since.
        check_categories_exist(categories.map_or(&[], Vec::as_slice), streams)?;
        if is_like(&revised, before) {
            return Ok(Decision::unchanged());
        }
        let mut decision = Decision::default();
        if revised.slug != before.slug {
            if let Some(slug) = &revised.slug {
                decision = slugs::claim(decision, slug, product_id, context.now, streams)?;
            }
            if let Some(slug) = &before.slug {
                decision = slugs::forward(decision, slug, product_id, context.now, streams)?;
            }
        }
        Ok(decision.and::<Product>(&product_id, revised))
    }
}

impl ReviseProduct {
    /// The event that says all of the product, as it is after the revision.
    fn applied_to(&self, before: &ProductDetails) -> ProductRevised {
        ProductRevised {
            product_id: self.product_id,
            name: self.name.clone().unwrap_or_else(|| before.name.clone()),
            slug: self.slug.applied_to(before.slug.as_ref()),
            description: self.description.applied_to(before.description.as_ref()),
            brand: self.brand.applied_to(before.brand.as_ref()),
            categories: self.categories.or_empty(&before.categories),
            attributes: self.attributes.or_empty(&before.attributes),
        }
    }
}

/// Whether a revision says what was said before.
fn is_like(revised: &ProductRevised, before: &ProductDetails) -> bool {
    let ProductRevised { product_id: _, name, slug, description, brand, categories, attributes } = revised;
    *name == before.name
        && *slug == before.slug
        && *description == before.description
        && *brand == before.brand
        && *categories == before.categories
        && *attributes == before.attributes
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use crate::{
        Command,
        catalog::{Product, ProductDetails, SlugClaim, policy::OLD_SLUG_LIFETIME},
        ids::ProductId,
        spec::{Book, code, product},
    };

    fn with_slug(number: u128, slug: &str) -> Value {
        json!({ "product_id": product(number), "name": "P", "slug": slug })
    }

    fn revise(number: u128, field: &str, value: impl Into<Value>) -> Value {
        let mut body = json!({ "product_id": product(number) });
        body[field] = value.into();
        body
    }

    fn details(book: &Book) -> ProductDetails {
        book.state::<Product>(&product(1)).details().expect("it exists").clone()
    }

    fn leads_to(book: &Book, slug: &str) -> Option<ProductId> {
        book.state::<SlugClaim>(&slug.parse().expect("a slug")).product_id(book.now)
    }

    #[test]
    fn an_old_slug_leads_to_its_product_and_nobody_else_takes_it_for_a_year() {
        let mut book = Book::new();
        book.given("CreateProduct", with_slug(1, "oat"));
        assert_eq!(code(book.when("CreateProduct", with_slug(2, "oat"))), "slug_taken");
        let revised = book.when("ReviseProduct", revise(1, "slug", "oat-milk"));
        assert_eq!(revised, Ok(vec!["catalog.SlugClaimed", "catalog.SlugForwarded", "catalog.ProductRevised"]));
        assert_eq!((leads_to(&book, "oat"), leads_to(&book, "oat-milk")), (Some(product(1)), Some(product(1))));
        book.pass(OLD_SLUG_LIFETIME - TimeDelta::seconds(1));
        let refusal = book.when("CreateProduct", with_slug(2, "oat")).expect_err("it is an old slug");
        assert_eq!((refusal.code(), refusal.data().contains_key("until")), ("slug_taken", true));
        book.pass(TimeDelta::seconds(1)).given("CreateProduct", with_slug(2, "oat"));
        assert_eq!(leads_to(&book, "oat"), Some(product(2)));
    }

    #[test]
    fn a_product_takes_its_old_slug_back_at_any_time() {
        let mut book = Book::new();
        book.given("CreateProduct", with_slug(1, "oat")).given("ReviseProduct", revise(1, "slug", "oat-milk"));
        book.given("ReviseProduct", revise(1, "slug", "oat"));
        assert_eq!(details(&book).slug.map(|slug| slug.to_string()).as_deref(), Some("oat"));
        assert_eq!((leads_to(&book, "oat"), leads_to(&book, "oat-milk")), (Some(product(1)), Some(product(1))));
        book.given("ReviseProduct", revise(1, "slug", Value::Null));
        assert_eq!((details(&book).slug, leads_to(&book, "oat")), (None, Some(product(1))));
    }

    #[test]
    fn what_is_left_out_stays_and_null_empties() {
        let mut book = Book::new();
        let body = json!({ "product_id": product(1), "name": "P", "slug": "p", "brand": "B", "description": "D",
                           "attributes": { "size": "1 l" } });
        book.given("CreateProduct", body).given("ReviseProduct", revise(1, "name", "Q"));
        let kept = details(&book);
        assert_eq!((kept.name.as_str(), kept.brand.as_ref().map(crate::text::Name::as_str)), ("Q", Some("B")));
        assert!(kept.slug.is_some() && kept.description.is_some() && kept.attributes.len() == 1);
        for field in ["slug", "brand", "description", "attributes", "categories"] {
            let outcome = book.when("ReviseProduct", revise(1, field, Value::Null)).expect("it is emptied");
            assert_eq!(outcome.is_empty(), field == "categories", "{field}");
            assert_eq!(
                book.when("ReviseProduct", revise(1, field, Value::Null)),
                Ok(vec![]),
                "{field} is empty already"
            );
        }
        let emptied = details(&book);
        assert_eq!((emptied.slug, emptied.brand, emptied.description), (None, None, None));
        assert!(emptied.attributes.is_empty());
        let null = Command::deserialize("ReviseProduct", revise(1, "name", Value::Null)).expect("it exists");
        assert!(null.is_err(), "a product has a name");
        assert_eq!(
            code(book.when("ReviseProduct", revise(1, "categories", json!([product(9)])))),
            "category_not_found"
        );
    }

    #[test]
    fn a_product_of_a_removed_category_can_be_revised() {
        let mut book = Book::new();
        book.given("CreateCategory", json!({ "category_id": product(7), "name": "C" }));
        book.given("CreateProduct", json!({ "product_id": product(1), "name": "P", "categories": [product(7)] }));
        book.given("RemoveCategory", json!({ "category_id": product(7) }))
            .given("ReviseProduct", revise(1, "name", "Q"));
        let again = revise(1, "categories", json!([product(7)]));
        assert_eq!(code(book.when("ReviseProduct", again)), "category_not_found");
    }
}
