//! Revising what is said of a product.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Category, NothingChanges, Product, ProductDetails, ProductRevised, SlugClaim, SlugClaimed, SlugReleased,
    details::{check_categories_exist, check_counts, check_slug_free, existing},
    policy::{MAX_ATTRIBUTES, MAX_CATEGORIES, keys},
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::{CategoryId, ProductId},
    text::{Name, Prose, Slug},
    unique::unique_if_given,
};

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
    #[schemars(length(max = MAX_CATEGORIES))]
    pub categories: Option<Vec<CategoryId>>,
    /// Anything else that is said of it, all of it.
    #[serde(default, deserialize_with = "unique_if_given")]
    #[schemars(extend("maxProperties" = MAX_ATTRIBUTES, "propertyNames" = keys()))]
    pub attributes: Option<BTreeMap<Name, Name>>,
}

impl Decide for ReviseProduct {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Product>(&self.product_id);
        let categories = self.categories.as_deref().unwrap_or_default();
        // More categories are refused without a look at them.
        if categories.len() <= MAX_CATEGORIES {
            reads.add_all::<Category>(categories);
        }
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let product_id = self.product_id;
        let (categories, attributes) = (self.categories.as_ref(), self.attributes.as_ref());
        check_counts(categories.map_or(0, Vec::len), attributes.map_or(0, BTreeMap::len))?;
        let before = existing(product_id, streams.get::<Product>(&product_id)?)?;
        let revised = self.applied_to(before);
        check_categories_exist(&revised.categories, streams)?;
        if is_like(&revised, before) {
            return Err(NothingChanges { product_id }.into());
        }
        let mut decision = Decision::default();
        if revised.slug != before.slug {
            if let Some(slug) = &revised.slug {
                check_slug_free(slug, streams)?;
                decision = decision.and::<SlugClaim>(slug, SlugClaimed { slug: slug.clone(), product_id });
            }
            if let Some(slug) = &before.slug {
                streams.get::<SlugClaim>(slug)?;
                decision = decision.and::<SlugClaim>(slug, SlugReleased { slug: slug.clone(), product_id });
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
            slug: self.slug.clone().or_else(|| before.slug.clone()),
            description: self.description.clone().or_else(|| before.description.clone()),
            brand: self.brand.clone().or_else(|| before.brand.clone()),
            categories: self.categories.clone().unwrap_or_else(|| before.categories.clone()),
            attributes: self.attributes.clone().unwrap_or_else(|| before.attributes.clone()),
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
    use serde_json::json;

    use crate::spec::{Book, code, product};

    #[test]
    fn a_slug_leads_to_one_product_and_is_free_again_when_it_is_given_up() {
        let mut book = Book::new();
        let with_slug = |number: u128, slug: &str| json!({ "product_id": product(number), "name": "P", "slug": slug });
        book.given("CreateProduct", with_slug(1, "oat"));
        assert_eq!(code(book.when("CreateProduct", with_slug(2, "oat"))), "slug_taken");
        let revised = book.when("ReviseProduct", json!({ "product_id": product(1), "slug": "oat-milk" }));
        assert_eq!(revised, Ok(vec!["catalog.SlugClaimed", "catalog.SlugReleased", "catalog.ProductRevised"]));
        book.given("CreateProduct", with_slug(2, "oat"));
        let same = book.when("ReviseProduct", json!({ "product_id": product(2), "slug": "oat" }));
        assert_eq!(code(same), "nothing_changes");
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let mut book = Book::new();
        let body = json!({ "product_id": product(1), "name": "P", "brand": "B", "attributes": { "size": "1 l" } });
        book.given("CreateProduct", body).given("ReviseProduct", json!({ "product_id": product(1), "name": "Q" }));
        let details = book.state::<crate::catalog::Product>(&product(1)).details().expect("it exists").clone();
        assert_eq!((details.name.as_str(), details.brand.as_ref().map(crate::text::Name::as_str)), ("Q", Some("B")));
        assert_eq!(details.attributes.len(), 1);
        let unknown = json!({ "product_id": product(1), "categories": [product(9)] });
        assert_eq!(code(book.when("ReviseProduct", unknown)), "category_not_found");
    }
}
