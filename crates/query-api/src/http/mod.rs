//! HTTP: GraphQL over GET, POST, WebSocket and SSE, and the book as NDJSON.

mod events;
mod graphql;

use std::sync::Arc;

use async_graphql::{Executor, http::ALL_WEBSOCKET_PROTOCOLS};
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use daybook_access::{Keys, TokenError};
use daybook_domain::Actor;
use serde_json::json;

use crate::{
    QuerySettings,
    read::Reader,
    schema::{Admin, Storefront, build, loaders},
    viewer::Viewer,
};

/// The largest request, in bytes.
const MAX_BODY: usize = 1 << 20;

/// An endpoint: a schema, and who may use it.
struct Endpoint<E> {
    schema: E,
    reader: Reader,
    keys: Keys,
    staff_only: bool,
}

pub(crate) fn router(settings: QuerySettings) -> Router {
    let storefront: Storefront = build(&settings);
    let admin: Admin = build(&settings);
    let QuerySettings { book, keys, patience, .. } = settings;
    let reader = Reader { book: book.clone(), patience };
    let shop = Endpoint { schema: storefront, reader: reader.clone(), keys: keys.clone(), staff_only: false };
    let office = Endpoint { schema: admin, reader, keys: keys.clone(), staff_only: true };
    Router::new()
        .merge(endpoint("/graphql", shop))
        .merge(endpoint("/admin/graphql", office))
        .merge(events::router(book, keys))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

fn endpoint<E: Executor>(path: &str, endpoint: Endpoint<E>) -> Router {
    Router::new()
        .route(path, get(graphql::get::<E>).post(graphql::post::<E>))
        .route(&format!("{path}/ws"), get(websocket::<E>))
        .with_state(Arc::new(endpoint))
}

impl<E> Endpoint<E> {
    /// Who is asking, if they may use this endpoint.
    fn viewer(&self, authorization: Option<&str>) -> Result<Viewer, Rejection> {
        let actor = match authorization {
            None if !self.staff_only => Actor::Guest,
            given => self.keys.check_header(given)?,
        };
        let viewer = Viewer { actor, authorization: authorization.map(str::to_owned) };
        if self.staff_only && !viewer.is_staff() {
            return Err(Rejection {
                status: StatusCode::FORBIDDEN,
                code: "forbidden",
                detail: "this is for staff".into(),
            });
        }
        Ok(viewer)
    }
}

/// A request that was turned away before it came to GraphQL.
#[derive(Debug)]
struct Rejection {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl From<TokenError> for Rejection {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Missing => "token_missing",
            TokenError::Expired => "token_expired",
            _ => "token_invalid",
        };
        Self { status: StatusCode::UNAUTHORIZED, code, detail: error.to_string() }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let Self { status, code, detail } = self;
        let title = status.canonical_reason().unwrap_or("Rejected");
        let problem = json!({
            "type": format!("/problems/{code}"), "title": title, "status": status.as_u16(), "code": code, "detail": detail,
        });
        let mut response = (status, Json(problem)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// Subscriptions over WebSocket (`graphql-transport-ws`). The token comes in the header, or in the payload of
/// `connection_init` as `authorization`.
async fn websocket<E: Executor>(
    State(endpoint): State<Arc<Endpoint<E>>>,
    headers: HeaderMap,
    protocol: GraphQLProtocol,
    upgrade: WebSocketUpgrade,
) -> Response {
    let authorization = text(&headers, header::AUTHORIZATION.as_str()).map(str::to_owned);
    upgrade.protocols(ALL_WEBSOCKET_PROTOCOLS).on_upgrade(move |socket| async move {
        let (schema, reader) = (endpoint.schema.clone(), endpoint.reader.clone());
        let init = move |payload: serde_json::Value| async move {
            let given = payload.get("authorization").or_else(|| payload.get("Authorization"));
            let given = given.and_then(|value| value.as_str().map(str::to_owned)).or(authorization);
            let viewer = endpoint
                .viewer(given.as_deref())
                .map_err(|rejection| crate::viewer::coded(rejection.code, rejection.detail))?;
            let mut data = async_graphql::Data::default();
            data.insert(viewer);
            data.insert(loaders(&reader));
            Ok(data)
        };
        GraphQLWebSocket::new(socket, schema, protocol).on_connection_init(init).serve().await;
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
