//! Rules of the inventory.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Book, code, reservation};

fn reserve(number: u128, quantity: u32) -> Value {
    json!({ "sku": "a", "reservation_id": reservation(number), "owner": "me", "quantity": quantity })
}

#[test]
fn no_more_is_reserved_than_is_there() {
    let mut book = Book::with_product("a", 5);
    book.given("ReserveStock", reserve(1, 3));
    let refusal = book.when("ReserveStock", reserve(2, 3)).expect_err("there are two");
    assert_eq!((refusal.code().as_str(), &refusal.data()["available"]), ("insufficient_stock", &json!(2)));
    assert_eq!(code(book.when("ReserveStock", reserve(1, 1))), "reservation_exists");
    book.given("ReserveStock", reserve(2, 2));
    assert_eq!(book.stock("a"), (5, 5));
}

#[test]
fn a_reservation_is_given_up_or_becomes_goods_that_have_left_once() {
    let mut book = Book::with_product("a", 5);
    book.given("ReserveStock", reserve(1, 2)).given("ReserveStock", reserve(2, 2));
    let named = |number: u128| json!({ "sku": "a", "reservation_id": reservation(number) });
    book.given("ReleaseStock", named(1)).given("CommitReservation", named(2));
    assert_eq!(book.stock("a"), (3, 0));
    assert_eq!(code(book.when("ReleaseStock", named(1))), "reservation_not_found");
    assert_eq!(code(book.when("CommitReservation", named(2))), "reservation_not_found");
}

#[test]
fn an_expired_reservation_gives_way_and_not_before() {
    let mut book = Book::with_product("a", 2);
    let mut body = reserve(1, 2);
    body["expires_at"] = json!(book.now + TimeDelta::minutes(10));
    book.given("ReserveStock", body.clone());
    assert_eq!(code(book.when("ReserveStock", reserve(2, 1))), "insufficient_stock");
    book.pass(TimeDelta::minutes(10));
    assert_eq!(book.when("ReserveStock", reserve(2, 1)), Ok(vec!["ReservationReleased", "StockReserved"]));
    body["reservation_id"] = json!(reservation(3));
    assert_eq!(code(book.when("ReserveStock", body)), "expiry_in_the_past");
}

#[test]
fn backorders_let_more_be_reserved_than_is_there() {
    let mut book = Book::with_product("a", 1);
    book.given("SetBackorders", json!({ "sku": "a", "allowed": true })).given("ReserveStock", reserve(1, 4));
    assert_eq!(book.stock("a"), (1, 4));
    assert_eq!(code(book.when("SetBackorders", json!({ "sku": "a", "allowed": true }))), "backorders_unchanged");
    book.given("SetBackorders", json!({ "sku": "a", "allowed": false }));
    assert_eq!(code(book.when("ReserveStock", reserve(2, 1))), "insufficient_stock");
}

#[test]
fn goods_are_moved_and_counts_corrected_within_what_is_free() {
    let mut book = Book::with_product("a", 5);
    book.given("ReserveStock", reserve(1, 3));
    let transfer = |quantity: u32, to: &str| json!({ "sku": "a", "from": "main", "to": to, "quantity": quantity });
    assert_eq!(code(book.when("TransferStock", transfer(3, "shop"))), "insufficient_stock");
    assert_eq!(code(book.when("TransferStock", transfer(1, "main"))), "same_location");
    assert_eq!(book.when("TransferStock", transfer(1, "shop")), Ok(vec!["StockTransferredOut", "StockTransferredIn"]));
    let adjust = |delta: i32| json!({ "sku": "a", "delta": delta, "reason": "count" });
    assert_eq!(code(book.when("AdjustStock", adjust(-2))), "insufficient_stock");
    assert_eq!(code(book.when("AdjustStock", adjust(0))), "delta_out_of_range");
    book.given("AdjustStock", adjust(-1)).given("AdjustStock", adjust(4));
    assert_eq!(book.stock("a"), (7, 3));
    assert_eq!(code(book.when("ReceiveStock", json!({ "sku": "b", "quantity": 1 }))), "unknown_sku");
}

#[test]
fn a_claim_whose_time_is_over_is_in_nobodys_way_and_nobodys_any_more() {
    let mut book = Book::with_product("a", 2);
    let mut claim = reserve(1, 2);
    claim["expires_at"] = json!(book.now + chrono::TimeDelta::minutes(5));
    book.given("ReserveStock", claim);
    book.now += chrono::TimeDelta::minutes(10);
    let claimed = json!({ "sku": "a", "reservation_id": reservation(1) });
    assert_eq!(code(book.when("CommitReservation", claimed)), "reservation_expired");
    let transfer = json!({ "sku": "a", "from": "main", "to": "shop", "quantity": 1 });
    let moved = Ok(vec!["ReservationReleased", "StockTransferredOut", "StockTransferredIn"]);
    assert_eq!(book.when("TransferStock", transfer), moved);
    assert_eq!(
        book.when("AdjustStock", json!({ "sku": "a", "delta": -1, "reason": "count" })),
        Ok(vec!["StockAdjusted"])
    );
}
