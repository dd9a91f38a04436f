//! Subscriptions, over WebSocket and as server-sent events.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use daybook_domain::Slice;
use futures::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tower::ServiceExt;

use crate::shop::{PATIENCE, Shop, Who, id, skus};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn connect(shop: &Shop, path: &str, init: Value) -> Socket {
    let url = format!("{}{path}", shop.url.replace("http://", "ws://"));
    let mut request = url.into_client_request().expect("it is a url");
    let protocol = "graphql-transport-ws".parse().expect("it is a header");
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    let (mut socket, _) = connect_async(request).await.expect("the server goes over to WebSocket");
    send(&mut socket, json!({"type": "connection_init", "payload": init})).await;
    socket
}

pub(crate) async fn send(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.expect("it can be sent");
}

/// The next message; none when the server has closed.
pub(crate) async fn receive(socket: &mut Socket) -> Option<Value> {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("something comes") {
            Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("it is JSON")),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

/// Subscribes with the token of an actor.
pub(crate) async fn subscribe(shop: &Shop, path: &str, who: Who, query: &str) -> Socket {
    let mut socket = connect(shop, path, json!({"authorization": shop.authorization(who)})).await;
    assert_eq!(receive(&mut socket).await.expect("it is acknowledged")["type"], "connection_ack");
    send(&mut socket, json!({"id": "1", "type": "subscribe", "payload": {"query": query}})).await;
    socket
}

/// The data of the next result.
pub(crate) async fn next(socket: &mut Socket) -> Value {
    let mut message = receive(socket).await.expect("the subscription goes on");
    assert_eq!(message["type"], "next", "{message}");
    message["payload"]["data"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_from_the_past_to_live_without_a_gap_while_writers_append() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    for _ in 0..600 {
        shop.command("ReceiveStock", json!({"sku": "S-000", "quantity": 1})).await;
    }
    let query = "subscription { eventAppended(after: 2) { position type } }";
    let (mut on_endpoint, mut on_own_path) = tokio::join!(
        subscribe(&shop, "/admin/graphql", Who::Admin, query),
        subscribe(&shop, "/admin/graphql/ws", Who::Support, query),
    );
    let write = async {
        for _ in 0..50 {
            let receive = || shop.command("ReceiveStock", json!({"sku": "S-000", "quantity": 1}));
            tokio::join!(receive(), receive(), receive(), receive());
        }
    };
    let read = async |socket: &mut Socket| {
        for expected in 3..=806 {
            assert_eq!(next(socket).await["eventAppended"]["position"], expected);
        }
    };
    tokio::join!(write, read(&mut on_endpoint), read(&mut on_own_path));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_another_history_is_not_waited_for() {
    let shop = Shop::open().await;
    let query = "subscription { eventAppended(after: 1000000) { position } }";
    let mut socket = subscribe(&shop, "/admin/graphql", Who::Admin, query).await;
    let refused = receive(&mut socket).await.expect("there is an answer");
    assert!(refused.to_string().contains("BAD_INPUT"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_some_types_come_without_the_others() {
    let shop = Shop::open().await;
    let query = r#"subscription { eventAppended(types: ["catalog.PriceSet"]) { position type } }"#;
    let mut socket = subscribe(&shop, "/admin/graphql", Who::Admin, query).await;
    shop.sell("Soap", "Suds", &skus("S", 3)).await;
    let mut last = 0;
    for _ in 0..3 {
        let event = next(&mut socket).await["eventAppended"].take();
        assert_eq!(event["type"], "catalog.PriceSet");
        let position = event["position"].as_i64().expect("a position is a number");
        assert!(position > last);
        last = position;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_in_pages_after_a_position() {
    let shop = Shop::open().await;
    let head = shop.sell("Soap", "Suds", &skus("S", 5)).await;
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let query = format!("{{ events(after: {after}, first: 4) {{ position }} }}");
        let page = shop.office(Who::Admin, &query).await.data()["events"].take();
        let positions: Vec<_> = page.as_array().into_iter().flatten().filter_map(|e| e["position"].as_i64()).collect();
        let Some(last) = positions.last() else { break };
        after = *last;
        seen.extend(positions);
    }
    assert_eq!(seen, (1..=head).collect::<Vec<_>>());
    // A position has 64 bits, which an `Int` of GraphQL does not hold.
    let beyond = json!({"query": "query($after: Long!) { events(after: $after) { position } }", "variables": {"after": i64::MAX}});
    assert_eq!(shop.post("/admin/graphql", Who::Admin, &beyond).await.data()["events"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_told_as_it_moves() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), Some("ann"), &skus).await;
    shop.shown(shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await).await;
    let query = format!("subscription {{ orderUpdated(id: \"{}\") {{ phase version }} }}", id("o"));
    let mut socket = subscribe(&shop, "/graphql", Who::Customer("ann"), &query).await;
    assert_eq!(next(&mut socket).await["orderUpdated"]["phase"], "PLACED");
    for (command, phase) in [("ConfirmOrder", "CONFIRMED"), ("StartFulfilment", "IN_FULFILMENT")] {
        shop.command(command, json!({"order_id": id("o")})).await;
        assert_eq!(next(&mut socket).await["orderUpdated"]["phase"], phase);
    }
    for who in [Who::Guest, Who::Customer("bob")] {
        let mut other = subscribe(&shop, "/graphql", who, &query).await;
        let refused = receive(&mut other).await.expect("an answer comes");
        assert!(refused.to_string().contains("FORBIDDEN"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_a_long_history_is_sent_as_it_is_and_then_after_each_change() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), Some("ann"), &skus).await;
    let mut position = shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await;
    for number in 1..200 {
        let note = json!({"order_id": id("o"), "note": format!("call no. {number}")});
        position = shop.command("AddNote", note).await;
    }
    shop.shown(position).await;
    // A view that the subscription does not read stands still.
    shop.stand_still(Slice::Inventory).await;
    let query = format!("subscription {{ orderUpdated(id: \"{}\") {{ phase version }} }}", id("o"));
    let before = shop.wire.executed();
    let mut socket = subscribe(&shop, "/graphql", Who::Customer("ann"), &query).await;
    assert_eq!(next(&mut socket).await["orderUpdated"], json!({"phase": "PLACED", "version": 200}));
    let statements = shop.wire.executed() - before;
    assert!(statements < 50, "{statements} statements: the history was read again");
    shop.command("ConfirmOrder", json!({"order_id": id("o")})).await;
    assert_eq!(next(&mut socket).await["orderUpdated"], json!({"phase": "CONFIRMED", "version": 201}));
    shop.command("AddNote", json!({"order_id": id("o"), "note": "called"})).await;
    assert_eq!(next(&mut socket).await["orderUpdated"], json!({"phase": "CONFIRMED", "version": 202}));
    shop.command("StartFulfilment", json!({"order_id": id("o")})).await;
    assert_eq!(next(&mut socket).await["orderUpdated"], json!({"phase": "IN_FULFILMENT", "version": 203}));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_the_view_shows_at_once_are_sent_once() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), None, &skus).await;
    shop.shown(shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await).await;
    let query = format!("subscription {{ orderUpdated(id: \"{}\") {{ version }} }}", id("o"));
    let mut socket = subscribe(&shop, "/graphql", Who::Guest, &query).await;
    assert_eq!(next(&mut socket).await["orderUpdated"]["version"], 1);
    let held = shop.still.clone().lock_owned().await;
    for command in ["ConfirmOrder", "StartFulfilment", "ShipOrder"] {
        shop.command(command, json!({"order_id": id("o")})).await;
    }
    drop(held);
    assert_eq!(next(&mut socket).await["orderUpdated"]["version"], 4);
    shop.command("DeliverOrder", json!({"order_id": id("o")})).await;
    assert_eq!(next(&mut socket).await["orderUpdated"]["version"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_told_as_server_sent_events() {
    let shop = Shop::open().await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 2)).await).await;
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { sku available } }"#;
    let request = shop
        .request(Method::POST, "/graphql", Who::Guest)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream");
    let request = request.body(Body::from(json!({"query": query}).to_string())).expect("it is a request");
    let response = shop.router().oneshot(request).await.expect("a router always answers");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body();
    let mut next = async || {
        loop {
            let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("something comes");
            let bytes = frame.expect("the stream goes on").expect("it is not broken").into_data().unwrap_or_default();
            let text = String::from_utf8(bytes.to_vec()).expect("it is a text");
            if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
                assert!(text.lines().any(|line| line == "event: next"), "{text}");
                let result: Value = serde_json::from_str(data).expect("it is JSON");
                return result["data"]["stockChanged"].clone();
            }
        }
    };
    assert_eq!(next().await, json!({"sku": "S-000", "available": 1_000}));
    shop.command("ReceiveStock", json!({"sku": "S-001", "quantity": 5})).await;
    shop.command("AdjustStock", json!({"sku": "S-000", "delta": -1, "reason": "broken"})).await;
    assert_eq!(next().await, json!({"sku": "S-000", "available": 999}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_of_stock_is_of_all_locations_and_told_when_it_changes_only() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let more = json!({"sku": "S-000", "quantity": 5, "location": "annexe"});
    shop.shown(shop.command("ReceiveStock", more).await).await;
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { sku available } }"#;
    let mut socket = subscribe(&shop, "/graphql", Who::Guest, query).await;
    assert_eq!(next(&mut socket).await["stockChanged"], json!({"sku": "S-000", "available": 1_005}));
    // Nothing more can be had when as much comes to one place as goes from another.
    let held = shop.still.clone().lock_owned().await;
    shop.command("AdjustStock", json!({"sku": "S-000", "delta": -1, "reason": "moved"})).await;
    shop.command("ReceiveStock", json!({"sku": "S-000", "quantity": 1, "location": "annexe"})).await;
    drop(held);
    shop.command("AdjustStock", json!({"sku": "S-000", "delta": -2, "reason": "broken"})).await;
    assert_eq!(next(&mut socket).await["stockChanged"]["available"], 1_003);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sku_is_not_watched_and_a_subscription_ends_with_its_error() {
    let shop = Shop::open().await;
    let query = r#"subscription { stockChanged(skus: ["S-000", "a\u0000b"]) { sku } }"#;
    let mut socket = subscribe(&shop, "/graphql", Who::Guest, query).await;
    let refused = receive(&mut socket).await.expect("it is answered");
    assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "BAD_INPUT", "{refused}");
    let message = refused["payload"]["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with(r#""a\0b" is not a SKU"#), "{refused}");
    assert_eq!(receive(&mut socket).await.expect("it ends")["type"], "complete");
    let where_it_is = "subscription { stockChanged(skus: [\"S-000\"]) { location } }";
    assert_eq!(shop.storefront(Who::Guest, where_it_is).await.code(), "GRAPHQL_VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_websocket_gets_no_answer_on_its_path() {
    let shop = Shop::open().await;
    let request = shop.request(Method::GET, "/graphql/ws", Who::Guest).body(Body::empty()).expect("it is a request");
    assert_eq!(shop.send(request).await.status, StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_to_the_back_office_needs_a_token_of_staff() {
    let shop = Shop::open().await;
    let bob = json!({"authorization": shop.authorization(Who::Customer("bob"))});
    let expired = json!({"authorization": shop.authorization(Who::Expired)});
    for init in [json!({}), bob, expired] {
        let mut socket = connect(&shop, "/admin/graphql", init).await;
        let answer = receive(&mut socket).await;
        assert!(answer.as_ref().is_none_or(|answer| answer["type"] != "connection_ack"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_book_is_read_over_http_by_staff_and_resumed_after_the_last_event_seen() {
    let shop = Shop::open().await;
    let head = shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let get = |who: Who| shop.request(Method::GET, "/events?after=2&limit=2", who).body(Body::empty());
    let lines = shop.send(get(Who::Support).expect("it is a request")).await;
    let positions: Vec<_> = lines
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON")["position"].clone())
        .collect();
    assert_eq!(positions, [json!(3), json!(4)]);
    for (who, status) in [(Who::Guest, StatusCode::UNAUTHORIZED), (Who::Customer("ann"), StatusCode::FORBIDDEN)] {
        assert_eq!(shop.send(get(who).expect("it is a request")).await.status, status);
    }
    let request = shop
        .request(Method::GET, "/events", Who::Admin)
        .header(header::ACCEPT, "text/event-stream")
        .header("last-event-id", head - 1);
    let response = shop.router().oneshot(request.body(Body::empty()).expect("it is a request")).await;
    let response = response.expect("a router always answers");
    let history = response.headers()["x-daybook-history"].to_str().expect("it is text");
    history.parse::<uuid::Uuid>().expect("the history has an identity");
    let mut body = response.into_body();
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("something comes");
    let bytes = frame.expect("the stream goes on").expect("it is not broken").into_data().unwrap_or_default();
    assert!(String::from_utf8_lossy(&bytes).contains(&format!("id: {head}\n")), "{bytes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_parameter_of_the_book_is_named() {
    let shop = Shop::open().await;
    let get = async |query: &str, last: Option<&str>| {
        let mut request = shop.request(Method::GET, &format!("/events{query}"), Who::Admin);
        if let Some(last) = last {
            request = request.header(header::ACCEPT, "text/event-stream").header("last-event-id", last);
        }
        shop.send(request.body(Body::empty()).expect("it is a request")).await
    };
    for (query, last, parameter) in [
        ("?limit=abc", None, "limit"),
        ("?limit=0", None, "limit"),
        ("?after=-1", None, "after"),
        ("?stream=a%00b", None, "stream"),
        ("?type=a%00b", None, "type"),
        ("?colour=red", None, "colour"),
        ("", Some("soon"), "Last-Event-ID"),
        ("", Some("-1"), "Last-Event-ID"),
        // Of another history of the book, before it was restored.
        ("", Some("1000000"), "Last-Event-ID"),
    ] {
        let answer = get(query, last).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "bad_parameter"), "{query}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.json()["parameter"], parameter);
    }
    let delete = shop.request(Method::DELETE, "/events", Who::Admin).body(Body::empty()).expect("it is a request");
    let answer = shop.send(delete).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"));
    assert_eq!(answer.headers[header::ALLOW], "GET,HEAD");
}
