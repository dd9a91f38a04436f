//! A book and views that an earlier program has left.

use axum::http::Method;
use serde_json::json;

use crate::shop::{Caller, Shop, id, skus};

async fn with_order() -> Shop {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), Some("ann"), &skus).await;
    shop.shown(shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await).await;
    shop
}

#[tokio::test]
async fn a_type_has_one_name_also_where_the_book_has_the_name_of_before() {
    let shop = with_order().await;
    let database = shop.connect().await;
    let bare = "ALTER TABLE events DISABLE TRIGGER ALL; UPDATE events SET type = split_part(type, '.', 2)";
    database.batch_execute(bare).await.expect("the book is of an earlier program now");
    shop.command("ConfirmOrder", json!({"order_id": id("o")})).await;
    for name in ["order.OrderPlaced", "OrderPlaced"] {
        let query = format!("{{ events(types: [\"{name}\"]) {{ type }} }}");
        let events = shop.office(Caller::Admin, &query).await.data();
        assert_eq!(events, json!({"events": [{"type": "order.OrderPlaced"}]}), "{name}");
        let request = shop.request(Method::GET, &format!("/events?type={name}"), Caller::Admin);
        let lines = shop.send(request.body(axum::body::Body::empty()).expect("the request is valid")).await;
        assert_eq!(lines.json()["type"], "order.OrderPlaced", "{name}");
    }
    let all = shop.office(Caller::Admin, "{ events(first: 1000) { type } }").await.data();
    let events = all["events"].as_array().expect("a list");
    assert!(events.iter().all(|event| event["type"].as_str().is_some_and(|name| name.contains('.'))), "{all}");
}

#[tokio::test]
async fn queries_go_on_when_a_rebuilt_view_has_columns_of_other_types() {
    let shop = with_order().await;
    let database = shop.connect().await;
    let row = database.query_one("SELECT pg_get_viewdef('read.orders'::regclass)", &[]).await.expect("the view exists");
    let definition: String = row.get(0);
    let of_today = format!("DROP VIEW read.orders; CREATE VIEW read.orders AS {definition}");
    let of_before = "ALTER VIEW read.orders RENAME TO of_today;
                     CREATE VIEW read.orders AS SELECT (to_jsonb(o) ->> 'customer_id') AS customer_id,
                            o.order_id, o.position, o.placed_at FROM read.of_today o";
    database.batch_execute(of_before).await.expect("an earlier program has made the view");
    let query = "{ me { orders(first: 5) { edges { node { id } } } } }";
    let ask = || shop.storefront(Caller::Customer("ann"), query);
    // Every connection of the pool has prepared the statement.
    for _ in 0..4 {
        let answers = futures::future::join_all((0..8).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| answer.code() == "INTERNAL"), "the program cannot read the earlier view");
    }
    database.batch_execute(&of_today).await.expect("the view is rebuilt");
    for _ in 0..4 {
        for answer in futures::future::join_all((0..8).map(|_| ask())).await {
            assert_eq!(answer.data()["me"]["orders"]["edges"].as_array().map(Vec::len), Some(1));
        }
    }
}

#[tokio::test]
async fn a_view_that_was_never_built_is_said_to_be_in_the_making_and_the_others_are_shown() {
    let shop = with_order().await;
    let database = shop.connect().await;
    let never_built = "DROP VIEW read.orders CASCADE; DELETE FROM views WHERE name = 'order'";
    database.batch_execute(never_built).await.expect("a program that knows the view has not run yet");
    let order = format!("{{ order(id: \"{}\") {{ phase }} }}", id("o"));
    let answer = shop.storefront(Caller::Customer("ann"), &order).await;
    assert_eq!(answer.code(), "VIEW_BUILDING", "{}", answer.text);
    assert!(answer.text.contains("the view order is being built"), "{}", answer.text);
    let product = shop.storefront(Caller::Guest, r#"{ product(sku: "S-000") { name } }"#).await;
    assert_eq!(product.data()["product"]["name"], "Soap");
}
