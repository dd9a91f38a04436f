//! Rules of orders and checkout.

use serde_json::{Value, json};

use super::{Book, cart, code, customer, order, product};
use crate::{
    Actor, Fold, Role, Source, State,
    order::{
        Order, OrderRecord,
        moves::{Destination, MOVES, Phase, diagram, next_moves},
    },
};

fn place(number: u128) -> Value {
    json!({ "cart_id": cart(number), "order_id": order(number) })
}

fn record(book: &Book, number: u128) -> OrderRecord {
    match book.find(&Order::stream(&order(number))) {
        Some((State::Order(Order(Some(order))), _)) => order.clone(),
        other => panic!("no order: {other:?}"),
    }
}

fn named(number: u128) -> Value {
    json!({ "order_id": order(number), "reason": "because" })
}

/// A move with the body that it takes.
fn make(book: &mut Book, command: &str) -> Result<Vec<&'static str>, crate::Refusal> {
    let reasoned = ["HoldOrder", "CancelOrder", "ReturnOrder", "RefundOrder"].contains(&command);
    book.when(command, if reasoned { named(1) } else { json!({ "order_id": order(1) }) })
}

#[test]
fn checkout_writes_order_cart_and_stock_together() {
    let mut book = Book::with_product("a", 5);
    book.put_on_sale(2, "b", 50, 9).with_cart(1, &[("a", 2), ("b", 3)]);
    let events = book.when("PlaceOrder", place(1));
    assert_eq!(events, Ok(vec!["OrderPlaced", "CartCheckedOut", "StockReserved", "StockReserved"]));
    assert_eq!((book.stock("a"), book.stock("b")), ((5, 2), (9, 3)));
    assert_eq!(record(&book, 1).totals.net.minor_units, 2 * 199 + 3 * 50);
    assert_eq!(code(book.when("PlaceOrder", place(1))), "cart_closed");
}

#[test]
fn what_cannot_be_had_is_not_ordered_and_nothing_else_either() {
    let mut book = Book::with_product("a", 5);
    book.put_on_sale(2, "b", 50, 1).with_cart(1, &[("a", 2), ("b", 3)]).with_cart(2, &[]);
    assert_eq!(code(book.when("PlaceOrder", place(1))), "insufficient_stock");
    assert_eq!(book.stock("a"), (5, 0));
    assert_eq!(code(book.when("PlaceOrder", place(2))), "cart_empty");
    let nowhere = json!({ "cart_id": cart(1), "order_id": order(1), "locations": [] });
    assert_eq!(code(book.when("PlaceOrder", nowhere)), "location_count");
    book.given("ArchiveProduct", json!({ "product_id": product(2) }));
    assert_eq!(code(book.when("PlaceOrder", place(1))), "no_longer_on_sale");
}

#[test]
fn goods_come_from_the_first_location_that_has_enough() {
    let mut book = Book::with_product("a", 1);
    book.given("ReceiveStock", json!({ "sku": "a", "location": "shop", "quantity": 5 })).with_cart(1, &[("a", 2)]);
    let body = json!({ "cart_id": cart(1), "order_id": order(1), "locations": ["main", "shop"] });
    book.given("PlaceOrder", body);
    assert_eq!(record(&book, 1).lines[0].reserved.as_ref().map(|(place, _)| place.as_str()), Some("shop"));
}

#[test]
fn a_total_is_what_was_shown_and_frozen_when_it_is_agreed() {
    let mut book = Book::with_product("a", 5);
    book.with_cart(1, &[("a", 1)]);
    let mut body = place(1);
    body["expected_total"] = json!({ "minor_units": 198, "currency": "EUR" });
    assert_eq!(code(book.when("PlaceOrder", body.clone())), "total_changed");
    body["expected_total"] = json!({ "minor_units": 199, "currency": "EUR" });
    book.given("PlaceOrder", body);
    book.given("SetPrice", json!({ "sku": "a", "price": { "minor_units": 900, "currency": "EUR" } }));
    book.given("ConfirmOrder", json!({ "order_id": order(1) }));
    assert_eq!(record(&book, 1).totals.net.minor_units, 199);
}

#[test]
fn cancelling_frees_the_stock_and_shipping_takes_it() {
    let mut book = Book::with_product("a", 5);
    book.with_cart(1, &[("a", 2)]).with_cart(2, &[("a", 1)]);
    book.given("PlaceOrder", place(1)).given("PlaceOrder", place(2));
    assert_eq!(book.when("CancelOrder", named(2)), Ok(vec!["OrderCancelled", "ReservationReleased"]));
    book.given("ConfirmOrder", json!({ "order_id": order(1) }))
        .given("StartFulfilment", json!({ "order_id": order(1) }));
    assert_eq!(
        book.when("ShipOrder", json!({ "order_id": order(1) })),
        Ok(vec!["OrderShipped", "ReservationCommitted"])
    );
    assert_eq!(book.stock("a"), (3, 0));
}

#[test]
fn a_customer_cancels_their_own_order_until_it_is_confirmed() {
    let mut book = Book::with_product("a", 5);
    book.given("OpenCart", json!({ "cart_id": cart(1), "currency": "EUR", "customer_id": "ann" }));
    book.given("AddLine", json!({ "cart_id": cart(1), "sku": "a", "quantity": 1 })).given("PlaceOrder", place(1));
    assert_eq!(code(book.when_as(customer("bob"), "CancelOrder", named(1))), "order_not_yours");
    assert_eq!(code(book.when_as(Actor::Guest, "CancelOrder", named(1))), "order_not_yours");
    book.given("ConfirmOrder", json!({ "order_id": order(1) }));
    let refusal = book.when_as(customer("ann"), "CancelOrder", named(1)).expect_err("it is confirmed");
    assert_eq!((refusal.code().as_str(), &refusal.data()["next_moves"]), ("illegal_move", &json!([])));
    assert_eq!(code(book.when("ConfirmOrder", json!({ "order_id": order(9) }))), "order_not_found");
}

/// The shortest way from placement to each phase.
fn way_to(phase: Phase) -> &'static [&'static str] {
    match phase {
        Phase::Placed => &[],
        Phase::Confirmed => &["ConfirmOrder"],
        Phase::Held => &["HoldOrder"],
        Phase::InFulfilment => &["ConfirmOrder", "StartFulfilment"],
        Phase::Shipped => &["ConfirmOrder", "StartFulfilment", "ShipOrder"],
        Phase::Delivered => &["ConfirmOrder", "StartFulfilment", "ShipOrder", "DeliverOrder"],
        Phase::Cancelled => &["CancelOrder"],
        Phase::Returned => &["ConfirmOrder", "StartFulfilment", "ShipOrder", "ReturnOrder"],
        Phase::Refunded => &["CancelOrder", "RefundOrder"],
    }
}

#[test]
fn a_move_is_made_exactly_where_the_table_allows_it() {
    for phase in Phase::ALL {
        for legal in MOVES {
            let mut book = Book::with_product("a", 5);
            book.with_cart(1, &[("a", 1)]).given("PlaceOrder", place(1));
            for step in way_to(phase) {
                make(&mut book, step).expect("the way is legal");
            }
            assert_eq!(record(&book, 1).phase, phase);
            let allowed = next_moves(phase, Role::Admin).find(|other| other.command == legal.command);
            let made = make(&mut book, legal.command);
            assert_eq!(made.is_ok(), allowed.is_some(), "{} from {phase}: {made:?}", legal.command);
            if let Some(Destination::To(target)) = allowed.map(|allowed| allowed.to) {
                assert_eq!(record(&book, 1).phase, target);
            }
        }
    }
}

#[test]
fn a_held_order_goes_on_from_where_it_was_held() {
    for phase in [Phase::Placed, Phase::Confirmed, Phase::InFulfilment] {
        let mut book = Book::with_product("a", 5);
        book.with_cart(1, &[("a", 1)]).given("PlaceOrder", place(1));
        for step in way_to(phase) {
            make(&mut book, step).expect("the way is legal");
        }
        make(&mut book, "HoldOrder").expect("it can be held");
        make(&mut book, "ResumeOrder").expect("it can go on");
        assert_eq!(record(&book, 1).phase, phase);
    }
}

#[test]
fn the_map_draws_the_state_machine_as_it_is() {
    let map = include_str!("../../../../ARCHITECTURE.md");
    assert!(map.contains(&diagram()), "ARCHITECTURE.md does not draw:\n{}", diagram());
}

fn historical(reference: &str, lines: &Value) -> Value {
    json!({ "external_ref": reference, "customer_ref": "900", "channel": "store-1", "placed_at": "2017-01-01T10:00:00Z",
            "currency": "USD", "lines": lines })
}

#[test]
fn history_is_taken_in_once_and_touches_no_stock() {
    let mut book = Book::with_product("a", 5);
    let lines = json!([{ "sku": "a", "quantity": 30_000, "line_total": 500, "discount": 50 }]);
    book.given("ImportOrder", historical("x-1", &lines));
    assert_eq!(code(book.when("ImportOrder", historical("x-1", &lines))), "already_imported");
    assert_eq!(book.stock("a"), (5, 0));
    let wrong = |lines: Value| historical("x-2", &lines);
    let bad_quantity =
        json!([{ "sku": "z", "quantity": 1, "line_total": 1 }, { "sku": "a", "quantity": 0, "line_total": 1 }]);
    assert_eq!(code(book.when("ImportOrder", wrong(bad_quantity))), "quantity_not_positive");
    let unknown = json!([{ "sku": "z", "quantity": 1, "line_total": 1 }]);
    assert_eq!(code(book.when("ImportOrder", wrong(unknown))), "unknown_sku");
    let negative = json!([{ "sku": "a", "quantity": 1, "line_total": -1 }]);
    assert_eq!(code(book.when("ImportOrder", wrong(negative))), "amount_negative");
    assert_eq!(code(book.when("ImportOrder", wrong(json!([])))), "line_count");
    let overflow =
        json!([{ "sku": "a", "quantity": 1, "line_total": i64::MAX }, { "sku": "a", "quantity": 1, "line_total": 1 }]);
    assert_eq!(code(book.when("ImportOrder", wrong(overflow))), "amount_overflow");
}

#[test]
fn nobody_but_the_order_ends_what_it_has_claimed() {
    let mut book = Book::with_product("a", 1);
    book.with_cart(1, &[("a", 1)]).given("PlaceOrder", place(1));
    let claim = record(&book, 1).lines[0].reserved.clone().expect("a claim").1;
    let claimed = json!({ "sku": "a", "reservation_id": claim });
    assert_eq!(code(book.when("ReleaseStock", claimed.clone())), "reservation_of_order");
    assert_eq!(code(book.when("CommitReservation", claimed)), "reservation_of_order");
    let forged = json!({ "sku": "a", "reservation_id": order(9), "owner": "order:9", "quantity": 1 });
    assert_eq!(code(book.when("ReserveStock", forged)), "reservation_of_order");
    for command in ["ConfirmOrder", "StartFulfilment", "ShipOrder"] {
        book.given(command, json!({ "order_id": order(1) }));
    }
    assert_eq!(book.stock("a"), (0, 0));
}

#[test]
fn what_no_calendar_or_sum_can_hold_is_refused() {
    let mut book = Book::with_product("a", 1);
    let import = |placed_at: &str, line_total: i64| {
        json!({ "external_ref": "R-1", "placed_at": placed_at, "currency": "EUR",
                "lines": [{ "sku": "a", "quantity": 1, "line_total": line_total }] })
    };
    assert_eq!(code(book.when("ImportOrder", import("-9999-01-01T11:00:00Z", 1))), "placed_too_early");
    assert_eq!(
        code(book.when("ImportOrder", import("2020-01-01T11:00:00Z", 9_000_000_000_000_000_000))),
        "amount_overflow"
    );
    let far = json!({ "sku": "a", "reservation_id": order(9), "owner": "me", "quantity": 1,
                      "expires_at": "+12000-01-01T00:00:00Z" });
    assert_eq!(code(book.when("ReserveStock", far)), "expiry_out_of_range");
}
