//! What holds whatever happens.

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Book, cart, order, reservation};
use crate::{
    Actor, Command, Event, Slice, State, StreamName, Streams,
    cart::Cart,
    inventory::{Stock, StockId},
    order::{Event as OrderEvent, Order},
};

/// Anything that moves stock, by a few ids so that commands meet each other.
fn move_of_stock() -> impl Strategy<Value = (&'static str, Value)> {
    let id = 0..4_u128;
    prop_oneof![
        (1..5_u32).prop_map(|n| ("ReceiveStock", json!({ "sku": "a", "quantity": n }))),
        (-5..5_i32).prop_map(|n| ("AdjustStock", json!({ "sku": "a", "delta": n, "reason": "count" }))),
        (id.clone(), 1..4_u32, prop::option::of(1..30_i64)).prop_map(|(id, n, minutes)| {
            let mut body = json!({ "sku": "a", "reservation_id": reservation(id), "owner": "me", "quantity": n });
            if let Some(minutes) = minutes {
                body["minutes"] = json!(minutes);
            }
            ("ReserveStock", body)
        }),
        id.clone().prop_map(|id| ("ReleaseStock", json!({ "sku": "a", "reservation_id": reservation(id) }))),
        id.clone().prop_map(|id| ("CommitReservation", json!({ "sku": "a", "reservation_id": reservation(id) }))),
        (1..4_u32).prop_map(|n| ("TransferStock", json!({ "sku": "a", "from": "main", "to": "shop", "quantity": n }))),
        id.clone().prop_map(|id| ("PlaceOrder", json!({ "cart_id": cart(id), "order_id": order(id) }))),
        id.clone().prop_map(|id| ("CancelOrder", json!({ "order_id": order(id), "reason": "r" }))),
        id.clone().prop_map(|id| ("ConfirmOrder", json!({ "order_id": order(id) }))),
        id.clone().prop_map(|id| ("StartFulfilment", json!({ "order_id": order(id) }))),
        id.prop_map(|id| ("ShipOrder", json!({ "order_id": order(id) }))),
        Just(("", json!(null))),
    ]
}

/// Plays moves; the empty one lets ten minutes pass.
fn play(moves: Vec<(&'static str, Value)>) -> Book {
    let mut book = Book::with_product("a", 6);
    for number in 0..4 {
        book.with_cart(number, &[("a", 1 + u32::try_from(number).expect("it is small"))]);
    }
    for (name, mut body) in moves {
        if name.is_empty() {
            book.pass(TimeDelta::minutes(10));
            continue;
        }
        if let Some(minutes) = body.as_object_mut().and_then(|body| body.remove("minutes")) {
            let minutes = TimeDelta::minutes(minutes.as_i64().expect("a number"));
            body["expires_at"] = json!(book.now + minutes);
        }
        // Refusals are fine; what was accepted must keep the promise.
        let _outcome = book.when(name, body);
        let (on_hand, reserved) = book.stock("a");
        assert!(on_hand >= reserved, "{reserved} of {on_hand} are reserved");
        assert!(reserved >= 0, "{reserved} are reserved");
    }
    book
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_oversells_in_any_interleaving(moves in prop::collection::vec(move_of_stock(), 1..60)) {
        let book = play(moves);
        let stock = book.state::<Stock>(&StockId { sku: "a".parse().expect("valid"), location: "main".parse().expect("valid") });
        let open: i64 = stock.reservations.values().map(|reservation| reservation.quantity.signed()).sum();
        prop_assert_eq!(open, stock.reserved, "what is reserved is the sum of the open reservations");
    }

    #[test]
    fn folding_any_prefix_in_any_order_never_fails(
        moves in prop::collection::vec(move_of_stock(), 1..40),
        shuffle in prop::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let events: Vec<Event> = play(moves).events.into_iter().map(|(_, event)| event).collect();
        for prefix in Slice::ALL.iter().flat_map(|slice| slice.stream_prefixes()) {
            let mut state = State::empty(&StreamName::of(prefix, "x")).expect("the prefix is known");
            for index in &shuffle {
                state.evolve(index.get(&events), chrono::DateTime::UNIX_EPOCH);
            }
            let _size = state.heap_size();
        }
    }

    #[test]
    fn totals_add_up(lines in prop::collection::vec((0..5_u128, 1..1_000_u32), 1..12), prices in prop::array::uniform5(0..1_000_000_i64)) {
        let mut book = Book::new();
        for (number, price) in (0_u128..).zip(prices) {
            book.put_on_sale(number + 1, &format!("s{number}"), price, 10_000_000);
        }
        book.with_cart(1, &[]);
        for (number, quantity) in &lines {
            book.given("AddLine", json!({ "cart_id": cart(1), "sku": format!("s{number}"), "quantity": quantity }));
        }
        book.given("PlaceOrder", json!({ "cart_id": cart(1), "order_id": order(1) }));
        let placed = book.events.iter().find_map(|(_, event)| match event {
            Event::Order(OrderEvent::OrderPlaced(placed)) => Some(placed.clone()),
            _ => None,
        });
        let placed = placed.expect("it was placed");
        let expected: i64 = lines.iter().map(|(n, q)| prices[usize::try_from(*n).expect("small")] * i64::from(*q)).sum();
        let summed: i64 = placed.lines.iter().map(|line| line.line_total.minor_units).sum();
        prop_assert_eq!((summed, placed.totals.net.minor_units), (expected, expected));
        prop_assert_eq!(placed.totals.gross.minor_units - placed.totals.discount.minor_units, expected);
    }

    #[test]
    fn merging_loses_nothing(from in prop::collection::vec((0..5_u128, 1..50_u32), 0..10), into in prop::collection::vec((0..5_u128, 1..50_u32), 0..10)) {
        let mut book = Book::new();
        for number in 0..5_u128 {
            book.put_on_sale(number + 1, &format!("s{number}"), 100, 1);
        }
        for (number, lines) in [(1, &from), (2, &into)] {
            book.with_cart(number, &[]);
            for (sku, quantity) in lines {
                book.given("AddLine", json!({ "cart_id": cart(number), "sku": format!("s{sku}"), "quantity": quantity }));
            }
        }
        book.given("MergeCarts", json!({ "from": cart(1), "into": cart(2) }));
        let Cart::Open(merged) = book.state::<Cart>(&cart(2)) else { panic!("it is open") };
        for number in 0..5_u128 {
            let expected: u32 = from.iter().chain(&into).filter(|(n, _)| *n == number).map(|(_, q)| q).sum();
            let sku = format!("s{number}").parse().expect("valid");
            prop_assert_eq!(merged.line(&sku).map_or(0, |line| line.quantity.units()), expected);
        }
    }

    #[test]
    fn deciding_twice_on_the_same_book_decides_the_same(moves in prop::collection::vec(move_of_stock(), 1..20)) {
        let mut book = play(moves);
        let command = Command::deserialize("PlaceOrder", json!({ "cart_id": cart(3), "order_id": order(77) }));
        let command = command.expect("it exists").expect("it has the form");
        let context = crate::Context { now: book.now, actor: Actor::Guest, command_id: uuid::Uuid::nil(), storefront: Default::default() };
        let once = crate::Decide::decide(&command, &context, &Streams::over(&book));
        let twice = crate::Decide::decide(&command, &context, &Streams::over(&book));
        prop_assert_eq!(once, twice);
        book.pass(TimeDelta::zero());
    }
}

#[test]
fn an_empty_stock_and_an_empty_order_are_nothing() {
    let now = chrono::DateTime::UNIX_EPOCH;
    assert_eq!((Stock::default().level(now).available(), Order::default().record()), (0, None));
}
