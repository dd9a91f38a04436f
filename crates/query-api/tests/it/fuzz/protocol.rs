//! Messages on a WebSocket: those of the protocol in any order, and malformed ones.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use proptest::{prelude::*, sample::select, test_runner::TestCaseError};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::header},
};

use super::{runner, shop};
use crate::shop::{Caller, Shop};

/// The default number of sockets.
const CASES: u32 = 150;
/// How long a test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(180);

fn message() -> impl Strategy<Value = Message> {
    let kind = select(vec![
        "connection_init",
        "connection_init",
        "subscribe",
        "subscribe",
        "start",
        "complete",
        "stop",
        "ping",
        "pong",
        "connection_terminate",
        "connection_ack",
        "next",
        "nonsense",
        "",
    ]);
    let query = select(vec![
        "{ __typename }",
        "subscription { stockChanged(skus: [\"S-000\"]) { sku } }",
        "subscription { stockChanged(skus: []) { sku } }",
        "subscription { orderUpdated(id: \"x\") { phase } }",
        "{ a { b { c",
        "",
        "\0",
    ]);
    let id =
        select(vec![json!("1"), json!("2"), json!(""), json!(null), json!(1), json!("\0"), json!("x".repeat(1_000))]);
    let payload = prop_oneof![
        3 => query.prop_map(|query| json!({ "query": query })),
        1 => select(vec![
            json!(null),
            json!({}),
            json!([]),
            json!("x"),
            json!({"authorization": 1}),
            json!({"authorization": "Bearer x"}),
            json!({"query": "{ __typename }", "variables": []}),
            json!({"query": "query A { __typename } query B { __typename }"}),
        ]),
    ];
    let good = (kind, id, payload).prop_map(|(kind, id, payload)| {
        Message::text(json!({ "type": kind, "id": id, "payload": payload }).to_string())
    });
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        8 => good,
        1 => ".{0,20}".prop_map(Message::text),
        1 => bytes().prop_map(Message::binary),
        1 => bytes().prop_map(|bytes| Message::Ping(bytes.into())),
        1 => bytes().prop_map(|bytes| Message::Pong(bytes.into())),
    ]
}

/// Sends messages, and checks that every answer follows the protocol. It ends when the server closes the socket with a reason, or
/// answers the last message.
async fn exchange(shop: &Shop, path: &str, messages: Vec<Message>) -> Result<(), TestCaseError> {
    let url = format!("{}{path}", shop.url.replace("http://", "ws://"));
    let mut request = url.into_client_request().expect("the URL is valid");
    let protocol = header::HeaderValue::from_static("graphql-transport-ws");
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    let (socket, _) = connect_async(request).await.map_err(|error| TestCaseError::fail(error.to_string()))?;
    let (mut to, mut from) = socket.split();
    for message in
        messages.into_iter().chain([Message::text(json!({"type": "ping", "payload": {"last": true}}).to_string())])
    {
        // The server may have closed the socket. Its earlier messages are read below.
        if to.send(message).await.is_err() {
            break;
        }
    }
    loop {
        let answer = tokio::time::timeout(PATIENCE, from.next()).await;
        match answer.map_err(|_| TestCaseError::fail("no answer comes"))? {
            Some(Ok(Message::Text(text))) => {
                let answer: Value =
                    serde_json::from_str(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
                let kind = answer["type"].as_str().unwrap_or_default();
                let known = ["connection_ack", "next", "error", "complete", "pong"].contains(&kind);
                prop_assert!(known && !answer.to_string().contains("\"INTERNAL\""), "{}", answer);
                if kind == "pong" {
                    return Ok(());
                }
            }
            Some(Ok(Message::Close(frame))) => {
                let frame = frame.ok_or_else(|| TestCaseError::fail("the socket was closed without a reason"))?;
                let code = u16::from(frame.code);
                prop_assert!(code != 1011 && (code >= 4400 || (1000..1012).contains(&code)), "{:?}", frame);
                return Ok(());
            }
            Some(Ok(_)) => {}
            // The socket was closed before every message was sent.
            Some(Err(_)) | None => return Ok(()),
        }
    }
}

#[test]
fn a_socket_follows_the_protocol_after_any_messages() {
    let (runtime, shop) = shop();
    let conversations = (select(vec!["/graphql", "/admin/graphql/ws"]), prop::collection::vec(message(), 0..7));
    let outcome =
        runner(CASES).run(&conversations, |(path, messages)| runtime.block_on(exchange(&shop, path, messages)));
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let answer = runtime.block_on(shop.storefront(Caller::Guest, "{ __typename }"));
    assert_eq!(answer.data()["__typename"], "Query", "the server still answers");
}
