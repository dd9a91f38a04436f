//! The slug of a product that is created without one: it is made from the name.

use chrono::{DateTime, Utc};

use super::{SlugClaim, policy::LAST_SUFFIX};
use crate::{
    Rejection, Streams,
    ids::ProductId,
    text::{Name, Slug},
};

/// The slug of a name without letters and digits.
const WITHOUT_LETTERS: &str = "product";

/// The first free slug of a name. When the name's own is taken, it is one with a number. When those are taken too, it ends with the end of
/// the product's id; whether that one is free is for the claim to say.
pub(super) fn free_slug(
    name: &Name,
    product_id: ProductId,
    now: DateTime<Utc>,
    streams: &Streams<'_>,
) -> Result<Slug, Rejection> {
    let is_free = |claim: &SlugClaim| claim.product_id(now).is_none();
    let own = Slug::of(name.as_str()).or_else(|| Slug::of(WITHOUT_LETTERS)).expect("`product` has letters");
    // Most names are new, so this one is not looked up before the commit.
    if streams.assume_absent::<SlugClaim>(&own)?.is_none_or(is_free) {
        return Ok(own);
    }
    let numbered: Vec<Slug> = (2..=LAST_SUFFIX).map(|number| own.with_suffix(&number.to_string())).collect();
    let claims = streams.get_all::<SlugClaim>(&numbered)?;
    if let Some((slug, _)) = numbered.iter().zip(claims).find(|(_, claim)| is_free(claim)) {
        return Ok(slug.clone());
    }
    let id = product_id.0.simple().to_string();
    Ok(own.with_suffix(&id[id.len() - 12..]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        catalog::{Product, policy::LAST_SUFFIX},
        spec::{Book, code, product},
    };

    fn named(number: u128, name: &str) -> Value {
        json!({ "product_id": product(number), "name": name })
    }

    fn slug(book: &Book, number: u128) -> String {
        let details = book.state::<Product>(&product(number)).details().expect("it exists").clone();
        details.slug.expect("it has one").to_string()
    }

    #[test]
    fn a_product_without_a_slug_gets_one_from_its_name() {
        let mut book = Book::new();
        let names = ["Łopata łódzka", "سكر", "Tee", "Tee", "TEE!", "☕", "☕"];
        for (number, name) in (1..).zip(names) {
            book.given("CreateProduct", named(number, name));
        }
        let slugs: Vec<_> = (1..).zip(names).map(|(number, _)| slug(&book, number)).collect();
        assert_eq!(slugs, ["lopata-lodzka", "سكر", "tee", "tee-2", "tee-3", "product", "product-2"]);
        let taken = json!({ "product_id": product(99), "name": "Tee", "slug": "tee-2" });
        assert_eq!(code(book.when("CreateProduct", taken)), "slug_taken", "a slug that is given is not changed");
    }

    #[test]
    fn a_name_that_many_products_have_reads_a_bounded_number_of_slugs() {
        let mut book = Book::new();
        for number in 1..=30 {
            book.given("CreateProduct", named(number, "Tee"));
            assert!(book.loaded.get() <= usize::from(LAST_SUFFIX) + 2, "{} streams are loaded", book.loaded.get());
        }
        let slugs: std::collections::BTreeSet<_> = (1..=30).map(|number| slug(&book, number)).collect();
        assert_eq!(slugs.len(), 30);
        assert!(slugs.contains("tee-9") && slug(&book, 30).starts_with("tee-0000"), "{slugs:?}");
    }
}
