//! The HTTP face: GraphQL over GET, POST, WebSocket and server-sent events, and the book as NDJSON.

mod events;
mod graphiql;
mod graphql;
mod websocket;

use std::sync::Arc;

use async_graphql::Executor;
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};
use daybook_domain::Actor;
use daybook_edge::{
    rates::{ClientAddress, Rates, TooOften},
    tokens::{Keys, TokenError},
};
use serde_json::json;

pub use self::websocket::SocketLimits;
use crate::{
    QuerySettings,
    graphql::{
        batches::BatchExecutor,
        documents::Documents,
        environment::Now,
        schema::{Admin, Storefront, build},
        stream_limits::{StreamPermits, TooManyStreams},
        viewer::Viewer,
    },
    reader::{Reader, tail::Tail},
};

/// The largest request, in bytes.
const MAX_BODY: usize = 1 << 20;
/// After how many seconds a client may ask again for a stream that got no permit.
const RETRY_AFTER: u16 = 10;

/// An endpoint: a schema, and its access rules.
struct Endpoint<E> {
    schema: E,
    documents: Documents,
    reader: Reader,
    keys: Keys,
    staff_only: bool,
    streams: StreamPermits,
    sockets: SocketLimits,
    rates: Rates,
}

pub(crate) fn router(settings: &QuerySettings) -> Router {
    let streams = StreamPermits::new(settings.streams);
    let rates = Rates::new(&settings.rates);
    let tail = Tail::default();
    let storefront: Storefront = build(settings, &tail);
    let admin: Admin = build(settings, &tail);
    Router::new()
        .merge(endpoint("/graphql", Endpoint::new(storefront, settings, &streams, &rates, false)))
        .merge(endpoint("/admin/graphql", Endpoint::new(admin, settings, &streams, &rates, true)))
        .merge(events::router(settings, tail, streams, rates))
        .merge(graphiql::router())
        .method_not_allowed_fallback(async || {
            Rejection::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "the path does not support this method",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

fn endpoint<E: Executor>(path: &str, endpoint: Endpoint<E>) -> Router {
    let endpoint = Arc::new(endpoint);
    Router::new()
        .route(path, get(graphql::get::<E>).post(graphql::post::<E>))
        // For clients that use a separate URL for WebSocket.
        .route(&format!("{path}/ws"), get(async || StatusCode::UPGRADE_REQUIRED))
        .layer(from_fn_with_state(Arc::clone(&endpoint), websocket::upgrade::<E>))
        .with_state(endpoint)
}

impl<E> Endpoint<BatchExecutor<E>> {
    fn new(schema: E, settings: &QuerySettings, streams: &StreamPermits, rates: &Rates, staff_only: bool) -> Self {
        let reader = Reader::new(settings.book.clone(), Tail::default(), settings.patience);
        let schema = BatchExecutor::new(schema, reader.clone(), Now(Arc::clone(&settings.now)));
        Self {
            schema,
            documents: Documents::new(),
            reader,
            keys: settings.keys.clone(),
            staff_only,
            streams: streams.clone(),
            sockets: settings.sockets,
            rates: rates.clone(),
        }
    }
}

impl<E> Endpoint<E> {
    /// The viewer of a request, if they may use this endpoint.
    fn viewer(&self, authorization: Option<&str>, address: Option<ClientAddress>) -> Result<Viewer, Rejection> {
        let actor = match authorization {
            None if !self.staff_only => Ok(Actor::Guest),
            given => self.keys.check_header(given),
        };
        self.rates.check(actor.as_ref().ok(), address)?;
        let viewer = Viewer { actor: actor?, authorization: authorization.map(str::to_owned), address };
        if self.staff_only && !viewer.is_staff() {
            return Err(Rejection::for_staff());
        }
        Ok(viewer)
    }
}

/// A request that was refused before GraphQL handled it.
#[derive(Debug)]
struct Rejection {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The parameter that is wrong.
    parameter: Option<String>,
    /// After how many seconds the client may try again.
    retry_after: Option<u16>,
}

impl Rejection {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), parameter: None, retry_after: None }
    }

    fn for_staff() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "only staff may do this")
    }

    /// A wrong parameter of a URL, or a wrong header.
    fn of_parameter(name: &str, detail: impl Into<String>) -> Self {
        let parameter = Some(name.to_owned());
        Self { parameter, ..Self::new(StatusCode::BAD_REQUEST, "bad_parameter", detail) }
    }
}

impl From<TooManyStreams> for Rejection {
    fn from(error: TooManyStreams) -> Self {
        let rejection = Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_subscriptions", error.to_string());
        Self { retry_after: Some(RETRY_AFTER), ..rejection }
    }
}

impl From<TooOften> for Rejection {
    fn from(error: TooOften) -> Self {
        let rejection = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", error.to_string());
        Self { retry_after: Some(error.retry_after_seconds()), ..rejection }
    }
}

impl From<TokenError> for Rejection {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Missing => "token_missing",
            TokenError::Expired => "token_expired",
            _ => "token_invalid",
        };
        Self::new(StatusCode::UNAUTHORIZED, code, error.to_string())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let Self { status, code, detail, parameter, retry_after } = self;
        let title = status.canonical_reason().unwrap_or("Rejected");
        let mut problem = json!({
            "type": format!("/problems/{code}"), "title": title, "status": status.as_u16(), "code": code, "detail": detail,
        });
        if let Some(parameter) = parameter {
            problem["parameter"] = parameter.into();
        }
        let mut response = (status, Json(problem)).into_response();
        let unavailable = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        if let Some(seconds) = retry_after.or(unavailable) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The address that the request is counted by.
fn address(extensions: &Extensions) -> Option<ClientAddress> {
    extensions.get().copied()
}
