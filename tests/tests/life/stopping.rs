//! How a process stops: in order, and at once when it is asked twice.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue, protocol::frame::coding::CloseCode},
};

use crate::served::{PATIENCE, World, cart_open, post, token};

const EVERYTHING: &str = "command-api,query-api,relay,projectors,reactors";

/// Sends mutations that read back, one after the other on one connection, until the server says that it closes the connection. Returns
/// how many were answered.
async fn mutate(url: String) -> usize {
    let address = url.trim_start_matches("http://").to_owned();
    let stream = TcpStream::connect(&address).await.expect("the process listens");
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
    tokio::spawn(connection);
    for answered in 1.. {
        let request = post(&url, "/graphql", &cart_open());
        let (parts, body) = request.into_parts();
        let mut request = Request::from_parts(parts, body);
        request.headers_mut().insert("host", HeaderValue::from_str(&address).expect("a host"));
        let response = sender.send_request(request).await.expect("a request on an open connection is answered");
        let closes = response.headers().get("connection").is_some_and(|value| value == "close");
        let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(answer["errors"].is_null() && answer["data"]["cartOpen"]["cart"]["status"] == "OPEN", "{answer}");
        if closes {
            return answered;
        }
    }
    0
}

#[tokio::test(flavor = "multi_thread")]
async fn mutations_that_are_under_way_read_back_what_they_have_written_while_the_process_stops() {
    let world = World::new().await;
    let served = world.ready(EVERYTHING, &["--drain-delay", "0"]).await;
    let url = served.url();
    let mut clients: JoinSet<usize> = (0..16).map(|_| mutate(url.clone())).collect();
    let (client, opened) = (world.database.connect().await, "SELECT count(*) >= 100 FROM events");
    while !client.query_one(opened, &[]).await.expect("the book answers").get::<_, bool>(0) {
        assert!(clients.try_join_next().is_none(), "no client has ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    served.signal(Signal::SIGTERM);
    let mut answered = 0;
    while let Some(client) = timeout(PATIENCE, clients.join_next()).await.expect("the clients are answered") {
        answered += client.expect("no request failed");
    }
    assert!(served.ended().await.success());
    let published = "SELECT (SELECT position FROM relay) - (SELECT position FROM head)";
    let missing: i64 = client.query_one(published, &[]).await.expect("the book answers").get(0);
    assert_eq!(missing, 0, "the relay has published up to the head");
    let opened: i64 = client
        .query_one("SELECT count(*) FROM events WHERE type = 'cart.CartOpened'", &[])
        .await
        .expect("the book answers")
        .get(0);
    assert_eq!(usize::try_from(opened), Ok(answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_ask_for_a_drain_and_listeners_are_asked_to_come_back() {
    let world = World::new().await;
    let served = world.ready(EVERYTHING, &["--drain-delay", "2"]).await;
    let url = served.url();
    let mut socket_url = format!("{}/graphql", url.replace("http://", "ws://")).into_client_request().expect("a URL");
    socket_url.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
    let (mut socket, _) = connect_async(socket_url).await.expect("a socket");
    let stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("the process listens");
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
    tokio::spawn(connection);
    let events = Request::get("/events").header("host", "shop").header("authorization", token());
    let events = events.header("accept", "text/event-stream").body(Full::<Bytes>::default()).expect("a request");
    let events = sender.send_request(events).await.expect("an answer");
    assert_eq!(events.status(), 200);

    let drain = Request::post(format!("{}/drain", served.operators)).body(Full::default()).expect("a request");
    assert_eq!(served.send(drain).await.0, 202);
    let rest = timeout(PATIENCE, events.into_body().collect()).await.expect("the stream ends").expect("it is whole");
    let rest = String::from_utf8_lossy(&rest.to_bytes()).into_owned();
    assert!(rest.trim_end().ends_with("1000") && rest.contains("retry:"), "{rest}");
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("the socket is closed") {
            Some(Ok(Message::Close(Some(frame)))) => {
                assert_eq!(frame.code, CloseCode::Restart);
                break;
            }
            Some(Ok(_)) => {}
            other => panic!("the socket ended without a reason: {other:?}"),
        }
    }
    assert!(served.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_process_serves_on_and_a_second_signal_stops_it_at_once() {
    let world = World::new().await;
    let served = world.ready("command-api,query-api,relay,projectors", &["--drain-delay", "600"]).await;
    let url = served.url();
    served.signal(Signal::SIGTERM);
    let drains =
        async |served: &crate::served::Served| served.readiness().await.1.first() == Some(&("drain".to_owned(), false));
    served.until("it drains", drains).await;
    assert_eq!(served.operator("/livez").await.0, 200);
    let (status, body) = served.send(post(&url, "/graphql", &cart_open())).await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &answer["data"]["cartOpen"]["cart"]["status"]), (200, &json!("OPEN")), "{body}");
    served.signal(Signal::SIGTERM);
    assert!(!served.ended().await.success(), "it has not stopped in order");
}
