//! HTTP: GraphQL over GET, POST, WebSocket and SSE, and the book as NDJSON.

mod documents;
mod events;
mod graphiql;
mod graphql;
mod websocket;

use std::sync::Arc;

use async_graphql::Executor;
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};
use daybook_access::{Keys, TokenError};
use daybook_domain::Actor;
use serde_json::json;

use self::documents::Documents;
use crate::{
    QuerySettings,
    batches::Loading,
    read::Reader,
    schema::{Admin, Storefront, build},
    viewer::Viewer,
};

/// The largest request, in bytes.
const MAX_BODY: usize = 1 << 20;

/// An endpoint: a schema, and who may use it.
struct Endpoint<E> {
    schema: E,
    documents: Documents,
    reader: Reader,
    keys: Keys,
    staff_only: bool,
}

pub(crate) fn router(settings: &QuerySettings) -> Router {
    let storefront: Storefront = build(settings);
    let admin: Admin = build(settings);
    Router::new()
        .merge(endpoint("/graphql", Endpoint::new(storefront, settings, false)))
        .merge(endpoint("/admin/graphql", Endpoint::new(admin, settings, true)))
        .merge(events::router(settings.book.clone(), settings.keys.clone()))
        .merge(graphiql::router())
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

fn endpoint<E: Executor>(path: &str, endpoint: Endpoint<E>) -> Router {
    let endpoint = Arc::new(endpoint);
    Router::new()
        .route(path, get(graphql::get::<E>).post(graphql::post::<E>))
        // Clients that want a URL of its own for WebSocket.
        .route(&format!("{path}/ws"), get(async || StatusCode::UPGRADE_REQUIRED))
        .layer(from_fn_with_state(Arc::clone(&endpoint), websocket::upgrade::<E>))
        .with_state(endpoint)
}

impl<E> Endpoint<Loading<E>> {
    fn new(schema: E, settings: &QuerySettings, staff_only: bool) -> Self {
        let reader = Reader { book: settings.book.clone(), patience: settings.patience };
        let schema = Loading::new(schema, reader.clone());
        Self { schema, documents: Documents::new(), reader, keys: settings.keys.clone(), staff_only }
    }
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

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
