//! A refusal points at the part of the body that the rule objects to, whichever command has it and whatever the field is called there.

use serde_json::{Value, json};

use super::{Book, cart, product};

fn pointer(book: &mut Book, command: &str, body: Value) -> String {
    book.pointer(command, body).unwrap_or_default()
}

#[test]
fn a_cart_of_a_merge_is_named_by_its_own_field() {
    let mut book = Book::with_product("a", 5);
    book.with_cart(1, &[("a", 1)]);
    assert_eq!(pointer(&mut book, "MergeCarts", json!({ "from": cart(9), "into": cart(1) })), "/from");
    assert_eq!(pointer(&mut book, "MergeCarts", json!({ "from": cart(1), "into": cart(9) })), "/into");
}

#[test]
fn a_category_is_named_where_the_command_names_it() {
    let mut book = Book::new();
    let category = |number: u128| json!(product(number));
    book.given("CreateCategory", json!({ "category_id": category(1), "name": "A" }));
    let create = json!({ "category_id": category(2), "name": "B", "parent": category(9) });
    assert_eq!(pointer(&mut book, "CreateCategory", create), "/parent");
    let mv = |id: u128, parent: u128| json!({ "category_id": category(id), "parent": category(parent) });
    assert_eq!(pointer(&mut book, "MoveCategory", mv(1, 9)), "/parent");
    assert_eq!(pointer(&mut book, "MoveCategory", mv(9, 1)), "/category_id");
    let product =
        json!({ "product_id": product(1), "name": "P", "slug": "p", "categories": [category(1), category(9)] });
    assert_eq!(pointer(&mut book, "CreateProduct", product), "/categories/1");
}

#[test]
fn a_sku_is_named_by_its_variant() {
    let mut book = Book::with_product("a", 5);
    let create = |skus: &[&str]| {
        let variants: Vec<_> = skus.iter().map(|sku| json!({ "sku": sku })).collect();
        json!({ "product_id": product(2), "name": "P", "slug": "p", "variants": variants })
    };
    assert_eq!(pointer(&mut book, "CreateProduct", create(&["b", "a"])), "/variants/1/sku");
    assert_eq!(pointer(&mut book, "CreateProduct", create(&["b", "c", "b"])), "/variants/2/sku");
}

#[test]
fn an_amount_is_named_by_its_own_field() {
    let mut book = Book::with_product("a", 5);
    let adjust = json!({ "sku": "a", "delta": -9, "reason": "count" });
    assert_eq!(pointer(&mut book, "AdjustStock", adjust), "/delta");
    let import = |line_total: i64, discount: i64| {
        let good = json!({ "sku": "a", "quantity": 1, "line_total": 1 });
        let bad = json!({ "sku": "a", "quantity": 1, "line_total": line_total, "discount": discount });
        json!({ "external_ref": "X", "currency": "EUR", "placed_at": "2020-01-01T00:00:00Z", "lines": [good, bad] })
    };
    assert_eq!(pointer(&mut book, "ImportOrder", import(-1, 0)), "/lines/1/line_total");
    assert_eq!(pointer(&mut book, "ImportOrder", import(1, -1)), "/lines/1/discount");
}
