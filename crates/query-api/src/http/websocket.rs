//! Operations over WebSocket (`graphql-transport-ws`). The token comes in the header, or in the payload of `connection_init`
//! as `authorization`.
//!
//! A socket that does not begin in time is closed, those that are still there are told apart from those that are not by pings,
//! and what a socket is closed for is said as the protocol has it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_graphql::{
    Data, Executor,
    http::{ALL_WEBSOCKET_PROTOCOLS, WebSocket as Conversation, WebSocketProtocols, WsMessage},
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
use futures::{SinkExt, Stream, StreamExt, stream::SplitSink};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::{Endpoint, MAX_BODY, Rejection, address, text};
use crate::graphql::error::coded;

/// How much is read at once. A socket holds as much memory for as long as it lives, and mostly it waits.
const READ_BUFFER: usize = 4 << 10;

/// How long sockets may keep silent.
#[derive(Debug, Clone, Copy)]
pub struct SocketLimits {
    /// For how long `connection_init` is waited for.
    pub init: Duration,
    /// How often the other side is asked whether it is still there.
    pub ping: Duration,
    /// After which silence it is taken for gone; also how long it may take to read what it is sent.
    pub silence: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self { init: Duration::from_secs(10), ping: Duration::from_secs(25), silence: Duration::from_secs(60) }
    }
}

/// Takes requests that ask to go over to WebSocket, and lets the others through.
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
        return Rejection::new(StatusCode::BAD_REQUEST, "unknown_protocol", detail).into_response();
    };
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => serve(endpoint, &parts, protocol, upgrade),
        Err(rejection) => Rejection::new(rejection.status(), "bad_upgrade", rejection.body_text()).into_response(),
    }
}

/// The first of the protocols that the other side speaks and we do.
fn protocol(headers: &HeaderMap) -> Option<WebSocketProtocols> {
    let spoken = text(headers, header::SEC_WEBSOCKET_PROTOCOL.as_str())?;
    spoken.split(',').find_map(|protocol| protocol.trim().parse().ok())
}

fn serve<E: Executor>(
    endpoint: Arc<Endpoint<E>>,
    parts: &Parts,
    protocol: WebSocketProtocols,
    upgrade: WebSocketUpgrade,
) -> Response {
    let authorization = text(&parts.headers, header::AUTHORIZATION.as_str()).map(str::to_owned);
    let address = address(&parts.extensions);
    let upgrade = upgrade.protocols(ALL_WEBSOCKET_PROTOCOLS).max_message_size(MAX_BODY).max_frame_size(MAX_BODY);
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0);
    upgrade.on_upgrade(move |socket| async move {
        let schema = endpoint.streams.of_connection(endpoint.schema.clone(), endpoint.rates.clone());
        let limits = endpoint.sockets;
        let init = move |payload: Value| async move {
            let given = payload.get("authorization").or_else(|| payload.get("Authorization"));
            let given = given.and_then(|value| value.as_str().map(str::to_owned)).or(authorization);
            let viewer = endpoint.viewer(given.as_deref(), address);
            let viewer = viewer.map_err(|rejection| coded(rejection.code, rejection.detail))?;
            let mut data = Data::default();
            data.insert(viewer);
            Ok(data)
        };
        let (to, from) = socket.split();
        let heard = Heard::now();
        let spoken = heard.clone().note(from);
        let said = Conversation::new(schema, spoken, protocol).on_connection_init(init);
        converse(said.boxed(), to, &limits, &heard).await;
    })
}

/// When the other side was last heard of.
#[derive(Clone)]
struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The texts of what comes in. Whatever comes shows that somebody is there.
    fn note(self, from: impl Stream<Item = Result<Message, axum::Error>>) -> impl Stream<Item = Bytes> {
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

/// Says what is to be said until there is nothing more, or nobody who listens.
async fn converse(
    mut said: impl Stream<Item = WsMessage> + Unpin,
    mut to: SplitSink<WebSocket, Message>,
    limits: &SocketLimits,
    heard: &Heard,
) {
    let begin = Instant::now();
    let mut begun = false;
    let mut pings = interval_at(begin + limits.ping, limits.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            // What has been said counts, however late this task gets its turn.
            biased;
            message = said.next() => match message {
                Some(WsMessage::Text(text)) => {
                    begun = true;
                    Message::Text(text.into())
                }
                Some(WsMessage::Close(code, reason)) => closing(code, &reason, begun),
                None => closing(1000, "", begun),
            },
            () = sleep_until(begin + limits.init), if !begun => {
                Message::Close(Some(CloseFrame { code: 4408, reason: "Connection initialisation timeout".into() }))
            }
            _ = pings.tick() => {
                if heard.last().elapsed() > limits.silence {
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

/// Closes for a reason, by the codes of `graphql-transport-ws` where the library has codes of WebSocket itself.
fn closing(code: u16, reason: &str, begun: bool) -> Message {
    let code = match (code, begun) {
        // Something was asked for before the connection had begun.
        (1011, false) => 4401,
        // It was no message of the protocol.
        (1002, true) => 4400,
        // Before it has begun, this may also be said of a token that is not accepted; serde names the place in the text.
        (1002, false) if reason.contains(" at line ") => 4400,
        (1002, false) => 4403,
        (code, _) => code,
    };
    // The reason has to fit into a frame of control: 125 bytes with the code.
    let reason = &reason[..reason.floor_char_boundary(123)];
    Message::Close(Some(CloseFrame { code, reason: reason.into() }))
}
