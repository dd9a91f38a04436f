//! Decoding returns the encoded event, and an error names an unknown type, version or form.

use daybook_codec::{decode, encode};
use daybook_domain::{Event, cart, ids, inventory, order};
use proptest::prelude::*;
use uuid::Uuid;

fn sku() -> impl Strategy<Value = ids::Sku> {
    "[a-zA-Z0-9._:/+-]{1,64}".prop_map(|text| text.parse().expect("a SKU"))
}

fn quantity() -> impl Strategy<Value = daybook_domain::Quantity> {
    (1..=10_000_000_i64).prop_map(|units| daybook_domain::Quantity::new(units).expect("a quantity"))
}

fn event() -> impl Strategy<Value = Event> {
    let id = || any::<u128>().prop_map(Uuid::from_u128);
    let money = any::<i64>().prop_map(|minor| daybook_domain::Money::new(minor, "EUR".parse().expect("a currency")));
    prop_oneof![
        (id(), sku(), prop::option::of(id()), quantity(), money).prop_map(
            |(cart_id, sku, product_id, quantity, unit_price)| {
                let (cart_id, product_id) = (ids::CartId(cart_id), product_id.map(ids::ProductId));
                cart::Event::from(cart::LineAdded { cart_id, sku, product_id, quantity, unit_price }).into()
            }
        ),
        (sku(), "[^\\p{C}]{1,500}").prop_filter_map("a reason", |(sku, reason)| {
            let (location, reason) = (ids::LocationId::default(), reason.parse().ok()?);
            Some(inventory::Event::from(inventory::StockAdjusted { sku, location, delta: -1, reason }).into())
        }),
        (id(), "(?s).{1,2000}").prop_filter_map("a note", |(order_id, note)| {
            let note = note.parse().ok()?;
            Some(order::Event::from(order::NoteAdded { order_id: ids::OrderId(order_id), note }).into())
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn decoding_returns_the_encoded_event(event in event()) {
        let written = encode(&event).expect("the event is encoded");
        let read = decode(written.event_type, written.schema_version, written.data.as_bytes());
        prop_assert_eq!(read.expect("the event is decoded"), event);
    }
}

#[test]
fn an_unknown_type_version_or_form_is_named_in_the_error() {
    let error = |name: &str, version: i16, data: &str| {
        decode(name, version, data.as_bytes()).expect_err("decoding fails").to_string()
    };
    assert_eq!(error("order.Nothing", 1, "{}"), "there is no event type `order.Nothing`");
    let version = "event type `order.OrderConfirmed` has no schema version 9; this program knows 1 to 1";
    assert_eq!(error("order.OrderConfirmed", 9, "{}"), version);
    for version in [0, -1] {
        assert!(error("order.OrderConfirmed", version, "{}").contains("has no schema version"));
    }
    let form = "`order.OrderConfirmed` does not have the form of its schema";
    assert!(error("order.OrderConfirmed", 1, "{}").starts_with(form));
    let twice = r#"{"order_id":"018f0000-0000-7000-8000-000000000003"}{}"#;
    assert!(error("order.OrderConfirmed", 1, twice).starts_with(form), "text after the event is refused");
    assert!(error("order.OrderPlaced", 1, "[]").contains("does not have the form"));
}

#[test]
fn texts_and_currencies_of_an_earlier_day_are_read_as_they_stand() {
    let id = Uuid::from_u128(1);
    for name in ["\u{200b}", " Oat ", "cafe\u{301}", "a\u{202e}b", "\u{a0}"] {
        let stored = serde_json::json!({ "product_id": id, "name": name, "slug": "oat" }).to_string();
        let event = daybook_codec::decode("catalog.ProductCreated", 1, stored.as_bytes()).expect("it was written once");
        let written = daybook_codec::encode(&event).expect("it is written");
        let again: serde_json::Value = serde_json::from_str(&written.data).expect("it is JSON");
        assert_eq!(again["name"], name);
    }
    let price = serde_json::json!({ "sku": " a\u{301} ", "product_id": id, "channel": "web",
                                    "price": { "minor_units": 1999, "currency": "QQQ" } });
    daybook_codec::decode("catalog.PriceSet", 1, price.to_string().as_bytes()).expect("a later program has written it");
}

#[test]
fn an_order_from_before_variants_were_kept_is_read_and_written_as_it_was() {
    let id = "018f0000-0000-7000-8000-000000000003";
    let data = format!(
        r#"{{"order_id":"{id}","cart_id":"{id}","channel":"web","currency":"EUR","lines":[{{"sku":"a","product_id":"{id}","name":"Tee","quantity":1,"unit_price":{{"minor_units":1,"currency":"EUR"}},"line_total":{{"minor_units":1,"currency":"EUR"}},"location":"main","reservation_id":"{id}"}}],"totals":{{"gross":{{"minor_units":1,"currency":"EUR"}},"discount":{{"minor_units":0,"currency":"EUR"}},"net":{{"minor_units":1,"currency":"EUR"}}}},"placed_at":"2026-01-01T00:00:00Z"}}"#
    );
    let read = decode("order.OrderPlaced", 2, data.as_bytes()).expect("it is read");
    let Event::Order(order::Event::OrderPlaced(placed)) = &read else { panic!("it is an order") };
    assert!(placed.lines[0].variant_name.is_none() && placed.lines[0].options.is_empty());
    assert_eq!(encode(&read).expect("it is written").data, data);
}
