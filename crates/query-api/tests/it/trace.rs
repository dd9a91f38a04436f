//! The trace context and the causal chain of a request, from GraphQL into the event.

use axum::http::{Method, header};
use serde_json::{Value, json};

use crate::shop::{Caller, Shop, ShopSettings, id};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Opens a cart by GraphQL with some headers, and returns the event as the book has it.
async fn event_of(shop: &Shop, headers: &[(&str, &str)]) -> Value {
    let request =
        shop.request(Method::POST, "/graphql", Caller::Guest).header(header::CONTENT_TYPE, "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let open =
        json!({"query": "mutation { cartOpen(input: {currency: \"EUR\"}) { consistencyToken userErrors { code } } }"});
    let answer = shop.send(request.body(open.to_string().into()).expect("the request is valid")).await.data();
    assert_eq!(answer["cartOpen"]["userErrors"], json!([]));
    let request = shop.request(Method::GET, "/events?last=1", Caller::Admin);
    let last = shop.send(request.body(String::new().into()).expect("the request is valid")).await;
    serde_json::from_str(last.text.trim()).expect("the line is JSON")
}

#[tokio::test]
async fn a_mutation_carries_the_trace_and_the_chain_of_its_request() {
    for in_process in [true, false] {
        let shop = Shop::with(ShopSettings { in_process, ..ShopSettings::default() }).await;
        let chain = id("chain").to_string();
        let event = event_of(
            &shop,
            &[("traceparent", PARENT), ("tracestate", "rojo=00f067aa0ba902b7, congo=t61"), ("correlation-id", &chain)],
        )
        .await;
        assert_eq!(event["trace"], format!("{PARENT} rojo=00f067aa0ba902b7,congo=t61"));
        assert_eq!(event["correlation_id"], chain);
        let malformed = event_of(&shop, &[("traceparent", &"z".repeat(55)), ("tracestate", "a=1")]).await;
        assert_eq!(malformed.get("trace"), None);
        assert_eq!(malformed["correlation_id"], malformed["causation_id"], "the command begins a chain");
    }
}
