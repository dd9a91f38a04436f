//! What a command of a guest may cost: the streams that it reads are bounded, and count in the rate of its sender.

use axum::{body::Body, extract::Request};
use chrono::TimeDelta;
use daybook_bus::{Bus, BusSettings, Clock, Submission, clock::new_id};
use daybook_command_api::http::CommandApi;
use daybook_domain::{Actor, Command};
use daybook_edge::{
    rates::{ClientAddress, Limit, RateLimits},
    tokens::Keys,
};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_test_postgres::database;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

async fn given(bus: &Bus, name: &str, body: Value) {
    let command = Command::deserialize(name, body).expect("there is such a command").expect("the body is right");
    bus.execute(Submission::new(command, new_id(), Actor::Admin("test".into()))).await.expect("it is accepted");
}

/// Fills a guest's cart with so many lines.
async fn cart(bus: &Bus, lines: usize) -> Uuid {
    let cart = new_id();
    given(bus, "OpenCart", json!({ "cart_id": cart, "currency": "EUR" })).await;
    let lines: Vec<_> = (0..lines).map(|number| json!({ "sku": format!("s{number}"), "quantity": 1 })).collect();
    given(bus, "AddLines", json!({ "cart_id": cart, "lines": lines })).await;
    cart
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_from_made_up_locations_is_bounded_and_makes_its_sender_wait() {
    let database = database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    let book = Daybook::open(&settings).expect("the URL is right");
    book.migrate().await.expect("the schema can be made");
    let (bus, _) = Bus::start(book, Clock::system(), &BusSettings::default());
    for (number, chunk) in (0..50).collect::<Vec<_>>().chunks(25).enumerate() {
        let variants: Vec<_> = chunk.iter().map(|sku| json!({ "sku": format!("s{sku}") })).collect();
        let product = json!({ "product_id": Uuid::from_u128(number as u128 + 1), "name": "P", "variants": variants, "publish": true });
        given(&bus, "CreateProduct", product).await;
        for sku in chunk {
            let price = json!({ "sku": format!("s{sku}"), "price": { "minor_units": 1, "currency": "EUR" } });
            given(&bus, "SetPrice", price).await;
        }
    }
    let (small, large) = (cart(&bus, 45).await, cart(&bus, 50).await);

    let keys = Keys::new(b"the secret of a test of thirty-two bytes").expect("the secret is long enough");
    let token = keys.sign(&Actor::Guest, Clock::system().now(), TimeDelta::hours(1)).expect("a token");
    // 12 requests at once. An order that reads 950 streams counts as 19 requests.
    let limits = RateLimits { address: "1/12".parse::<Limit>().expect("a limit"), ..RateLimits::OFF };
    let api = CommandApi::new(bus, keys).limited(&limits).router();
    let locations: Vec<_> = (0..20).map(|number| format!("made-up-{number}")).collect();
    let place = |cart: Uuid, locations: Value, address: &str| {
        let body = json!({ "cart_id": cart, "order_id": new_id(), "locations": locations });
        let request = Request::post("/commands/PlaceOrder")
            .header("authorization", format!("Bearer {token}"))
            .extension(ClientAddress(address.parse().expect("an address")))
            .body(Body::from(body.to_string()))
            .expect("a request");
        let api = api.clone();
        async move {
            let response = api.oneshot(request).await.expect("a router always answers");
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            serde_json::from_slice::<Value>(&body).expect("JSON")["code"].as_str().unwrap_or_default().to_owned()
        }
    };
    let (greedy, honest, other) = ("192.0.2.1", "192.0.2.2", "192.0.2.3");
    assert_eq!(place(small, json!(["a", "b", "a"]), other).await, "location_repeated");
    assert_eq!(place(large, json!(locations), other).await, "too_many_streams", "50 lines of 20 locations");
    // Five at once are admitted, and counted after they are decided.
    let five = futures::future::join_all((0..5).map(|_| place(small, json!(locations), greedy))).await;
    assert_eq!(five, ["several_problems"; 5], "45 lines of 20 locations");
    assert_eq!(place(small, json!(["main"]), greedy).await, "rate_limited", "its bucket is over-full for a minute");
    assert_eq!(place(small, json!(["main"]), honest).await, "several_problems", "another guest need not wait");
    assert_eq!(place(small, json!(["main"]), honest).await, "several_problems", "an ordinary order counts little");
}
