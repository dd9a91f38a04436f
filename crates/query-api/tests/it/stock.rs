//! The available quantity of a stock.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    live::{next, subscribe},
    shop::{Caller, Shop, ShopSettings, skus},
};

/// A shop with 1,000 units, of which 10 are reserved for half an hour and 5 for ever.
async fn shop(ahead: TimeDelta) -> Shop {
    let shop = Shop::with(ShopSettings { ahead, ..ShopSettings::default() }).await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    #[expect(clippy::disallowed_methods, reason = "the reservation has to expire after the command API's own time")]
    let expires_at = Utc::now() + TimeDelta::minutes(30);
    for (id, quantity, expires_at) in [("short", 10, Some(expires_at)), ("long", 5, None)] {
        let reservation = json!({"sku": "S-000", "reservation_id": crate::shop::id(id), "owner": "fair", "quantity": quantity,
                                 "expires_at": expires_at});
        shop.shown(shop.command("ReserveStock", reservation).await).await;
    }
    shop
}

/// The available quantity of the SKU in each query that shows it, and the reserved quantity.
async fn available(shop: &Shop) -> [Value; 4] {
    let query = r#"{ product(sku: "S-000") { variants { available } } stock(sku: "S-000") { available reserved } }"#;
    let data = shop.office(Caller::Admin, query).await.data();
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { available } }"#;
    let mut socket = subscribe(shop, "/graphql", Caller::Guest, query).await;
    [
        data["product"]["variants"][0]["available"].clone(),
        data["stock"][0]["available"].clone(),
        next(&mut socket).await["stockChanged"]["available"].clone(),
        data["stock"][0]["reserved"].clone(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_units_are_not_available() {
    let shop = shop(TimeDelta::zero()).await;
    assert_eq!(available(&shop).await, [985, 985, 985, 15].map(Value::from));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapse_is_sent_to_subscribers_without_any_event() {
    let shop = shop(TimeDelta::zero()).await;
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { available orderable backorder } }"#;
    let mut socket = subscribe(&shop, "/graphql", Caller::Guest, query).await;
    let level = |available: u32| json!({"available": available, "orderable": true, "backorder": false});
    assert_eq!(next(&mut socket).await["stockChanged"], level(985));
    let head = shop.head().await;
    shop.pass(TimeDelta::hours(1));
    assert_eq!(next(&mut socket).await["stockChanged"], level(995));
    assert_eq!(shop.head().await, head, "no event has ended the reservation");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_reservation_does_not_count_even_before_its_release() {
    let shop = shop(TimeDelta::hours(1)).await;
    assert_eq!(available(&shop).await, [995, 995, 995, 5].map(Value::from));
    let adjusted =
        r#"mutation { it: stockAdjust(input: {sku: "S-000", delta: -1, reason: "broken"}) { stock { available } } }"#;
    let payload = shop.office(Caller::Admin, adjusted).await.data()["it"].take();
    assert_eq!(payload, json!({"stock": [{"available": 994}]}));
}
