//! Subscriptions, over WebSocket and as server-sent events.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use daybook_domain::{Slice, Storefront};
use futures::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tower::ServiceExt;

use crate::shop::{Caller, PATIENCE, Shop, ShopSettings, id, skus};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn connect(shop: &Shop, path: &str, init: Value) -> Socket {
    let url = format!("{}{path}", shop.url.replace("http://", "ws://"));
    let mut request = url.into_client_request().expect("the URL is valid");
    let protocol = "graphql-transport-ws".parse().expect("the header is valid");
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    let (mut socket, _) = connect_async(request).await.expect("the server upgrades to WebSocket");
    send(&mut socket, json!({"type": "connection_init", "payload": init})).await;
    socket
}

pub(crate) async fn send(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.expect("the message can be sent");
}

/// The next message. None when the server has closed the socket.
pub(crate) async fn receive(socket: &mut Socket) -> Option<Value> {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("a message comes in time") {
            Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("the message is JSON")),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

/// Subscribes with the token of an actor.
pub(crate) async fn subscribe(shop: &Shop, path: &str, caller: Caller, query: &str) -> Socket {
    let mut socket = connect(shop, path, json!({"authorization": shop.authorization(caller)})).await;
    assert_eq!(receive(&mut socket).await.expect("the connection is acknowledged")["type"], "connection_ack");
    send(&mut socket, json!({"id": "1", "type": "subscribe", "payload": {"query": query}})).await;
    socket
}

/// The data of the next result.
pub(crate) async fn next(socket: &mut Socket) -> Value {
    let mut message = receive(socket).await.expect("the subscription continues");
    assert_eq!(message["type"], "next", "{message}");
    message["payload"]["data"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn past_and_new_events_come_without_a_gap_while_writers_append() {
    let shop = Shop::open().await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    for _ in 0..600 {
        shop.command("ReceiveStock", json!({"sku": "S-000", "quantity": 1})).await;
    }
    let query = "subscription { eventAppended(after: 2) { position type } }";
    let (mut on_endpoint, mut on_own_path) = tokio::join!(
        subscribe(&shop, "/admin/graphql", Caller::Admin, query),
        subscribe(&shop, "/admin/graphql/ws", Caller::Support, query),
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
async fn a_position_that_the_book_does_not_have_is_refused() {
    let shop = Shop::open().await;
    for after in ["1000000", "-1"] {
        let query = format!("subscription {{ eventAppended(after: {after}) {{ position }} }}");
        let mut socket = subscribe(&shop, "/admin/graphql", Caller::Admin, &query).await;
        let refused = receive(&mut socket).await.expect("the subscription is answered");
        assert!(refused.to_string().contains("BAD_INPUT"), "{refused}");
        let page = shop.office(Caller::Admin, &format!("{{ events(after: {after}) {{ position }} }}")).await;
        assert_eq!(page.code(), "BAD_INPUT", "{after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_some_types_come_without_the_others() {
    let shop = Shop::open().await;
    let query = r#"subscription { eventAppended(types: ["catalog.PriceSet"]) { position type } }"#;
    let mut socket = subscribe(&shop, "/admin/graphql", Caller::Admin, query).await;
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
        let page = shop.office(Caller::Admin, &query).await.data()["events"].take();
        let positions: Vec<_> = page.as_array().into_iter().flatten().filter_map(|e| e["position"].as_i64()).collect();
        let Some(last) = positions.last() else { break };
        after = *last;
        seen.extend(positions);
    }
    assert_eq!(seen, (1..=head).collect::<Vec<_>>());
    // A position has 64 bits, which an `Int` of GraphQL does not hold.
    let beyond = json!({"query": "query($after: Long!) { events(after: $after) { position } }", "variables": {"after": i64::MAX}});
    let refused = shop.post("/admin/graphql", Caller::Admin, &beyond).await;
    assert_eq!(refused.code(), "BAD_INPUT", "such a position belongs to another history of the book");
    assert!(refused.text.contains(&i64::MAX.to_string()), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_an_order_is_sent() {
    let shop = Shop::open().await;
    let skus = skus("S", 1);
    shop.sell("Soap", "Suds", &skus).await;
    shop.cart(id("c"), Some("ann"), &skus).await;
    shop.shown(shop.command("PlaceOrder", json!({"cart_id": id("c"), "order_id": id("o")})).await).await;
    let query = format!("subscription {{ orderUpdated(id: \"{}\") {{ phase version }} }}", id("o"));
    let mut socket = subscribe(&shop, "/graphql", Caller::Customer("ann"), &query).await;
    assert_eq!(next(&mut socket).await["orderUpdated"]["phase"], "PLACED");
    for (command, phase) in [("ConfirmOrder", "CONFIRMED"), ("StartFulfilment", "IN_FULFILMENT")] {
        shop.command(command, json!({"order_id": id("o")})).await;
        assert_eq!(next(&mut socket).await["orderUpdated"]["phase"], phase);
    }
    for caller in [Caller::Guest, Caller::Customer("bob")] {
        let mut other = subscribe(&shop, "/graphql", caller, &query).await;
        let refused = receive(&mut other).await.expect("the subscription is answered");
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
    shop.stall_views(Slice::Inventory).await;
    let query = format!("subscription {{ orderUpdated(id: \"{}\") {{ phase version }} }}", id("o"));
    let before = shop.proxy.executed();
    let mut socket = subscribe(&shop, "/graphql", Caller::Customer("ann"), &query).await;
    assert_eq!(next(&mut socket).await["orderUpdated"], json!({"phase": "PLACED", "version": 200}));
    let statements = shop.proxy.executed() - before;
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
    let mut socket = subscribe(&shop, "/graphql", Caller::Guest, &query).await;
    assert_eq!(next(&mut socket).await["orderUpdated"]["version"], 1);
    let held = shop.projection.clone().lock_owned().await;
    for command in ["ConfirmOrder", "StartFulfilment", "ShipOrder"] {
        shop.command(command, json!({"order_id": id("o")})).await;
    }
    drop(held);
    assert_eq!(next(&mut socket).await["orderUpdated"]["version"], 4);
    shop.command("DeliverOrder", json!({"order_id": id("o")})).await;
    assert_eq!(next(&mut socket).await["orderUpdated"]["version"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_changes_are_sent_as_server_sent_events() {
    let shop = Shop::open().await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 2)).await).await;
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { sku available } }"#;
    let request = shop
        .request(Method::POST, "/graphql", Caller::Guest)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream");
    let request = request.body(Body::from(json!({"query": query}).to_string())).expect("the request is valid");
    let response = shop.router().oneshot(request).await.expect("a router always answers");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache, no-transform");
    assert_eq!(response.headers()["x-accel-buffering"], "no", "nginx would keep the events back");
    let mut body = response.into_body();
    let mut next = async || {
        loop {
            let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("a message comes in time");
            let bytes =
                frame.expect("the stream continues").expect("the stream is not broken").into_data().unwrap_or_default();
            let text = String::from_utf8(bytes.to_vec()).expect("the event is a text");
            if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
                assert!(text.lines().any(|line| line == "event: next"), "{text}");
                let result: Value = serde_json::from_str(data).expect("the message is JSON");
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
async fn the_available_stock_is_what_one_order_can_have_and_sent_only_when_it_changes() {
    let locations = ["main", "annexe"].map(|name| name.parse().expect("a location"));
    let storefront = Storefront { locations: Some(locations.to_vec()), ..Storefront::default() };
    let shop = Shop::with(ShopSettings { storefront, ..ShopSettings::default() }).await;
    shop.sell("Soap", "Suds", &skus("S", 1)).await;
    for (location, quantity) in [("annexe", 5), ("attic", 9_000)] {
        let more = json!({"sku": "S-000", "quantity": quantity, "location": location});
        shop.shown(shop.command("ReceiveStock", more).await).await;
    }
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { sku available } }"#;
    let mut socket = subscribe(&shop, "/graphql", Caller::Guest, query).await;
    assert_eq!(next(&mut socket).await["stockChanged"], json!({"sku": "S-000", "available": 1_000}));
    // A line comes from one location, so what another location gains changes nothing.
    shop.command("ReceiveStock", json!({"sku": "S-000", "quantity": 1, "location": "annexe"})).await;
    shop.command("AdjustStock", json!({"sku": "S-000", "delta": -2, "reason": "broken"})).await;
    assert_eq!(next(&mut socket).await["stockChanged"]["available"], 998);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sku_that_the_viewer_does_not_know_of_is_refused_and_does_not_wait_in_silence() {
    let shop = Shop::open().await;
    let draft = json!({"product_id": id("draft"), "name": "Draft", "variants": [{"sku": "D-1"}]});
    shop.command("CreateProduct", draft).await;
    shop.shown(shop.command("ReceiveStock", json!({"sku": "D-1", "quantity": 7})).await).await;
    for (path, caller, sku, known) in [
        ("/graphql", Caller::Guest, "NONE", false),
        ("/graphql", Caller::Guest, "D-1", false),
        ("/admin/graphql", Caller::Admin, "NONE", false),
        ("/admin/graphql", Caller::Admin, "D-1", true),
    ] {
        let query = format!("subscription {{ stockChanged(skus: [\"{sku}\"]) {{ sku available orderable }} }}");
        let mut socket = subscribe(&shop, path, caller, &query).await;
        let first = receive(&mut socket).await.expect("the subscription is answered");
        let code = &first["payload"]["errors"][0]["extensions"]["code"];
        assert_eq!(*code == "NOT_FOUND", !known, "{sku} for {caller:?}: {first}");
        if known {
            let level = json!({"sku": sku, "available": 0, "orderable": false});
            assert_eq!(first["payload"]["data"]["stockChanged"], level, "nobody can buy a draft");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_sku_ends_the_subscription_with_an_error() {
    let shop = Shop::open().await;
    let query = r#"subscription { stockChanged(skus: ["S-000", "a\u0000b"]) { sku } }"#;
    let mut socket = subscribe(&shop, "/graphql", Caller::Guest, query).await;
    let refused = receive(&mut socket).await.expect("the subscription is answered");
    assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "BAD_INPUT", "{refused}");
    let message = refused["payload"]["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with(r#""a\0b" is not a SKU"#), "{refused}");
    assert_eq!(receive(&mut socket).await.expect("the subscription ends")["type"], "complete");
    let location = "subscription { stockChanged(skus: [\"S-000\"]) { location } }";
    assert_eq!(shop.storefront(Caller::Guest, location).await.code(), "GRAPHQL_VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_request_on_the_path_of_websockets_is_refused() {
    let shop = Shop::open().await;
    let request =
        shop.request(Method::GET, "/graphql/ws", Caller::Guest).body(Body::empty()).expect("the request is valid");
    assert_eq!(shop.send(request).await.status, StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_to_the_back_office_needs_a_token_of_staff() {
    let shop = Shop::open().await;
    let bob = json!({"authorization": shop.authorization(Caller::Customer("bob"))});
    let expired = json!({"authorization": shop.authorization(Caller::Expired)});
    for init in [json!({}), bob, expired] {
        let mut socket = connect(&shop, "/admin/graphql", init).await;
        let answer = receive(&mut socket).await;
        assert!(answer.as_ref().is_none_or(|answer| answer["type"] != "connection_ack"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_reads_the_book_over_http_and_resumes_after_the_last_event() {
    let shop = Shop::open().await;
    let head = shop.sell("Soap", "Suds", &skus("S", 1)).await;
    let get = |caller: Caller| shop.request(Method::GET, "/events?after=2&limit=2", caller).body(Body::empty());
    let lines = shop.send(get(Caller::Support).expect("the request is valid")).await;
    let positions: Vec<_> = lines
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON")["position"].clone())
        .collect();
    assert_eq!(positions, [json!(3), json!(4)]);
    for (caller, status) in
        [(Caller::Guest, StatusCode::UNAUTHORIZED), (Caller::Customer("ann"), StatusCode::FORBIDDEN)]
    {
        assert_eq!(shop.send(get(caller).expect("the request is valid")).await.status, status);
    }
    let request = shop
        .request(Method::GET, "/events", Caller::Admin)
        .header(header::ACCEPT, "text/event-stream")
        .header("last-event-id", head - 1);
    let response = shop.router().oneshot(request.body(Body::empty()).expect("the request is valid")).await;
    let response = response.expect("a router always answers");
    let history = response.headers()["x-daybook-history"].to_str().expect("the header is a text");
    history.parse::<uuid::Uuid>().expect("the history has an identity");
    let mut body = response.into_body();
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("a message comes in time");
    let bytes = frame.expect("the stream continues").expect("the stream is not broken").into_data().unwrap_or_default();
    assert!(String::from_utf8_lossy(&bytes).contains(&format!("id: {head}\n")), "{bytes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_parameter_of_the_book_is_named() {
    let shop = Shop::open().await;
    let get = async |query: &str, last: Option<&str>| {
        let mut request = shop.request(Method::GET, &format!("/events{query}"), Caller::Admin);
        if let Some(last) = last {
            request = request.header(header::ACCEPT, "text/event-stream").header("last-event-id", last);
        }
        shop.send(request.body(Body::empty()).expect("the request is valid")).await
    };
    for (query, last, parameter) in [
        ("?limit=abc", None, "limit"),
        ("?limit=0", None, "limit"),
        ("?after=-1", None, "after"),
        ("?stream=a%00b", None, "stream"),
        ("?type=a%00b", None, "type"),
        ("?colour=red", None, "colour"),
        ("?correlation=red", None, "correlation"),
        ("?before=5", None, "before"),
        ("?last=0", None, "last"),
        ("?last=1&after=2", None, "last"),
        ("?last=1", Some("1"), "last"),
        ("?after=1000000", None, "after"),
        ("?type=OrderPlacd", None, "type"),
        ("?type=OrderPlacd", Some("1"), "type"),
        ("", Some("soon"), "Last-Event-ID"),
        ("", Some("-1"), "Last-Event-ID"),
        // This position is beyond the end of the book, as after a restore.
        ("", Some("1000000"), "Last-Event-ID"),
    ] {
        let answer = get(query, last).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "bad_parameter"), "{query}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.json()["parameter"], parameter);
    }
    let delete =
        shop.request(Method::DELETE, "/events", Caller::Admin).body(Body::empty()).expect("the request is valid");
    let answer = shop.send(delete).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"));
    assert_eq!(answer.headers[header::ALLOW], "GET,HEAD");
}
