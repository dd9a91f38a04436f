//! How a server begins and ends, on real sockets: routes that come later, the drain, the close, and what every answer carries.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use daybook_edge::{
    drain::Drain,
    server::{ConnectionLimits, Ending, Routes, serve},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long a test waits for an event that must happen, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(180);

struct Server {
    address: SocketAddr,
    ending: Ending,
    ended: JoinHandle<()>,
}

impl Server {
    async fn of(routes: impl Into<Routes> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the port is bound");
        let ending = Ending { drain: Drain::over(Duration::ZERO), close: CancellationToken::new() };
        let ended = tokio::spawn(serve(listener, routes, ConnectionLimits::default(), ending.clone()));
        Self { address, ending, ended }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the server listens")
    }

    /// All that the server sends for a request on a connection of its own, until it closes the connection.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("the bytes are sent");
        rest(&mut stream).await
    }

    async fn close(self) {
        self.ending.close.cancel();
        timeout(PATIENCE, self.ended).await.expect("the server ends").expect("no panic");
    }
}

/// All that comes until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection is closed").expect("it is read");
    String::from_utf8(bytes).expect("an answer is a text")
}

/// The next piece that comes.
async fn piece(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 4096];
    let read = timeout(PATIENCE, stream.read(&mut bytes)).await.expect("the server answers").expect("it is read");
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const GET_AND_CLOSE: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn every_answer_tells_browsers_what_they_may_not_do() {
    let own = [("content-security-policy", "default-src 'self'")];
    let router = Router::new().route("/", get("hello")).route("/page", get(async move || (own, "a page")));
    let server = Server::of(router).await;
    let missing = GET_AND_CLOSE.replace("/ HTTP", "/missing HTTP");
    for request in [GET_AND_CLOSE, &*missing, "GET / HTTP/1.1\r\n\r\n"] {
        let answer = server.ask(request).await;
        for header in [
            "x-content-type-options: nosniff\r\n",
            "referrer-policy: no-referrer\r\n",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n",
        ] {
            assert!(answer.contains(header), "{header} is missing in {answer}");
        }
    }
    let page = server.ask(&GET_AND_CLOSE.replace("/ HTTP", "/page HTTP")).await;
    assert_eq!(page.matches("content-security-policy: default-src 'self'").count(), 1, "{page}");
    assert!(!page.contains("'none'"), "a route may have a policy of its own: {page}");
}

#[tokio::test]
async fn a_request_whose_host_is_not_clear_is_refused() {
    let server = Server::of(Router::new().route("/", get("hello"))).await;
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
    ] {
        let answer = server.ask(request).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(r#""code":"bad_host""#), "{answer}");
    }
    let old = server.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 ") && old.ends_with("hello"), "{old}");
}

#[tokio::test]
async fn routes_may_come_after_the_first_connections() {
    let routes = Routes::before_start(Router::new().route("/livez", get("alive")));
    let server = Server::of(routes.clone()).await;
    let early = server.ask(GET).await;
    assert!(early.starts_with("HTTP/1.1 503 ") && early.contains(r#""code":"starting""#), "{early}");
    assert!(early.contains("retry-after: 1\r\n") && early.contains("connection: close\r\n"), "{early}");
    assert!(server.ask(&GET_AND_CLOSE.replace("/ HTTP", "/livez HTTP")).await.ends_with("alive"));
    routes.replace(Router::new().route("/", get("hello")));
    assert!(server.ask(GET_AND_CLOSE).await.ends_with("hello"));
}

#[tokio::test]
async fn from_the_begin_of_a_drain_on_answers_close_their_connection() {
    let server = Server::of(Router::new().route("/", get("hello"))).await;
    let mut kept = server.connect().await;
    kept.write_all(GET.as_bytes()).await.expect("the bytes are sent");
    let first = piece(&mut kept).await;
    assert!(first.ends_with("hello") && !first.contains("connection: close"), "{first}");
    server.ending.drain.begin();
    // The connection is served once more, and so are new ones.
    kept.write_all(GET.as_bytes()).await.expect("the bytes are sent");
    for last in [rest(&mut kept).await, server.ask(GET).await] {
        assert!(last.contains("connection: close\r\n") && last.ends_with("hello"), "{last}");
    }
    server.close().await;
}

#[tokio::test]
async fn a_server_that_closes_answers_what_was_asked_before() {
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (says, waits) = (Arc::clone(&begun), Arc::clone(&may_end));
    let slow = get(async move || {
        says.notify_one();
        waits.notified().await;
        "done"
    });
    let server = Server::of(Router::new().route("/", slow)).await;
    let mut silent = server.connect().await;
    let mut asked = server.connect().await;
    asked.write_all(GET.as_bytes()).await.expect("the bytes are sent");
    begun.notified().await;
    server.ending.drain.begin();
    server.ending.close.cancel();
    assert_eq!(rest(&mut silent).await, "", "a connection without a request is closed");
    assert!(TcpStream::connect(server.address).await.is_err(), "the server listens no more");
    assert!(!server.ended.is_finished(), "a request is open");
    may_end.notify_one();
    assert!(rest(&mut asked).await.ends_with("done"));
    server.close().await;
}
