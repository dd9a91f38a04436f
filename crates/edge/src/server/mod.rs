//! The edge: connections from outside, and what each of them may take from the others. How many there are, how long they may
//! keep silent or take to say something, how long a request may take, and whose address it is counted for.
//!
//! What belongs here: what is the same for every route. What does not: how often somebody may ask ([`rates`](crate::rates), which
//! the APIs ask once they know who it is), the size of bodies and the cost of queries (the APIs' own).

mod body;
mod connections;
mod guarded;
mod open_files;
mod request;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{Request, StatusCode},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::open_files::make_room;
use self::{
    connections::{Connections, Full, Place},
    guarded::{Guarded, Turns},
    request::{answer, refusal},
};
use crate::proxies::TrustedProxies;

/// How long requests that are under way may take when the process is told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// The largest head of a request, in bytes; also how much of a connection is buffered.
const MAX_HEAD: usize = 64 << 10;
/// How long the accepting waits when the system cannot give it a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How long somebody whom there is no room for may take to ask for something, and to be told.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What connections may take.
#[derive(Debug, Clone)]
pub struct EdgeLimits {
    /// The most connections of the process, WebSockets among them.
    pub connections: usize,
    /// The most connections from one address that is no trusted proxy.
    pub connections_per_address: usize,
    /// From the first byte of a request, or of a connection, to the end of the request's head.
    pub head: Duration,
    /// How long a connection is kept without a request.
    pub idle: Duration,
    /// From the head of a request to the head of its answer, with the whole body in between.
    pub request: Duration,
    /// How long somebody may take to read anything of what they are sent.
    pub stall: Duration,
    /// Whose word for an address is taken.
    pub proxies: TrustedProxies,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections: 15_000,
            connections_per_address: 200,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            request: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            proxies: TrustedProxies::default(),
        }
    }
}

/// Serves a router until told to stop, and then until what is under way is done, or has taken too long.
pub async fn serve(listener: TcpListener, router: Router, limits: EdgeLimits, stop: CancellationToken) {
    let edge = Edge { router, limits: Arc::new(limits), stop, tasks: TaskTracker::new() };
    let connections = Connections::new(&edge.limits);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = edge.stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match connections.admit(peer.ip()) {
                Ok(place) => edge.spawn(stream, peer, place),
                Err(full) => edge.turn_away(stream, peer, full, &connections),
            },
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    edge.tasks.close();
    if tokio::time::timeout(DRAIN, edge.tasks.wait()).await.is_err() {
        tracing::warn!("requests were still under way after {DRAIN:?}");
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What connections share.
struct Edge {
    router: Router,
    limits: Arc<EdgeLimits>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Edge {
    fn spawn(&self, stream: TcpStream, peer: SocketAddr, place: Place) {
        let (router, limits, stop) = (self.router.clone(), Arc::clone(&self.limits), self.stop());
        self.tasks.spawn(converse(stream, peer, place, router, limits, stop));
    }

    /// Tells somebody that there is no room, if there is room for that.
    fn turn_away(&self, stream: TcpStream, peer: SocketAddr, full: Full, connections: &Connections) {
        metrics::counter!("daybook_connections_refused_total", "limit" => full.name()).increment(1);
        let Some(place) = connections.last_words() else { return };
        let router = Router::new().fallback(move || std::future::ready(refusal(full)));
        let limits = EdgeLimits { head: LAST_WORDS, idle: LAST_WORDS, stall: LAST_WORDS, ..(*self.limits).clone() };
        self.tasks.spawn(converse(stream, peer, place, router, Arc::new(limits), self.stop()));
    }

    /// Each connection listens on its own: all of them look whether to stop whenever they are woken, and would do so under one lock.
    fn stop(&self) -> CancellationToken {
        self.stop.child_token()
    }
}

/// Serves one connection to its end.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    router: Router,
    limits: Arc<EdgeLimits>,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection waits for full packets");
    }
    let turns = Turns::default();
    let stream = Guarded::new(stream, turns.clone(), &limits, place);
    let mut builder = http1::Builder::new();
    // The head has a limit of its own; this one is for the silence before it.
    builder.timer(TokioTimer::new()).header_read_timeout(limits.idle).max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD);
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, limits, turn) = (router.clone(), Arc::clone(&limits), turns.take());
        async move {
            let response = answer(router, request, peer.ip(), &limits).await;
            let turn = if response.status() == StatusCode::SWITCHING_PROTOCOLS { turn.for_good() } else { turn };
            Ok::<_, Infallible>(response.map(|body| turn.until_the_end_of(body)))
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection was broken off");
    }
}
