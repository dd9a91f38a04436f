//! Consistency tokens: a client reads its own writes.

use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use daybook_domain::Slice;
use serde_json::json;

use crate::shop::{Answer, Caller, Shop, ShopSettings, id, skus};

const QUERY: &str = "{ product(sku: \"S-000\") { name } }";
const AT: &str = "query($at: Long) { product(sku: \"S-000\", minPosition: $at) { name } }";

async fn with_header(shop: &Shop, position: &str, query: &str) -> Answer {
    let request = shop.request(Method::POST, "/graphql", Caller::Guest).header("x-min-position", position);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    shop.send(request.body(json!({"query": query}).to_string().into()).expect("the request is valid")).await
}

async fn with_argument(shop: &Shop, position: i64, query: &str) -> Answer {
    shop.post("/graphql", Caller::Guest, &json!({"query": query, "variables": {"at": position}})).await
}

#[tokio::test]
async fn a_query_waits_until_the_position_is_shown() {
    let shop = Shop::open().await;
    let held = shop.projection.clone().lock_owned().await;
    let position = shop.sell("Soap", "Suds", &skus("S", 1)).await;
    assert_eq!(shop.storefront(Caller::Guest, QUERY).await.data(), json!({"product": null}));
    let before = shop.proxy.executed();
    let release = async {
        // A waiting query asks the database repeatedly how far the views are.
        while shop.proxy.executed() < before + 6 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(held);
    };
    let position_text = position.to_string();
    let (by_header, by_argument, ()) =
        tokio::join!(with_header(&shop, &position_text, QUERY), with_argument(&shop, position, AT), release);
    assert_eq!(by_header.data()["product"]["name"], "Soap");
    assert_eq!(by_argument.data()["product"]["name"], "Soap");
}

#[tokio::test]
async fn a_query_that_waits_too_long_times_out_by_header_and_by_argument() {
    let shop = Shop::with(ShopSettings { patience: Duration::from_millis(10), ..ShopSettings::default() }).await;
    let _held = shop.projection.clone().lock_owned().await;
    let position = shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let by_header = with_header(&shop, &position.to_string(), QUERY).await;
    assert_eq!(by_header.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(by_header.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(by_header.code(), "consistency_timeout");
    assert_eq!(with_argument(&shop, position, AT).await.code(), "CONSISTENCY_TIMEOUT");
}

#[tokio::test]
async fn a_view_that_stands_still_delays_the_queries_that_read_it_and_no_others() {
    let shop = Shop::with(ShopSettings { patience: Duration::from_millis(10), ..ShopSettings::default() }).await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    shop.stall_views(Slice::Inventory).await;
    let position = shop.command("CreateCategory", json!({"category_id": id("category"), "name": "Soaps"})).await;
    shop.shown_except(position, "stock").await;
    let with_both = async |fields: &str| {
        let header = position.to_string();
        let query = format!("{{ product(sku: \"S-000\") {{ {fields} }} }}");
        let by_header = with_header(&shop, &header, &query).await;
        let query = format!("query($at: Long) {{ product(sku: \"S-000\", minPosition: $at) {{ {fields} }} }}");
        (by_header, with_argument(&shop, position, &query).await)
    };
    let (by_header, by_argument) = with_both("name").await;
    assert_eq!(by_header.data(), json!({"product": {"name": "Soap"}}));
    assert_eq!(by_argument.data(), json!({"product": {"name": "Soap"}}));

    let (by_header, by_argument) = with_both("name variants { available }").await;
    assert_eq!((by_header.status, by_header.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "consistency_timeout"));
    assert_eq!(by_argument.code(), "CONSISTENCY_TIMEOUT");
    for answer in [by_header, by_argument] {
        assert!(answer.text.contains("the view stock has not passed"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_mutation_with_a_position_is_answered_with_what_it_has_done() {
    let shop = Shop::with(ShopSettings { patience: Duration::from_millis(10), ..ShopSettings::default() }).await;
    let position = shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let _held = shop.projection.clone().lock_owned().await;
    let mutation = "mutation { it: cartOpen(input: {currency: \"EUR\"}) { cart { id } consistencyToken } }";
    let answer = with_header(&shop, &position.to_string(), mutation).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::OK, "CONSISTENCY_TIMEOUT"));
    assert_eq!(answer.json()["data"]["it"], json!({"cart": null, "consistencyToken": position + 1}));
}

#[tokio::test]
async fn a_position_is_checked_once_for_all_views_that_show_it() {
    let shop = Shop::open().await;
    let position = shop.sell("Soap", "Suds", &skus("S", 1)).await;
    shop.shown(position).await;
    let fields = "name variants { sku available prices { price { formatted } } }";
    let statements = async |query: &str| {
        let before = shop.proxy.executed();
        with_argument(&shop, position, query).await.data();
        shop.proxy.executed() - before
    };
    let without = format!("{{ product(sku: \"S-000\") {{ {fields} }} }}");
    let with = format!("query($at: Long) {{ product(sku: \"S-000\", minPosition: $at) {{ {fields} }} }}");
    // What is prepared once is not counted.
    statements(&without).await;
    statements(&with).await;
    assert_eq!(statements(&with).await, statements(&without).await + 1);
}

#[tokio::test]
async fn a_malformed_position_is_refused() {
    let shop = Shop::open().await;
    for malformed in ["soon", "-1", "1.5", "18446744073709551615"] {
        let answer = with_header(&shop, malformed, QUERY).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "bad_position"), "{malformed}");
    }
    assert_eq!(with_argument(&shop, -1, AT).await.code(), "BAD_INPUT");
}

#[tokio::test]
async fn a_position_that_the_book_does_not_have_is_refused_at_once() {
    let shop = Shop::with(ShopSettings { patience: Duration::MAX, ..ShopSettings::default() }).await;
    let beyond = shop.sell("Soap", "Suds", &skus("S", 1)).await + 1;
    let answer = with_header(&shop, &beyond.to_string(), QUERY).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "bad_position"));
    assert_eq!(with_argument(&shop, beyond, AT).await.code(), "BAD_INPUT");
}

#[tokio::test]
async fn every_query_of_the_views_takes_a_position_and_those_of_the_book_do_not() {
    let shop = Shop::open().await;
    let query = "{ __schema { queryType { fields { name args { name type { name } } } } } }";
    let data = shop.office(Caller::Admin, query).await.data();
    for field in data["__schema"]["queryType"]["fields"].as_array().expect("the query type has fields") {
        let position = json!({"name": "minPosition", "type": {"name": "Long"}});
        let takes = field["args"].as_array().is_some_and(|arguments| arguments.contains(&position));
        let of_the_book = field["name"] == "events" || field["name"] == "views";
        assert_eq!(takes, !of_the_book, "{field}");
    }
}

#[tokio::test]
async fn a_query_that_waits_for_a_view_which_was_never_built_says_so() {
    let shop = Shop::with(ShopSettings { patience: Duration::from_millis(10), ..ShopSettings::default() }).await;
    let position = shop.sell("Soap", "Suds", &skus("S", 1)).await;
    shop.shown(position).await;
    let held = shop.projection.clone().lock_owned().await;
    let never_built = "DROP VIEW read.products CASCADE; DELETE FROM views WHERE name = 'product'";
    shop.connect().await.batch_execute(never_built).await.expect("the view is gone");
    assert_eq!(with_argument(&shop, position, AT).await.code(), "VIEW_BUILDING");
    drop(held);
}
