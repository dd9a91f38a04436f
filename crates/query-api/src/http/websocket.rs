//! Operations over WebSocket (`graphql-transport-ws`). The token comes in the header, or in the payload of `connection_init`
//! as `authorization`.
//!
//! A socket whose client does not initialise it in time is closed. Pings detect dead clients. Every close has a code of the protocol.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_graphql::{
    Data, Executor,
    http::{ALL_WEBSOCKET_PROTOCOLS, WebSocket as GraphQlSocket, WebSocketProtocols, WsMessage},
};
use axum::{
    body::Bytes,
    extract::{
        FromRequestParts, Request, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use daybook_edge::request_id::RequestId;
use futures::{SinkExt, Stream, StreamExt, stream::SplitSink};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::{
    Endpoint, MAX_BODY, address,
    operation_ids::{OperationIds, TAKEN},
    problem::problem,
    text,
};
use crate::graphql::{environment::Now, error::coded, viewer::Origin};

/// The size of the read buffer. Each socket has one, and most sockets wait.
const READ_BUFFER: usize = 4 << 10;

/// The close code of a server that restarts (IANA's registry of WebSocket close codes). Clients connect again.
const SERVICE_RESTART: u16 = 1012;
/// How long a client may take to answer a close message of a drain.
const CLOSING: Duration = Duration::from_secs(2);

/// How long sockets may stay silent.
#[derive(Debug, Clone, Copy)]
pub struct SocketLimits {
    /// How long the server waits for `connection_init`.
    pub init: Duration,
    /// How often the server pings the client.
    pub ping: Duration,
    /// After which silence the client counts as gone; also how long it may take to read a message.
    pub silence: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self { init: Duration::from_secs(10), ping: Duration::from_secs(25), silence: Duration::from_secs(60) }
    }
}

/// Handles requests for an upgrade to WebSocket, and passes the others on.
pub(super) async fn upgrade<E: Executor>(
    State(endpoint): State<Arc<Endpoint<E>>>,
    request: Request,
    next: Next,
) -> Response {
    let asked = text(request.headers(), header::UPGRADE.as_str());
    if !asked.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        return next.run(request).await;
    }
    let (mut parts, _) = request.into_parts();
    let Some(protocol) = protocol(&parts.headers) else {
        let detail = format!("Sec-WebSocket-Protocol is {}", ALL_WEBSOCKET_PROTOCOLS.join(" or "));
        return problem(StatusCode::BAD_REQUEST, "unknown_protocol", &detail).into_response();
    };
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => serve(endpoint, &parts, protocol, upgrade),
        Err(rejection) => problem(rejection.status(), "bad_upgrade", &rejection.body_text()).into_response(),
    }
}

/// The first protocol of the client that the server supports.
fn protocol(headers: &HeaderMap) -> Option<WebSocketProtocols> {
    let offered = text(headers, header::SEC_WEBSOCKET_PROTOCOL.as_str())?;
    offered.split(',').find_map(|protocol| protocol.trim().parse().ok())
}

fn serve<E: Executor>(
    endpoint: Arc<Endpoint<E>>,
    parts: &Parts,
    protocol: WebSocketProtocols,
    upgrade: WebSocketUpgrade,
) -> Response {
    let authorization = text(&parts.headers, header::AUTHORIZATION.as_str()).map(str::to_owned);
    let (origin, request_id) = (Origin::of(&parts.headers), RequestId::current());
    let address = address(&parts.extensions);
    let upgrade = upgrade.protocols(ALL_WEBSOCKET_PROTOCOLS).max_message_size(MAX_BODY).max_frame_size(MAX_BODY);
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let serving = move |socket: WebSocket| async move {
        let schema = endpoint.streams.for_connection(endpoint.schema.clone(), endpoint.rates.clone());
        let (limits, now, end) = (endpoint.sockets, endpoint.now.clone(), endpoint.drain.stream_end());
        let until = Arc::new(OnceLock::new());
        let of_viewer = Arc::clone(&until);
        let init = move |payload: Value| async move {
            let given = payload.get("authorization").or_else(|| payload.get("Authorization"));
            let given = given.and_then(|value| value.as_str().map(str::to_owned)).or(authorization);
            let viewer = endpoint.viewer(given.as_deref(), address, origin);
            let viewer = viewer.map_err(|problem| coded(&problem.code, problem.detail))?;
            // A connection is initialised once.
            _ = of_viewer.set(viewer.until);
            let mut data = Data::default();
            data.insert(viewer);
            Ok(data)
        };
        let (to, from) = socket.split();
        let last_message = LastMessage::now();
        let ids = OperationIds::new(protocol);
        let received = ids.clone();
        let messages = last_message.clone().record(from).map(move |bytes| received.received(&bytes));
        let answers = GraphQlSocket::from_message_stream(schema, messages, protocol).on_connection_init(init);
        let answers = answers
            .filter(move |message| std::future::ready(!matches!(message, WsMessage::Text(text) if !ids.is_sent(text))));
        let token = Token { until, now };
        serve_connection(answers.boxed(), to, &limits, &last_message, &token, end).await;
    };
    upgrade.on_upgrade(move |socket| async move {
        match request_id {
            Some(id) => id.scope(serving(socket)).await,
            None => serving(socket).await,
        }
    })
}

/// The token of a connection.
struct Token {
    /// When it ends. Nothing is known before the connection is initialised.
    until: Arc<OnceLock<Option<DateTime<Utc>>>>,
    now: Now,
}

impl Token {
    /// Resolves when the token ends.
    async fn ended(&self) {
        self.now.reaches(self.until.get().copied().flatten()).await;
    }
}

/// The time of the last message of the client.
#[derive(Clone)]
struct LastMessage(Arc<Mutex<Instant>>);

impl LastMessage {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn time(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The texts of the messages. Every message shows that the client is alive.
    fn record(self, from: impl Stream<Item = Result<Message, axum::Error>>) -> impl Stream<Item = Bytes> {
        let open = from.take_while(|message| std::future::ready(!matches!(message, Err(_) | Ok(Message::Close(_)))));
        open.filter_map(move |message| {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            std::future::ready(match message {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => Some(message.into_data()),
                _ => None,
            })
        })
    }
}

/// Sends the answers until the connection ends, or the process drains.
async fn serve_connection(
    mut answers: impl Stream<Item = WsMessage> + Unpin,
    mut to: SplitSink<WebSocket, Message>,
    limits: &SocketLimits,
    last_message: &LastMessage,
    token: &Token,
    end: impl Future<Output = ()>,
) {
    let mut end = std::pin::pin!(end);
    let begin = Instant::now();
    let mut initialised = false;
    let mut pings = interval_at(begin + limits.ping, limits.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            // A waiting answer is sent before the deadlines are checked, however late this task runs.
            biased;
            () = &mut end => return restart(answers, to).await,
            message = answers.next() => match message {
                Some(WsMessage::Text(text)) => {
                    initialised = true;
                    Message::Text(text.into())
                }
                Some(WsMessage::Close(code, reason)) => closing(code, &reason, initialised),
                None => closing(1000, "", initialised),
            },
            () = sleep_until(begin + limits.init), if !initialised => {
                Message::Close(Some(CloseFrame { code: 4408, reason: "Connection initialisation timeout".into() }))
            }
            () = token.ended() => {
                Message::Close(Some(CloseFrame { code: 4403, reason: "The token has expired".into() }))
            }
            _ = pings.tick() => {
                if last_message.time().elapsed() > limits.silence {
                    return;
                }
                Message::Ping(Bytes::new())
            }
        };
        let ends = matches!(message, Message::Close(_));
        let sent = timeout(limits.silence, to.send(message)).await;
        if ends || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Closes a connection because the process drains, and waits until the client has closed it, too. What the client sends meanwhile is not
/// answered.
async fn restart(mut answers: impl Stream<Item = WsMessage> + Unpin, mut to: SplitSink<WebSocket, Message>) {
    let frame = CloseFrame { code: SERVICE_RESTART, reason: "Service restart".into() };
    let closing = async {
        if to.send(Message::Close(Some(frame))).await.is_ok() {
            while answers.next().await.is_some() {}
        }
    };
    if timeout(CLOSING, closing).await.is_err() {
        tracing::debug!("a client did not answer the close message of its socket");
    }
}

/// The close message for a reason. Codes are those of `graphql-transport-ws`, where the library uses codes of WebSocket itself.
fn closing(code: u16, reason: &str, initialised: bool) -> Message {
    let code = match (code, initialised) {
        // An operation came before the connection was initialised.
        (1011, false) => 4401,
        // An operation began under the id of another one.
        (1002, true) if reason.starts_with(TAKEN) => 4409,
        // It was not a message of the protocol.
        (1002, true) => 4400,
        // Before that, the library uses this code for a refused token, too. Errors of serde name a line.
        (1002, false) if reason.contains(" at line ") => 4400,
        (1002, false) => 4403,
        (code, _) => code,
    };
    // A control frame has at most 125 bytes, with the code.
    let reason = &reason[..reason.floor_char_boundary(123)];
    Message::Close(Some(CloseFrame { code, reason: reason.into() }))
}
