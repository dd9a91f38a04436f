//! The journey of an order: cart, order, Kafka, read models, GraphQL; and again after a restart and after a kill.

use std::{collections::BTreeSet, time::Duration};

use daybook_tests::{Shop, directory, processes_in};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use serde_json::{Value, json};
use uuid::Uuid;

const PRODUCT: &str = "018f0000-0000-7000-8000-000000000001";
const CART: &str = "018f0000-0000-7000-8000-000000000002";
const ORDER: &str = "018f0000-0000-7000-8000-000000000003";

async fn accepted(shop: &Shop, name: &str, body: Value) -> Value {
    let answer = shop.command(name, &body).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    answer.body
}

async fn stock_up(shop: &Shop, units: u32) {
    let product = json!({ "product_id": PRODUCT, "name": "Oat milk", "slug": "oat-milk",
                          "variants": [{ "sku": "oat" }], "publish": true });
    accepted(shop, "CreateProduct", product).await;
    let price = json!({ "sku": "oat", "price": { "minor_units": 199, "currency": "EUR" } });
    accepted(shop, "SetPrice", price).await;
    accepted(shop, "ReceiveStock", json!({ "sku": "oat", "quantity": units })).await;
}

async fn place_order(shop: &Shop) -> Value {
    accepted(
        shop,
        "OpenCart",
        json!({ "cart_id": CART, "currency": "EUR", "customer_id": "01940000-0000-7000-8005-000000000001" }),
    )
    .await;
    accepted(shop, "AddLine", json!({ "cart_id": CART, "sku": "oat", "quantity": 2 })).await;
    accepted(shop, "PlaceOrder", json!({ "cart_id": CART, "order_id": ORDER })).await
}

/// The positions of every event on Kafka, in the order in which a plain consumer gets them.
fn consumed(shop: &Shop, events: usize) -> Vec<i64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", shop.ready("kafka_brokers"))
        .set("group.id", Uuid::from_u128(events as u128).to_string())
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer can be made");
    let topics = ["catalog", "inventory", "cart", "order"].map(|slice| format!("daybook.{slice}.events.v1"));
    consumer.subscribe(&topics.each_ref().map(String::as_str)).expect("topics can be subscribed to");
    let mut positions = Vec::new();
    let mut silences = 0;
    while positions.len() < events {
        // A poll also ends early, without a message, when partitions are assigned.
        let Some(message) = consumer.poll(Duration::from_secs(1)) else {
            silences += 1;
            assert!(silences < 180, "only {positions:?} came");
            continue;
        };
        let message = message.expect("a message");
        let headers = message.headers().expect("there are headers");
        let sequence = headers.iter().find(|header| header.key == "ce_sequence").and_then(|header| header.value);
        let text = std::str::from_utf8(sequence.expect("there is a sequence")).expect("it is text");
        positions.push(text.parse().expect("it is a number"));
        let value: Value = serde_json::from_slice(message.payload().expect("no value is empty")).expect("it is JSON");
        assert_eq!(value["_meta"]["sequence"], text, "the value repeats the headers");
    }
    positions
}

#[tokio::test]
async fn an_order_is_seen_everywhere_also_after_a_restart_and_a_kill() {
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    stock_up(&shop, 5).await;
    let receipt = place_order(&shop).await;
    let token = shop.ready("admin_token").to_owned();

    let position = receipt["position"].to_string();
    let headers = [
        ("authorization", &*format!("Bearer {token}")),
        ("content-type", "application/json"),
        ("x-min-position", &position),
    ];
    let query = format!(
        r#"{{ order(id: "{ORDER}") {{ phase net {{ minorUnits currency formatted }} lines {{ sku quantity }}
            timeline {{ version type actor }} nextMoves {{ command }} }}
            stock(sku: "oat") {{ onHand reserved available }} product(sku: "oat") {{ slug }}
            salesByDay(from: "2020-01-01", to: "2100-01-01") {{ orders units net {{ minorUnits }} }} }}"#
    );
    let answer = shop.send("POST", "/admin/graphql", &headers, json!({ "query": query }).to_string()).await;
    let data = &answer.body["data"];
    assert_eq!(data["order"]["phase"], "PLACED", "{}", answer.body);
    assert_eq!(data["order"]["net"], json!({ "minorUnits": 398, "currency": "EUR", "formatted": "3.98 EUR" }));
    assert_eq!(data["order"]["timeline"], json!([{ "version": 1, "type": "order.OrderPlaced", "actor": "admin:up" }]));
    assert_eq!(data["stock"], json!([{ "onHand": 5, "reserved": 2, "available": 3 }]));
    assert_eq!(data["product"], json!({ "slug": "oat-milk" }));
    assert_eq!(data["salesByDay"], json!([{ "orders": 1, "units": 2, "net": { "minorUnits": 398 } }]));

    let head = receipt["position"].as_i64().expect("a position");
    let positions = consumed(&shop, usize::try_from(head).expect("it is positive"));
    assert_eq!(positions.iter().collect::<BTreeSet<_>>().len(), positions.len(), "nothing comes twice");
    assert_eq!(positions.iter().max(), Some(&head), "nothing is missing");

    let (code, history) = shop.cli(&["history", "order", ORDER, "--json"]);
    let history: Value = serde_json::from_str(&history).expect("it is JSON");
    assert_eq!((code, &history["state"]["phase"]), (0, &json!("placed")));
    assert!(processes_in(directory.path()).len() > 1, "the shop and its PostgreSQL");
    assert!(shop.stop().success(), "Ctrl-C is a clean end");
    assert_eq!(processes_in(directory.path()), Vec::<String>::new(), "nothing is left behind");

    let shop = Shop::up(directory.path()).await;
    accepted(&shop, "ConfirmOrder", json!({ "order_id": ORDER })).await;
    shop.kill();

    let shop = Shop::up(directory.path()).await;
    let (_, history) = shop.cli(&["history", "order", ORDER, "--json"]);
    let history: Value = serde_json::from_str(&history).expect("it is JSON");
    assert_eq!(history["state"]["phase"], "confirmed", "the acknowledged order is in the book");
    accepted(&shop, "CancelOrder", json!({ "order_id": ORDER, "reason": "changed my mind" })).await;
    let query = r#"mutation { stockReceive(input: { sku: "oat", quantity: 1 }) { stock { available } } }"#;
    let answer = shop.graphql("/admin/graphql", Some(shop.ready("admin_token")), query, &json!({})).await;
    assert_eq!(answer.body["data"]["stockReceive"]["stock"], json!([{ "available": 6 }]), "{}", answer.body);
    let (code, verdict) = shop.cli(&["verify", "--json"]);
    assert_eq!(code, 0, "{verdict}");
    assert!(shop.stop().success());
}

#[tokio::test]
async fn a_repeated_command_gets_the_first_outcome() {
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    stock_up(&shop, 5).await;
    let token = shop.ready("admin_token").to_owned();
    let key = Uuid::from_u128(7);
    let body = json!({ "sku": "oat", "quantity": 3 });
    let first = shop.command_as(&token, "ReceiveStock", key, &body).await;
    let second = shop.command_as(&token, "ReceiveStock", key, &body).await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!((&first.body["position"], true), (&second.body["position"], second.body["replayed"] == json!(true)));
    let other = shop.command_as(&token, "ReceiveStock", key, &json!({ "sku": "oat", "quantity": 4 })).await;
    assert_eq!((other.status, &other.body["code"]), (409, &json!("idempotency_key_reused")));
}

#[tokio::test]
async fn a_flash_sale_never_oversells() {
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    stock_up(&shop, 20).await;
    let reserve = |number: u128| {
        let id = uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid();
        json!({ "sku": "oat", "reservation_id": id, "owner": format!("buyer:{id}"), "quantity": 1 })
    };
    let bodies: Vec<_> = (1..=60).map(reserve).collect();
    let mut outcomes = Vec::new();
    for chunk in bodies.chunks(20) {
        let mut answers = Vec::new();
        for body in chunk {
            answers.push(shop.command("ReserveStock", body));
        }
        for answer in answers {
            outcomes.push(answer.await);
        }
    }
    assert_eq!(outcomes.iter().filter(|answer| answer.status == 200).count(), 20);
    let refused: Vec<_> = outcomes.iter().filter(|answer| answer.status == 422).collect();
    assert_eq!(refused.len(), 40);
    assert!(refused.iter().all(|answer| answer.body["available"] == 0), "a refusal names the available quantity");
}

#[tokio::test]
async fn bad_input_gets_a_typed_answer_and_writes_nothing() {
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    stock_up(&shop, 5).await;
    let position = place_order(&shop).await["position"].to_string();
    let (_, before) = shop.cli(&["events", "--after", "0"]);
    let (_, other) = shop.cli(&["token", "--role", "customer", "--customer", "01940000-0000-7000-8005-000000000002"]);
    let other = other.trim();

    assert_bad_commands_are_refused(&shop).await;
    assert_actors_without_the_right_are_refused(&shop, other).await;
    assert_bad_requests_are_refused(&shop).await;
    assert_bad_queries_are_refused(&shop, other, &position).await;

    let (_, after) = shop.cli(&["events", "--after", "0"]);
    assert_eq!(before, after, "nothing was written");
}

/// Commands whose body has the wrong form, and commands that a rule refuses.
async fn assert_bad_commands_are_refused(shop: &Shop) {
    let line = |quantity: Value| json!({ "cart_id": CART, "sku": "oat", "quantity": quantity });
    let price =
        |minor: i64, currency: &str| json!({ "sku": "oat", "price": { "minor_units": minor, "currency": currency } });
    let new_cart = "018f0000-0000-7000-8000-0000000000ff";
    let many: Vec<_> = (0..10_000).map(|nr| json!({ "sku": format!("s{nr}"), "quantity": 1 })).collect();
    let cases: Vec<(&str, Value, u16, &str)> = vec![
        ("AddLine", line(json!(-1)), 400, "invalid_body"),
        ("AddLine", line(json!(1.5)), 400, "invalid_body"),
        ("AddLine", json!({ "cart_id": CART, "sku": "oat", "quantity": 1, "colour": "red" }), 400, "invalid_body"),
        ("Nonsense", json!({}), 404, "unknown_command"),
        ("SetPrice", price(1, "EURO"), 400, "invalid_body"),
        ("SetPrice", price(i64::MAX, "EUR"), 422, "price_out_of_range"),
        ("SetPrice", price(-1, "EUR"), 422, "price_out_of_range"),
        ("ReceiveStock", json!({ "sku": "nothing", "quantity": 1 }), 422, "unknown_sku"),
        ("AddLines", json!({ "cart_id": new_cart, "lines": many }), 422, "too_many_new_lines"),
        ("AddLine", line(json!(1)), 422, "cart_closed"),
        ("ShipOrder", json!({ "order_id": ORDER }), 422, "illegal_move"),
        ("ConfirmOrder", json!({ "order_id": new_cart }), 404, "order_not_found"),
    ];
    for (name, body, status, code) in cases {
        let answer = shop.command(name, &body).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{name}: {}", answer.body);
    }
    let pointed = shop.command("AddLine", &line(json!(-1))).await;
    assert_eq!(pointed.body["pointer"], "/quantity");
}

/// Commands of another customer, of a customer for staff, and without a token.
async fn assert_actors_without_the_right_are_refused(shop: &Shop, other: &str) {
    let foreign =
        shop.command_as(other, "CancelOrder", Uuid::nil(), &json!({ "order_id": ORDER, "reason": "x" })).await;
    assert_eq!((foreign.status, &foreign.body["code"]), (403, &json!("order_not_yours")));
    let role = shop.command_as(other, "ReceiveStock", Uuid::nil(), &json!({ "sku": "oat", "quantity": 1 })).await;
    assert_eq!((role.status, &role.body["code"]), (403, &json!("forbidden")));
    let anonymous = shop.send("POST", "/commands/ReceiveStock", &[], "{}").await;
    assert_eq!((anonymous.status, &anonymous.body["code"]), (401, &json!("token_missing")));
}

/// Requests that are no JSON, that have no route, and that are too large.
async fn assert_bad_requests_are_refused(shop: &Shop) {
    let authorization = format!("Bearer {}", shop.ready("admin_token"));
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let malformed = shop.send("POST", "/commands/AddLine", &headers, "{\"cart_id\":").await;
    assert_eq!((malformed.status, &malformed.body["code"]), (400, &json!("malformed_json")));
    let nowhere = shop.send("GET", "/nowhere", &[], "").await;
    assert_eq!((nowhere.status, &nowhere.body["code"]), (404, &json!("not_found")));
    let huge = shop.send("POST", "/commands/AddLine", &headers, vec![b' '; 10 << 20]).await;
    assert_eq!((huge.status, &huge.body["code"]), (413, &json!("body_too_large")));
}

/// A query of another customer's order, a query that is too deep, and a mutation by GET.
async fn assert_bad_queries_are_refused(shop: &Shop, other: &str, position: &str) {
    let order = format!(r#"{{ order(id: "{ORDER}") {{ phase }} }}"#);
    let authorization = format!("Bearer {other}");
    let headers =
        [("authorization", &*authorization), ("content-type", "application/json"), ("x-min-position", position)];
    let foreign = shop.send("POST", "/graphql", &headers, json!({ "query": order }).to_string()).await;
    assert_eq!(foreign.body["errors"][0]["extensions"]["code"], "FORBIDDEN", "{}", foreign.body);
    let deep = format!("{{ products {}", "{ edges { node ".repeat(20) + &"}".repeat(41));
    let deep = shop.graphql("/graphql", None, &deep, &json!({})).await;
    assert!(deep.body["errors"].is_array() && deep.body["data"].is_null(), "{}", deep.body);
    let mutation = "/graphql?query=mutation%7BcartAbandon(input%3A%7BcartId%3A%22x%22%7D)%7BuserErrors%7Bcode%7D%7D%7D";
    let by_get = shop.send("GET", mutation, &[], "").await;
    assert_eq!(by_get.status, 405, "no mutation by GET");
}
