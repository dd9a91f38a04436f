//! The HTTP server of a process. It limits the number of connections, how long each may be silent, and how long a request may take. So
//! one connection cannot take much from the others.
//!
//! What belongs here: what is the same for every route. What does not: rate limits ([`rates`](crate::rates)), which the APIs apply
//! when they know the actor. The size of bodies and the cost of queries belong to the APIs as well.

mod body;
mod connections;
mod headers;
mod open_files;
mod request;
mod routes;
mod timed_stream;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{Request, StatusCode},
};
use futures::FutureExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    connections::{ConnectionPermit, Connections, LimitReached},
    request::{answer, close, rejection},
    timed_stream::{RequestPhase, TimedStream},
};
pub use self::{open_files::raise_file_limit, routes::Routes};
use crate::{drain::Drain, proxies::TrustedProxies};

/// How long open requests may take once the server closes.
const CLOSING: Duration = Duration::from_secs(25);
/// How long a connection without a request is kept once the server closes. A request may be on its way.
const LINGER: Duration = Duration::from_millis(500);
/// The largest head of a request, in bytes. It is also the size of a connection's buffer.
const MAX_HEAD: usize = 64 << 10;
/// The pause before the next try when the system cannot accept a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that is rejected may take to send a request and to read the answer.
const REJECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The limits of connections.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The most connections of the process, WebSockets among them.
    pub connections: usize,
    /// The most connections from one address that is no trusted proxy.
    pub connections_per_address: usize,
    /// The time for the head of a request, from its first byte or from the start of the connection.
    pub head_timeout: Duration,
    /// How long a connection is kept without a request.
    pub idle_timeout: Duration,
    /// The time from the head of a request to the head of its answer. It includes the whole body.
    pub request_timeout: Duration,
    /// How long a client may take to read anything of what it is sent.
    pub stall_timeout: Duration,
    /// The proxies that may name the address of a client.
    pub trusted_proxies: TrustedProxies,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 15_000,
            connections_per_address: 200,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

/// How a server ends: first it may drain, then it closes. By default it does neither.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// From its begin on, every answer carries `Connection: close`.
    pub drain: Drain,
    /// Closes the listener.
    pub close: CancellationToken,
}

/// Serves routes until the server closes. Then it waits for open requests and WebSockets, but not for ever.
pub async fn serve(listener: TcpListener, routes: impl Into<Routes>, limits: ConnectionLimits, ending: Ending) {
    let server = Server { routes: routes.into(), limits: Arc::new(limits), ending, tasks: TaskTracker::new() };
    let connections = Connections::new(&server.limits, server.tasks.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.ending.close.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => server.admit(stream, peer, &connections),
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // The system has completed these connections already. Without this, it would reset them.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        server.admit(stream, peer, &connections);
    }
    drop(listener);
    server.tasks.close();
    if tokio::time::timeout(CLOSING, server.tasks.wait()).await.is_err() {
        tracing::warn!("requests were still open after {CLOSING:?}");
    }
}

/// Whether an error concerns only the connection that was to be accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What all connections share.
struct Server {
    routes: Routes,
    limits: Arc<ConnectionLimits>,
    ending: Ending,
    tasks: TaskTracker,
}

impl Server {
    /// Serves a connection, or rejects it.
    fn admit(&self, stream: TcpStream, peer: SocketAddr, connections: &Connections) {
        match connections.admit(peer.ip()) {
            Ok(permit) => {
                let (router, limits) = (self.routes.current(), Arc::clone(&self.limits));
                self.tasks.spawn(serve_connection(stream, peer, permit, router, limits, self.ending()));
            }
            Err(limit) => self.reject(stream, peer, limit, connections),
        }
    }

    /// Rejects a connection: with an answer, unless too many are being rejected.
    fn reject(&self, stream: TcpStream, peer: SocketAddr, limit: LimitReached, connections: &Connections) {
        metrics::counter!("daybook_connections_refused_total", "limit" => limit.name()).increment(1);
        let Some(permit) = connections.reject() else { return };
        let router = Router::new().fallback(move || std::future::ready(rejection(limit)));
        let limits = ConnectionLimits {
            head_timeout: REJECTION_TIMEOUT,
            idle_timeout: REJECTION_TIMEOUT,
            stall_timeout: REJECTION_TIMEOUT,
            ..(*self.limits).clone()
        };
        self.tasks.spawn(serve_connection(stream, peer, permit, router, Arc::new(limits), self.ending()));
    }

    /// The ending of one connection, with a token of its own. All connections look at their token whenever they wake up; one shared
    /// token would be one shared lock.
    fn ending(&self) -> Ending {
        Ending { drain: self.ending.drain.clone(), close: self.ending.close.child_token() }
    }
}

/// Serves one connection to its end.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
    router: Router,
    limits: Arc<ConnectionLimits>,
    Ending { drain, close: closes }: Ending,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm on");
    }
    let phase = RequestPhase::default();
    let stream = TimedStream::new(stream, phase.clone(), &limits, permit);
    let mut builder = http1::Builder::new();
    // The stream bounds the time for a head. hyper bounds the silence before it.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD);
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, limits, answering) = (router.clone(), Arc::clone(&limits), phase.begin_answer());
        let drain = drain.clone();
        async move {
            let mut response = answer(router, request, peer.ip(), &limits).await;
            let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            if drain.has_begun() && !upgraded {
                close(&mut response);
            }
            let answering = if upgraded { answering.permanent() } else { answering };
            Ok::<_, Infallible>(response.map(|body| answering.until_body_ends(body)))
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closes.cancelled() => match tokio::time::timeout(LINGER, connection.as_mut()).await {
            Ok(ended) => ended,
            Err(_) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection was broken off");
    }
}
