//! What goes on after a request ends with its token.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use futures::StreamExt;
use http_body_util::BodyExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

use crate::{
    live::{connect, receive, send},
    shop::{PATIENCE, Shop, skus},
};

/// A request with a token that ends soon.
fn request(shop: &Shop, method: Method, path: &str, body: String) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header(header::AUTHORIZATION, shop.short_token(3));
    let request = request.header(header::ACCEPT, "text/event-stream").header(header::CONTENT_TYPE, "application/json");
    request.body(Body::from(body)).expect("the request is valid")
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_events_end_with_the_token() {
    let shop = Shop::open().await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    let subscription = json!({"query": "subscription { eventAppended { position } }"}).to_string();
    for (method, path, body, end) in
        [(Method::GET, "/events", String::new(), ""), (Method::POST, "/admin/graphql", subscription, "event: complete")]
    {
        let response = shop.router().oneshot(request(&shop, method, path, body)).await;
        let response = response.expect("a router always answers");
        assert_eq!(response.status(), StatusCode::OK);
        let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.expect("the stream ends");
        let bytes = body.expect("the stream is not broken").to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("\"position\":1") && text.contains(end), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_closed_when_its_token_ends() {
    let shop = Shop::open().await;
    let mut socket = connect(&shop, "/admin/graphql", json!({"authorization": shop.short_token(3)})).await;
    assert_eq!(receive(&mut socket).await.expect("the connection is acknowledged")["type"], "connection_ack");
    let query = "subscription { eventAppended { position } }";
    send(&mut socket, json!({"id": "1", "type": "subscribe", "payload": {"query": query}})).await;
    let closed = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => break frame.expect("the close frame has a code"),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let frame = tokio::time::timeout(PATIENCE, closed).await.expect("the socket is closed");
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4403, "The token has expired"));
}
