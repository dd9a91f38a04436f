//! The limits of connections, on real sockets: a slow client is cut off, and other clients are served meanwhile.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::WebSocketUpgrade,
    response::Response,
    routing::{get, post},
};
use daybook_edge::{
    problem::Problem,
    proxies::TrustedProxies,
    rates::ClientAddress,
    server::{ConnectionLimits, Ending, serve},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a test waits for an event that must happen, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(180);
/// A limit that no test exceeds.
const NEVER: Duration = Duration::from_secs(3_600);
/// A limit that a test exceeds.
const SOON: Duration = Duration::from_millis(400);
/// A request.
const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
/// The pause of a client that sends byte by byte.
const DRIP: Duration = Duration::from_millis(50);

/// A server with limits. It ends when it is dropped.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    async fn with(limits: ConnectionLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the port is bound");
        let stop = CancellationToken::new();
        let ending = Ending { close: stop.clone(), ..Ending::default() };
        tokio::spawn(serve(listener, router(), limits, ending));
        Self { address, stop }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the server listens")
    }

    /// The answer to a GET on a connection of its own.
    async fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await.1
    }

    /// A new connection whose first request was answered. On a busy machine a short limit may pass before the request arrives. Then the
    /// request is sent again, on another connection.
    async fn ask(&self, request: &str) -> (TcpStream, Answer) {
        let asking = async {
            loop {
                let mut stream = self.connect().await;
                if stream.write_all(request.as_bytes()).await.is_ok()
                    && let Ok(answer) = read_answer(&mut stream).await
                {
                    return (stream, answer);
                }
            }
        };
        timeout(PATIENCE, asking).await.expect("the server answers")
    }
}

fn router() -> Router {
    let address = async |client: Option<Extension<ClientAddress>>| {
        client.map_or("none".to_owned(), |Extension(ClientAddress(address))| address.to_string())
    };
    let echo = async |mut socket: axum::extract::ws::WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    };
    Router::new()
        .route("/", get("hello"))
        .route("/body", post(async |body: Bytes| body.len().to_string()))
        .route("/large", get(async || vec![0_u8; 64 << 20]))
        .route("/slow", get(async || sleep(DRIP).await))
        .route("/never", get(async || std::future::pending::<()>().await))
        .route("/problem", get(async || Problem::method_not_allowed("the test meant this")))
        .route("/panic", get(async || -> String { panic!("the test meant this") }))
        .route("/address", get(address))
        .route("/socket", get(async move |upgrade: WebSocketUpgrade| -> Response { upgrade.on_upgrade(echo) }))
}

fn limits() -> ConnectionLimits {
    ConnectionLimits::default()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn code(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let problem: Value = serde_json::from_str(&self.body).expect("a problem is JSON");
        assert_eq!(problem["status"], self.status, "{self:?}");
        problem["code"].as_str().expect("a problem has a code").to_owned()
    }
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("the bytes are sent");
}

/// Reads one answer with a content-length.
async fn answer(stream: &mut TcpStream) -> Answer {
    timeout(PATIENCE, read_answer(stream)).await.expect("the server answers").expect("the answer is whole")
}

/// Reads one answer, or fails if the connection ends before.
async fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = || head.lines().filter_map(|line| line.split_once(": "));
            let length = lines()
                .find(|(name, _)| *name == "content-length")
                .map_or(0, |(_, value)| value.parse::<usize>().expect("a length is a number"));
            if body.len() >= length {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return Ok(Answer { status: status.expect("a status"), head: head.into(), body: body.into() });
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the connection ended with {text:?}")));
        }
    }
}

/// Waits until the server has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let read = async {
        let mut bytes = [0; 4096];
        while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    };
    timeout(PATIENCE, read).await.expect("the connection is closed");
}

/// Fifty clients that send one byte at a time. Each ends when it is cut off.
async fn slow_clients(server: &Server) -> JoinSet<()> {
    let mut slow = JoinSet::new();
    for _ in 0..50 {
        let mut stream = server.connect().await;
        slow.spawn(async move {
            let (mut from, mut to) = stream.split();
            let drip = async {
                to.write_all(b"GET / HTTP/1.1\r\nhost: ").await.ok();
                while to.write_all(b"x").await.is_ok() {
                    sleep(DRIP).await;
                }
            };
            let mut bytes = [0; 64];
            tokio::select! {
                () = drip => {}
                // The client gets no answer, since it has sent no complete request.
                read = from.read(&mut bytes) => assert!(matches!(read, Ok(0) | Err(_)), "the client got an answer"),
            }
        });
    }
    slow
}

#[tokio::test]
async fn a_client_that_sends_a_byte_at_a_time_delays_no_other_and_is_cut_off() {
    let patient = Server::with(ConnectionLimits { head_timeout: NEVER, ..limits() }).await;
    let mut slow = slow_clients(&patient).await;
    for _ in 0..20 {
        assert_eq!(patient.get("/", "").await.body, "hello");
    }
    assert!(slow.try_join_next().is_none(), "all slow clients are still connected");

    let strict = Server::with(ConnectionLimits { head_timeout: SOON, ..limits() }).await;
    let mut slow = slow_clients(&strict).await;
    while let Some(cut_off) = timeout(PATIENCE, slow.join_next()).await.expect("the slow clients are cut off") {
        cut_off.expect("no panic");
    }
    assert_eq!(strict.get("/", "").await.body, "hello");
}

/// Waits until the limit for a head has passed, by the clock of the server. The server has then cut off a client that began later.
async fn wait_for_the_head_limit(server: &Server) {
    let mut late = server.connect().await;
    send(&mut late, "GET / HTTP/1.1\r\nhost: ").await;
    closed(&mut late).await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_longer_than_a_head_may_take() {
    let server = Server::with(ConnectionLimits { head_timeout: SOON, idle_timeout: NEVER, ..limits() }).await;
    let (mut kept, _) = server.ask(GET).await;
    for path in ["/", "/slow"] {
        // The client has not begun a request, so no head is late.
        wait_for_the_head_limit(&server).await;
        send(&mut kept, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_eq!(answer(&mut kept).await.status, 200);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_limit() {
    let server = Server::with(ConnectionLimits { head_timeout: NEVER, idle_timeout: SOON, ..limits() }).await;
    let mut silent = server.connect().await;
    closed(&mut silent).await;
    let (mut used, _) = server.ask(GET).await;
    closed(&mut used).await;
}

#[tokio::test]
async fn a_later_head_on_the_same_connection_may_not_take_longer_than_the_first() {
    let server = Server::with(ConnectionLimits { head_timeout: SOON, ..limits() }).await;
    let (mut stream, _) = server.ask(GET).await;
    send(&mut stream, "GET / HTTP/1.1\r\nhost: ").await;
    closed(&mut stream).await;
}

#[tokio::test]
async fn a_slow_body_is_refused_and_a_slow_answer_times_out() {
    let server = Server::with(ConnectionLimits { request_timeout: SOON, ..limits() }).await;
    let mut stream = server.connect().await;
    send(&mut stream, "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").await;
    let (mut from, mut to) = stream.into_split();
    let drip = tokio::spawn(async move {
        while to.write_all(b"x").await.is_ok() {
            sleep(DRIP).await;
        }
    });
    let mut bytes = Vec::new();
    timeout(PATIENCE, from.read_to_end(&mut bytes)).await.expect("the connection is closed").ok();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains(r#""code":"request_timeout""#), "{text}");
    drip.abort();

    let late = server.get("/never", "").await;
    assert_eq!((late.status, late.code().as_str()), (503, "timeout"));
    assert!(late.head.contains("retry-after: 1"), "{late:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_returns_its_permit() {
    let server = Server::with(ConnectionLimits { stall_timeout: SOON, connections: 1, ..limits() }).await;
    let mut deaf = server.connect().await;
    send(&mut deaf, "GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let begin = Instant::now();
    while server.get("/", "").await.status != 200 {
        assert!(begin.elapsed() < PATIENCE, "the permit is never returned");
        sleep(DRIP).await;
    }
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, deaf.read_to_end(&mut rest)).await.expect("the connection has ended");
    let ended = ended.expect_err("the answer is cut off");
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset, "the system keeps nothing of it: {ended}");
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let server = Server::with(limits()).await;
    let answer = server.get("/panic", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    assert!(!answer.body.contains("meant"), "callers do not get the message of the panic");
    assert_eq!(server.get("/", "").await.status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::with(limits()).await;
    assert_eq!(server.get("/", &format!("x: {}\r\n", "y".repeat(100 << 10))).await.status, 431);
    let many: String = (0..200).map(|nr| format!("x{nr}: y\r\n")).collect();
    assert_eq!(server.get("/", &many).await.status, 431);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_rejected() {
    for (limits, status) in [
        (ConnectionLimits { connections: 3, ..limits() }, 503),
        // A proxy is not counted by its address, and by default this machine is a proxy.
        (ConnectionLimits { connections_per_address: 3, trusted_proxies: TrustedProxies(Vec::new()), ..limits() }, 429),
    ] {
        let server = Server::with(limits).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            let (stream, answer) = server.ask(GET).await;
            assert_eq!(answer.status, 200);
            held.push(stream);
        }
        let refused = server.get("/", "").await;
        assert_eq!((refused.status, refused.code().as_str()), (status, "too_many_connections"));
        assert!(refused.head.contains("retry-after: 5") && refused.head.contains("connection: close"), "{refused:?}");
        held.pop();
        let begin = Instant::now();
        while server.get("/", "").await.status != 200 {
            assert!(begin.elapsed() < PATIENCE, "a permit is never returned");
            sleep(DRIP).await;
        }
    }
    let server = Server::with(ConnectionLimits { connections_per_address: 1, ..limits() }).await;
    let _held = server.connect().await;
    assert_eq!(server.get("/", "").await.status, 200);
}

/// A connection that has become a WebSocket.
async fn socket(server: &Server) -> TcpStream {
    let upgrade = "GET /socket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    loop {
        // On a busy machine the short limit for the answer may pass before the answer.
        let (stream, answer) = server.ask(upgrade).await;
        if answer.status == 101 {
            return stream;
        }
        assert_eq!(answer.code(), "timeout");
    }
}

#[tokio::test]
async fn a_websocket_is_a_connection_that_may_be_silent() {
    let server =
        Server::with(ConnectionLimits { head_timeout: SOON, idle_timeout: SOON, request_timeout: SOON, ..limits() })
            .await;
    let mut socket = socket(&server).await;
    // Every limit passes, by the clock of the server, for connections that begin later.
    closed(&mut server.connect().await).await;
    wait_for_the_head_limit(&server).await;
    assert_eq!(server.get("/never", "").await.code(), "timeout");
    // A text of two letters, masked with zeros, and its echo.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.expect("the bytes are sent");
    let mut echo = [0; 4];
    timeout(PATIENCE, socket.read_exact(&mut echo)).await.expect("the server echoes").expect("the connection is open");
    assert_eq!(echo, [0x81, 0x02, b'h', b'i']);
}

#[tokio::test]
async fn a_websocket_counts_as_a_connection() {
    let server = Server::with(ConnectionLimits { connections: 1, ..limits() }).await;
    let _only = socket(&server).await;
    assert_eq!(server.get("/", "").await.code(), "too_many_connections");
}

#[tokio::test]
async fn a_request_is_counted_for_the_address_that_a_trusted_proxy_names() {
    let server = Server::with(limits()).await;
    assert_eq!(server.get("/address", "").await.body, "none");
    assert_eq!(server.get("/address", "x-forwarded-for: 203.0.113.9, 198.51.100.1\r\n").await.body, "198.51.100.1");
    let strict = Server::with(ConnectionLimits { trusted_proxies: TrustedProxies(Vec::new()), ..limits() }).await;
    assert_eq!(strict.get("/address", "x-forwarded-for: 203.0.113.9\r\n").await.body, "127.0.0.1");
}

#[tokio::test]
async fn every_answer_names_its_request_and_a_problem_does_too() {
    let server = Server::with(limits()).await;
    let given = server.get("/problem", "x-request-id: abc-123\r\n").await;
    assert!(given.head.contains("x-request-id: abc-123"), "{given:?}");
    let problem: Value = serde_json::from_str(&given.body).expect("a problem is JSON");
    assert_eq!(problem["request_id"], "abc-123");
    for path in ["/", "/problem", "/panic", "/nowhere"] {
        let answer = server.get(path, "x-request-id: <script>\r\n").await;
        let (_, id) = answer.head.split_once("x-request-id: ").expect("the answer has an id");
        let id = id.lines().next().unwrap_or_default();
        assert!(id.parse::<uuid::Uuid>().is_ok(), "{path}: {id}");
        if path == "/problem" || path == "/panic" {
            assert!(answer.body.contains(&format!(r#""request_id":"{id}""#)), "{answer:?}");
        }
    }
}
