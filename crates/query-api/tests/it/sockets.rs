//! The limits of WebSockets, and how sockets are closed.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use daybook_edge::rates::{ClientAddress, RateLimits};
use daybook_query_api::{SocketLimits, StreamLimits};
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    live::{Socket, connect, next, receive, send, subscribe},
    shop::{Caller, PATIENCE, Shop, ShopSettings, skus},
};

#[tokio::test(flavor = "multi_thread")]
async fn live_subscriptions_are_limited_by_connection_and_by_process() {
    let streams = StreamLimits { per_connection: 2, per_process: 3, reserve_for_staff: 0, ..StreamLimits::default() };
    let shop = Shop::with(ShopSettings { streams, ..ShopSettings::default() }).await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { sku } }"#;
    let mut first = subscribe(&shop, "/graphql", Caller::Guest, query).await;
    next(&mut first).await;
    let again = async |socket: &mut Socket, id: &str| {
        send(socket, json!({"id": id, "type": "subscribe", "payload": {"query": query}})).await;
        receive(socket).await.expect("the subscription is answered").to_string()
    };
    assert!(!again(&mut first, "2").await.contains("errors"));
    assert!(again(&mut first, "3").await.contains("TOO_MANY_SUBSCRIPTIONS"));
    assert_eq!(receive(&mut first).await.expect("the subscription ends")["type"], "complete");
    let mut second = subscribe(&shop, "/graphql", Caller::Guest, query).await;
    next(&mut second).await;
    assert!(again(&mut second, "2").await.contains("TOO_MANY_SUBSCRIPTIONS"));
    for (method, path, body) in
        [(Method::POST, "/graphql", json!({"query": query}).to_string()), (Method::GET, "/events", String::new())]
    {
        let request = shop.request(method, path, Caller::Admin).header(header::ACCEPT, "text/event-stream");
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body.into());
        let answer = shop.send(request.expect("the request is valid")).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.code(), "too_many_subscriptions");
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
    }
    // The end of one subscription frees a permit.
    send(&mut first, json!({"id": "2", "type": "complete"})).await;
    while again(&mut first, "4").await.contains("errors") {
        assert_eq!(receive(&mut first).await.expect("the subscription ends")["type"], "complete");
    }
}

/// Opens a WebSocket without a first message.
async fn open(shop: &Shop, path: &str) -> Socket {
    let mut request =
        format!("{}{path}", shop.url.replace("http://", "ws://")).into_client_request().expect("the URL is valid");
    let protocol = header::HeaderValue::from_static("graphql-transport-ws");
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    connect_async(request).await.expect("the server upgrades to WebSocket").0
}

/// The code that a socket is closed with.
async fn closed(socket: &mut Socket) -> u16 {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("the socket is closed in time") {
            Some(Ok(Message::Close(frame))) => return frame.expect("the close frame has a code").code.into(),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_close_code_names_the_reason() {
    let shop = Shop::open().await;
    // A subscription to a SKU that does not exist ends, and its id is free again.
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    let init = json!({"type": "connection_init"}).to_string();
    let query = json!({"id": "1", "type": "subscribe", "payload": {"query": "{ __typename }"}}).to_string();
    let forever = r#"subscription { stockChanged(skus: ["S-000"]) { sku } }"#;
    let forever = json!({"id": "1", "type": "subscribe", "payload": {"query": forever}}).to_string();
    let of_bob =
        json!({"type": "connection_init", "payload": {"authorization": shop.authorization(Caller::Customer("bob"))}});
    for (path, messages, code) in [
        ("/graphql", vec![query.clone()], 4401),
        ("/admin/graphql", vec![init.clone()], 4403),
        ("/admin/graphql", vec![of_bob.to_string()], 4403),
        ("/graphql", vec!["nonsense".to_owned()], 4400),
        ("/graphql", vec![init.clone(), "{\"type\":\"nonsense\"}".to_owned()], 4400),
        ("/graphql", vec![init.clone(), init.clone()], 4429),
        ("/graphql", vec![init.clone(), forever.clone(), forever.clone()], 4409),
        ("/graphql", vec![init.clone(), forever.clone(), query.clone()], 4409),
    ] {
        let mut socket = open(&shop, path).await;
        for message in &messages {
            socket.send(Message::text(message)).await.expect("the message can be sent");
        }
        assert_eq!(closed(&mut socket).await, code, "{messages:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_free_once_its_operation_has_ended() {
    let streams = StreamLimits { per_connection: 1, ..StreamLimits::default() };
    let shop = Shop::with(ShopSettings { streams, ..ShopSettings::default() }).await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { sku } }"#;
    let mut socket = subscribe(&shop, "/graphql", Caller::Guest, query).await;
    next(&mut socket).await;
    for _ in 0..20 {
        // The client ends the operation, and begins the next one at once. It takes no answer to the first one for the end of the second.
        send(&mut socket, json!({"id": "1", "type": "complete"})).await;
        send(&mut socket, json!({"id": "1", "type": "subscribe", "payload": {"query": query}})).await;
        assert_eq!(receive(&mut socket).await.expect("the subscription is answered")["type"], "next");
    }
    for _ in 0..2 {
        send(&mut socket, json!({"id": "2", "type": "subscribe", "payload": {"query": "{ __typename }"}})).await;
        assert_eq!(receive(&mut socket).await.expect("the query is answered")["type"], "next");
        assert_eq!(receive(&mut socket).await.expect("the query ends")["type"], "complete");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_without_connection_init_in_time_is_closed() {
    let sockets = SocketLimits { init: Duration::from_secs(5), ..SocketLimits::default() };
    let shop = Shop::with(ShopSettings { sockets, ..ShopSettings::default() }).await;
    let mut initialised = connect(&shop, "/graphql", json!({})).await;
    assert_eq!(receive(&mut initialised).await.expect("the connection is acknowledged")["type"], "connection_ack");
    // The time of a later socket is over, so the time of the first socket has passed as well.
    assert_eq!(closed(&mut open(&shop, "/graphql").await).await, 4408);
    send(&mut initialised, json!({"type": "ping"})).await;
    assert_eq!(receive(&mut initialised).await.expect("the first socket is still open")["type"], "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_answers_no_ping_is_closed_and_its_subscriptions_end() {
    let (ping, silence) = (Duration::from_millis(500), Duration::from_secs(15));
    let settings = ShopSettings {
        sockets: SocketLimits { ping, silence, ..SocketLimits::default() },
        streams: StreamLimits { per_connection: 1, per_process: 2, ..StreamLimits::default() },
        ..ShopSettings::default()
    };
    let shop = Shop::with(settings).await;
    shop.shown(shop.sell("Soap", "Suds", &skus("S", 1)).await).await;
    let query = r#"subscription { stockChanged(skus: ["S-000"]) { sku } }"#;
    let mut alive = subscribe(&shop, "/graphql", Caller::Guest, query).await;
    next(&mut alive).await;
    let mut dead = subscribe(&shop, "/graphql", Caller::Guest, query).await;
    next(&mut dead).await;
    // The test does not read the dead socket, so its pings are not answered. The other socket answers, and stays open.
    let reading = tokio::spawn(async move {
        loop {
            match alive.next().await {
                Some(Ok(message)) if !message.is_close() => {}
                ended => panic!("the live socket was closed: {ended:?}"),
            }
        }
    });
    let begin = std::time::Instant::now();
    loop {
        let mut third = subscribe(&shop, "/graphql", Caller::Guest, query).await;
        let answer = receive(&mut third).await.expect("the subscription is answered").to_string();
        if !answer.contains("TOO_MANY_SUBSCRIPTIONS") {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "the dead socket is not closed");
        tokio::time::sleep(ping).await;
    }
    assert!(!reading.is_finished(), "{:?}", reading.await);
    reading.abort();
    drop(dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_apply_over_http_with_retry_after_and_over_a_socket() {
    let limit = |text: &str| text.parse().expect("the limit is valid");
    let rates = RateLimits { address: limit("1/5"), customer: limit("1/5"), staff: limit("off") };
    let shop = Shop::with(ShopSettings { rates, ..ShopSettings::default() }).await;
    let from = |caller: Caller, path: &str, address: &str| {
        let mut request = shop
            .request(Method::POST, path, caller)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(json!({"query": "{ __typename }"}).to_string()))
            .expect("the request is valid");
        request.extensions_mut().insert(ClientAddress(address.parse().expect("the address is valid")));
        shop.send(request)
    };
    // One request a second is admitted, so a slow machine needs more requests to reach the limit.
    let refused = async |caller: Caller, path: &str, address: &str| {
        for _ in 0..1_000 {
            let answer = from(caller, path, address).await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                assert_eq!(answer.code(), "rate_limited");
                assert_eq!(answer.headers[header::RETRY_AFTER], "1");
                assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
                return;
            }
        }
        panic!("{caller:?} reaches no limit");
    };
    refused(Caller::Guest, "/graphql", "192.0.2.1").await;
    refused(Caller::Customer("ann"), "/graphql", "192.0.2.2").await;
    refused(Caller::Expired, "/admin/graphql", "192.0.2.3").await;
    from(Caller::Guest, "/graphql", "192.0.2.4").await.data();
    for _ in 0..20 {
        from(Caller::Admin, "/admin/graphql", "192.0.2.1").await.data();
    }

    let mut socket =
        connect(&shop, "/graphql", json!({"authorization": shop.authorization(Caller::Customer("bob"))})).await;
    assert_eq!(receive(&mut socket).await.expect("the connection is acknowledged")["type"], "connection_ack");
    let mut limited = false;
    for nr in 0..100 {
        send(&mut socket, json!({"id": nr.to_string(), "type": "subscribe", "payload": {"query": "{ __typename }"}}))
            .await;
        limited |=
            receive(&mut socket).await.expect("the subscription is answered").to_string().contains("RATE_LIMITED");
        assert_eq!(receive(&mut socket).await.expect("the subscription ends")["type"], "complete");
    }
    assert!(limited, "every operation on a socket is counted");
}
