//! Automatic persisted queries: a client sends the text of a query once, and then only its hash.

use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::shop::{Answer, Caller, Shop};

const QUERY: &str = "query($name: String!) { __type(name: $name) { name } }";
const MUTATION: &str = "mutation { cartOpen(input: {currency: \"EUR\"}) { cart { id } } }";

fn named(query: &str) -> Value {
    let hash: String = Sha256::digest(query).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
}

async fn post(shop: &Shop, body: Value) -> Answer {
    shop.post("/graphql", Caller::Guest, &body).await
}

async fn get(shop: &Shop, extensions: &Value) -> Answer {
    let variables = json!({"name": "Cart"});
    let encoded = |value: &Value| value.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let path = format!("/graphql?extensions={}&variables={}", encoded(extensions), encoded(&variables));
    shop.send(shop.request(Method::GET, &path, Caller::Guest).body(Body::empty()).expect("the request is valid")).await
}

#[tokio::test]
async fn a_hash_is_unknown_until_its_query_was_sent() {
    let shop = Shop::open().await;
    let variables = json!({"name": "Cart"});
    let by_hash = json!({"extensions": named(QUERY), "variables": variables});
    for answer in [post(&shop, by_hash.clone()).await, get(&shop, &named(QUERY)).await] {
        assert_eq!(answer.json()["errors"][0]["message"], "PersistedQueryNotFound");
        assert_eq!(answer.code(), "PERSISTED_QUERY_NOT_FOUND");
    }
    let whole = json!({"query": QUERY, "extensions": named(QUERY), "variables": variables});
    for answer in [post(&shop, whole).await, post(&shop, by_hash).await, get(&shop, &named(QUERY)).await] {
        assert_eq!(answer.data()["__type"]["name"], "Cart");
    }
    let office = shop.post("/admin/graphql", Caller::Admin, &json!({"extensions": named(QUERY)})).await;
    assert_eq!(office.code(), "PERSISTED_QUERY_NOT_FOUND", "each endpoint has its own persisted queries");
}

#[tokio::test]
async fn a_hash_that_does_not_match_the_query_is_refused_and_not_kept() {
    let shop = Shop::open().await;
    let wrong = json!({"query": "{ __typename }", "extensions": named(QUERY)});
    assert_eq!(post(&shop, wrong).await.code(), "PERSISTED_QUERY_MISMATCH");
    let by_hash = json!({"extensions": named(QUERY), "variables": {"name": "Cart"}});
    assert_eq!(post(&shop, by_hash).await.code(), "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn a_persisted_mutation_is_not_run_by_get() {
    let shop = Shop::open().await;
    post(&shop, json!({"query": MUTATION, "extensions": named(MUTATION)})).await.data();
    let refused = get(&shop, &named(MUTATION)).await;
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
    post(&shop, json!({"extensions": named(MUTATION)})).await.data();
}

#[tokio::test]
async fn a_malformed_persisted_query_is_refused_with_a_code() {
    let shop = Shop::open().await;
    let hash = named(QUERY)["persistedQuery"]["sha256Hash"].take();
    for (extension, code) in [
        (json!({"version": 2, "sha256Hash": hash}), "PERSISTED_QUERY_NOT_SUPPORTED"),
        (json!({"version": 1, "sha256Hash": "xyz"}), "BAD_REQUEST"),
        (json!({"version": 1}), "BAD_REQUEST"),
        (json!(7), "BAD_REQUEST"),
    ] {
        let answer = post(&shop, json!({"extensions": {"persistedQuery": extension}})).await;
        assert_eq!(answer.code(), code, "{extension}");
    }
    let nothing = post(&shop, json!({"variables": {}})).await;
    assert_eq!((nothing.status, nothing.code().as_str()), (StatusCode::BAD_REQUEST, "bad_request"));
}
