//! `GET /events`: the book as NDJSON, or as server-sent events that follow it. For staff.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use daybook_access::Keys;
use daybook_event_store::{Daybook, Filter};
use futures::StreamExt;
use serde::Deserialize;

use super::{Rejection, text};
use crate::{book::follow, viewer::Viewer};

/// The most events of one answer.
const MAX_LIMIT: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    after: i64,
    r#type: Option<String>,
    stream: Option<String>,
    limit: Option<usize>,
}

pub(super) fn router(book: Daybook, keys: Keys) -> Router {
    Router::new().route("/events", get(events)).with_state(Arc::new((book, keys)))
}

async fn events(
    State(shared): State<Arc<(Daybook, Keys)>>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Rejection> {
    let (book, keys) = &*shared;
    let authorization = text(&headers, header::AUTHORIZATION.as_str());
    let viewer = Viewer { actor: keys.check_header(authorization)?, authorization: None };
    if !viewer.is_staff() {
        return Err(Rejection { status: StatusCode::FORBIDDEN, code: "forbidden", detail: "this is for staff".into() });
    }
    let types = wanted.r#type.map(|types| types.split(',').map(str::to_owned).collect());
    let filter = Filter { types, stream: wanted.stream };
    if text(&headers, header::ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/event-stream")) {
        let resumed = text(&headers, "last-event-id").and_then(|id| id.parse().ok());
        return Ok(stream_of(book.clone(), resumed.unwrap_or(wanted.after), filter));
    }
    let limit = wanted.limit.unwrap_or(1_000).clamp(1, MAX_LIMIT);
    let events = book.read_after(wanted.after, limit, &filter).await.map_err(|error| {
        tracing::error!(%error, "the book could not be read");
        Rejection { status: StatusCode::SERVICE_UNAVAILABLE, code: "unavailable", detail: "try again".into() }
    })?;
    let lines: Vec<_> = events.iter().filter_map(|event| serde_json::to_string(event).ok()).collect();
    let body = lines.into_iter().map(|line| line + "\n").collect::<String>();
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn stream_of(book: Daybook, after: i64, filter: Filter) -> Response {
    let events = follow(book, after, filter).map(|event| {
        let event = event?;
        let data = serde_json::to_string(&event).unwrap_or_default();
        Ok::<_, daybook_event_store::StoreError>(
            Event::default().id(event.position.to_string()).event(event.event_type).data(data),
        )
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
