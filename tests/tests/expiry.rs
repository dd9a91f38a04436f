//! A reservation whose time is over: a subscriber to the stock sees that it is free, and the event names the reactor that ended it.

use chrono::{TimeDelta, Utc};
use daybook_tests::{Shop, directory, socket};
use serde_json::{Value, json};
use uuid::Uuid;

async fn accepted(shop: &Shop, name: &str, body: Value) -> Value {
    let answer = shop.command(name, &body).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    answer.body
}

/// Reserves stock for a moment. On a busy machine the moment may be over before the command is decided; then it is sent again.
#[expect(clippy::disallowed_methods, reason = "a journey lives by the clock of the machine, as the shop does")]
async fn reserve(shop: &Shop, reservation: Uuid, quantity: u32) {
    loop {
        let expires_at = Utc::now() + TimeDelta::seconds(2);
        let body = json!({ "sku": "oat", "reservation_id": reservation, "owner": "me", "quantity": quantity,
                           "expires_at": expires_at });
        let answer = shop.command("ReserveStock", &body).await;
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.body["code"], "expiry_in_the_past", "{}", answer.body);
    }
}

#[tokio::test]
async fn subscribers_see_that_a_reservation_has_expired() {
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    let product = json!({ "product_id": Uuid::from_u128(1), "name": "Oat milk", "slug": "oat-milk",
                          "variants": [{ "sku": "oat" }], "publish": true });
    accepted(&shop, "CreateProduct", product).await;
    let received = accepted(&shop, "ReceiveStock", json!({ "sku": "oat", "quantity": 5 })).await;

    let mut stock = socket::open(&shop).await.expect("a socket");
    let levels = "subscription { stockChanged(skus: [\"oat\"]) { sku available } }";
    socket::subscribe(&mut stock, levels).await.expect("a subscription");
    let level = |available: u32| json!({ "stockChanged": { "sku": "oat", "available": available } });
    // The view may not show the stock yet.
    while socket::next(&mut stock).await.expect("a level") != level(5) {}
    let mut events = socket::open(&shop).await.expect("a socket");
    let appended = format!(
        "subscription {{ eventAppended(after: {}) {{ type actor data }} }}",
        received["position"].as_i64().expect("a position")
    );
    socket::subscribe(&mut events, &appended).await.expect("a subscription");

    // One more event of the stock, so that the level differs from the first one even when the subscriber has not seen the reservation.
    reserve(&shop, uuid::Builder::from_random_bytes(7_u128.to_be_bytes()).into_uuid(), 2).await;
    accepted(&shop, "ReceiveStock", json!({ "sku": "oat", "quantity": 1 })).await;
    while socket::next(&mut stock).await.expect("a level") != level(6) {}
    let released = loop {
        let event = socket::next(&mut events).await.expect("an event")["eventAppended"].take();
        if event["type"] == "inventory.ReservationReleased" {
            break event;
        }
    };
    assert_eq!(released["actor"], "system:reservation_expiry", "{released}");
    assert_eq!(released["data"]["cause"], "expired", "{released}");
    let (code, verdict) = shop.cli(&["verify", "--json"]);
    assert_eq!(code, 0, "{verdict}");
    assert!(shop.stop().success());
}
