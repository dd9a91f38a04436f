//! Rules of carts.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Book, cart, code, customer, product};
use crate::{Actor, Fold, Source, State, cart::Cart, cart::OpenedCart};

fn opened(book: &Book, number: u128) -> OpenedCart {
    match book.find(&Cart::stream(&cart(number))) {
        Some((State::Cart(Cart::Open(cart)), _)) => cart.clone(),
        other => panic!("the cart is not open: {other:?}"),
    }
}

fn line(number: u128, sku: &str, quantity: u32) -> Value {
    json!({ "cart_id": cart(number), "sku": sku, "quantity": quantity })
}

#[test]
fn quantities_of_one_sku_add_up_in_one_line() {
    let mut book = Book::with_product("a", 1);
    book.with_cart(1, &[("a", 2), ("a", 3)]);
    assert_eq!(opened(&book, 1).lines[0].quantity.units(), 5);
    let both = json!({ "cart_id": cart(1), "lines": [{ "sku": "a", "quantity": 1 }, { "sku": "a", "quantity": 1 }] });
    book.given("AddLines", both);
    assert_eq!(opened(&book, 1).lines[0].quantity.units(), 7);
    assert_eq!(code(book.when("AddLine", line(1, "a", 10_000_000))), "quantity_too_large");
}

#[test]
fn only_what_is_on_sale_in_the_currency_of_the_cart_is_added() {
    let mut book = Book::with_product("a", 1);
    book.with_cart(1, &[]);
    book.given("OpenCart", json!({ "cart_id": cart(2), "currency": "USD" }));
    book.given("CreateProduct", json!({ "product_id": product(2), "name": "P", "variants": [{ "sku": "b" }] }));
    assert_eq!(code(book.when("AddLine", line(1, "c", 1))), "unknown_sku");
    assert_eq!(code(book.when("AddLine", line(1, "b", 1))), "not_on_sale");
    assert_eq!(code(book.when("AddLine", line(2, "a", 1))), "no_price");
    assert_eq!(code(book.when("AddLines", json!({ "cart_id": cart(1), "lines": [] }))), "no_lines");
    let many: Vec<_> = (0..501).map(|nr| json!({ "sku": format!("s{nr}"), "quantity": 1 })).collect();
    assert_eq!(code(book.when("AddLines", json!({ "cart_id": cart(1), "lines": many }))), "too_many_lines");
}

#[test]
fn lines_are_changed_and_taken_out() {
    let mut book = Book::with_product("a", 1);
    book.with_cart(1, &[("a", 2)]);
    assert_eq!(code(book.when("ChangeQuantity", line(1, "a", 2))), "quantity_unchanged");
    assert_eq!(code(book.when("ChangeQuantity", line(1, "b", 2))), "line_not_found");
    book.given("ChangeQuantity", line(1, "a", 9));
    assert_eq!(opened(&book, 1).lines[0].quantity.units(), 9);
    book.given("RemoveLine", json!({ "cart_id": cart(1), "sku": "a" }));
    assert_eq!(code(book.when("RemoveLine", json!({ "cart_id": cart(1), "sku": "a" }))), "line_not_found");
    book.given("AbandonCart", json!({ "cart_id": cart(1) }));
    assert_eq!(code(book.when("AddLine", line(1, "a", 1))), "cart_closed");
    assert_eq!(code(book.when("AddLine", line(9, "a", 1))), "cart_not_found");
}

#[test]
fn a_cart_expires_a_week_or_a_month_after_its_last_change() {
    let mut book = Book::with_product("a", 1);
    book.with_cart(1, &[("a", 1)]);
    book.given("OpenCart", json!({ "cart_id": cart(2), "currency": "EUR", "customer_id": "ann" }));
    book.pass(TimeDelta::days(6)).given("AddLine", line(1, "a", 1));
    book.pass(TimeDelta::days(7));
    assert_eq!(code(book.when("AddLine", line(1, "a", 1))), "cart_expired");
    book.given("AddLine", line(2, "a", 1)).pass(TimeDelta::days(30));
    assert_eq!(code(book.when("AddLine", line(2, "a", 1))), "cart_expired");
}

#[test]
fn a_customer_touches_only_their_own_cart() {
    let mut book = Book::with_product("a", 1);
    let open = json!({ "cart_id": cart(1), "currency": "EUR", "customer_id": "ann" });
    assert_eq!(code(book.when_as(customer("bob"), "OpenCart", open.clone())), "cart_for_somebody_else");
    assert_eq!(code(book.when_as(Actor::Guest, "OpenCart", open.clone())), "cart_for_somebody_else");
    assert!(book.when_as(customer("ann"), "OpenCart", open.clone()).is_ok());
    assert_eq!(code(book.when("OpenCart", open)), "cart_exists");
    assert_eq!(code(book.when_as(customer("bob"), "AddLine", line(1, "a", 1))), "cart_not_yours");
    assert_eq!(code(book.when_as(Actor::Guest, "AddLine", line(1, "a", 1))), "cart_not_yours");
    assert!(book.when_as(customer("ann"), "AddLine", line(1, "a", 1)).is_ok());
}

#[test]
fn merging_at_login_loses_no_line() {
    let mut book = Book::with_product("a", 1);
    book.put_on_sale(2, "b", 100, 1);
    book.with_cart(1, &[("a", 2), ("b", 1)]);
    book.given("OpenCart", json!({ "cart_id": cart(2), "currency": "EUR", "customer_id": "ann" }));
    book.given("AddLine", line(2, "b", 4));
    let merge = |from: u128, into: u128| json!({ "from": cart(from), "into": cart(into) });
    assert_eq!(code(book.when("MergeCarts", merge(1, 1))), "merge_into_itself");
    let merged = book.when_as(customer("ann"), "MergeCarts", merge(1, 2));
    assert_eq!(merged, Ok(vec!["CartMerged", "CartMergedInto"]));
    let lines = opened(&book, 2).lines;
    let lines: Vec<_> = lines.iter().map(|line| (line.sku.as_str(), line.quantity.units())).collect();
    assert_eq!(lines, [("b", 5), ("a", 2)]);
    assert_eq!(code(book.when("AddLine", line(1, "a", 1))), "cart_closed");
    book.given("OpenCart", json!({ "cart_id": cart(3), "currency": "EUR", "customer_id": "bob" }));
    assert_eq!(code(book.when("MergeCarts", merge(3, 2))), "cart_not_yours");
    book.given("OpenCart", json!({ "cart_id": cart(4), "currency": "USD" }));
    assert_eq!(code(book.when("MergeCarts", merge(4, 2))), "carts_differ");
}
