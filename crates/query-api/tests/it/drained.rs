//! What a drain of the process means for those who listen: their sockets are closed with a code, and their streams end with a time.

use axum::{
    body::Body,
    http::{Method, header},
};
use futures::StreamExt;
use http_body_util::BodyExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};
use tower::ServiceExt;

use crate::{
    live::{next, subscribe},
    shop::{Caller, PATIENCE, Shop, skus},
};

/// The rest of a stream of server-sent events that has begun.
async fn rest(body: Body) -> String {
    let collected = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the stream ends");
    let bytes = collected.expect("the stream is not broken").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("events are a text")
}

async fn stream(shop: &Shop, method: Method, path: &str, caller: Caller, body: String) -> Body {
    let request = shop
        .request(method, path, caller)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream");
    let request = request.body(Body::from(body)).expect("the request is valid");
    shop.router().oneshot(request).await.expect("a router always answers").into_body()
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_closed_with_service_restart() {
    let shop = Shop::open().await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { available } }"#;
    let mut socket = subscribe(&shop, "/graphql", Caller::Guest, query).await;
    assert_eq!(next(&mut socket).await["stockChanged"]["available"], 1_000);
    shop.drain.begin();
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("the socket is closed") {
            Some(Ok(Message::Close(Some(frame)))) => {
                assert_eq!(frame.code, CloseCode::Restart, "{frame:?}");
                break;
            }
            Some(Ok(Message::Ping(_) | Message::Text(_))) => {}
            other => panic!("the socket ended without a reason: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_events_end_with_a_time_to_come_back() {
    let shop = Shop::open().await;
    let head = shop.sell("Soap", "Suds", &skus("S", 1)).await;
    shop.shown(head).await;
    let book = stream(&shop, Method::GET, "/events", Caller::Admin, String::new()).await;
    let live = json!({"query": r#"subscription { stockChanged(skus: ["S-000"]) { available } }"#}).to_string();
    let live = stream(&shop, Method::POST, "/graphql", Caller::Guest, live).await;
    let query = json!({"query": r#"{ product(sku: "S-000") { name } }"#}).to_string();
    shop.drain.begin();
    let query = stream(&shop, Method::POST, "/graphql", Caller::Guest, query).await;
    for stream in [book, live] {
        let text = rest(stream).await;
        assert!(text.trim_end().ends_with("retry:1000") || text.trim_end().ends_with("retry: 1000"), "{text}");
        assert!(!text.contains("event: complete"), "the client has to subscribe again: {text}");
    }
    let finished = rest(query).await;
    assert!(finished.contains("Soap") && finished.contains("event: complete"), "an answer is finished: {finished}");
}
