//! Rules of the catalog.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::{Book, code, product};
use crate::{Fold, Source, State, catalog::SkuRecord};

fn draft(number: u128, sku: &str) -> serde_json::Value {
    json!({ "product_id": product(number), "name": "P", "variants": [{ "sku": sku }] })
}

#[test]
fn a_sku_belongs_to_one_product_for_ever() {
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
fn a_slug_leads_to_one_product_and_is_free_again_when_it_is_given_up() {
    let mut book = Book::new();
    let with_slug = |number: u128, slug: &str| json!({ "product_id": product(number), "name": "P", "slug": slug });
    book.given("CreateProduct", with_slug(1, "oat"));
    assert_eq!(code(book.when("CreateProduct", with_slug(2, "oat"))), "slug_taken");
    let revised = book.when("ReviseProduct", json!({ "product_id": product(1), "slug": "oat-milk" }));
    assert_eq!(revised, Ok(vec!["SlugClaimed", "SlugReleased", "ProductRevised"]));
    book.given("CreateProduct", with_slug(2, "oat"));
    let same = book.when("ReviseProduct", json!({ "product_id": product(2), "slug": "oat" }));
    assert_eq!(code(same), "nothing_changes");
}

#[test]
fn a_product_is_published_when_it_can_be_sold() {
    let mut book = Book::new();
    let id = json!({ "product_id": product(1) });
    assert_eq!(code(book.when("PublishProduct", id.clone())), "product_not_found");
    book.given("CreateProduct", json!({ "product_id": product(1), "name": "P" }));
    assert_eq!(code(book.when("PublishProduct", id.clone())), "nothing_to_sell");
    book.given("AddVariant", json!({ "product_id": product(1), "sku": "a" })).given("PublishProduct", id.clone());
    assert_eq!(code(book.when("PublishProduct", id.clone())), "nothing_changes");
    book.given("ArchiveProduct", id.clone());
    assert_eq!(code(book.when("ArchiveProduct", id)), "nothing_changes");
}

#[test]
fn prices_are_per_channel_and_currency_and_their_history_is_kept() {
    let mut book = Book::new();
    book.given("CreateProduct", draft(1, "a"));
    let price = |cents: i64, currency: &str, channel: &str| json!({ "sku": "a", "channel": channel, "price": { "minor_units": cents, "currency": currency } });
    book.given("SetPrice", price(300, "EUR", "web")).given("SetPrice", price(400, "USD", "web"));
    book.given("SetPrice", price(350, "EUR", "shop"));
    book.pass(TimeDelta::days(40)).given("SetPrice", price(500, "EUR", "web"));
    book.pass(TimeDelta::days(10)).given("SetPrice", price(450, "EUR", "web"));
    assert_eq!(code(book.when("SetPrice", price(450, "EUR", "web"))), "price_unchanged");
    assert_eq!(code(book.when("SetPrice", price(-1, "EUR", "web"))), "price_out_of_range");
    let unknown = json!({ "sku": "b", "price": { "minor_units": 1, "currency": "EUR" } });
    assert_eq!(code(book.when("SetPrice", unknown)), "unknown_sku");
    let Some((State::SkuRecord(record), _)) = book.find(&SkuRecord::stream(&"a".parse().expect("valid"))) else {
        panic!("the SKU is known")
    };
    let (channel, currency) = ("web".parse().expect("valid"), "EUR".parse().expect("valid"));
    let list = record.price_list(&channel, currency).expect("there is one");
    assert_eq!(list.lowest(book.now).minor_units, 300, "what was asked 30 days ago still counts");
    assert_eq!(list.lowest(book.now + TimeDelta::days(25)).minor_units, 450, "later it does not");
    assert_eq!(record.price(&channel, "USD".parse().expect("valid")).expect("there is one").minor_units, 400);
}

#[test]
fn categories_are_a_tree() {
    let mut book = Book::new();
    let id = Uuid::from_u128;
    let create = |number: u128, parent: Option<u128>| json!({ "category_id": id(number), "parent": parent.map(id), "name": "C" });
    book.given("CreateCategory", create(1, None)).given("CreateCategory", create(2, Some(1)));
    book.given("CreateCategory", create(3, Some(2)));
    assert_eq!(code(book.when("CreateCategory", create(3, None))), "category_exists");
    assert_eq!(code(book.when("CreateCategory", create(4, Some(9)))), "category_not_found");
    let to = |number: u128, parent: Option<u128>| json!({ "category_id": id(number), "parent": parent.map(id) });
    assert_eq!(code(book.when("MoveCategory", to(1, Some(3)))), "category_cycle");
    assert_eq!(code(book.when("MoveCategory", to(3, Some(2)))), "category_unmoved");
    assert_eq!(code(book.when("MoveCategory", to(9, None))), "category_not_found");
    assert_eq!(book.when("MoveCategory", to(3, Some(1))), Ok(vec!["CategoryMoved"]));
}
