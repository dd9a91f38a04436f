//! `GET /events`: the book as NDJSON, or as server-sent events that follow it. For staff.

use std::sync::Arc;

use axum::{
    BoxError, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::{Extensions, HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use daybook_edge::{problem::Problem, rates::Rates, tokens::Keys};
use daybook_event_store::{Daybook, Filter, Head, RecordedEvent, StoreError};
use futures::StreamExt;

use super::{
    address,
    problem::{bad_parameter, bad_request, for_staff, unavailable},
    text,
};
use crate::{
    QuerySettings,
    book::names::filter,
    graphql::{
        stream_limits::{StreamPermit, StreamPermits},
        viewer::Viewer,
    },
    reader::{follow::follow, is_bad_value, tail::Tail},
};

/// The most events of one answer.
const MAX_LIMIT: usize = 10_000;
/// The header by which a client resumes after the last event that it has seen.
const LAST_EVENT_ID: &str = "last-event-id";
/// The header that names the history of the positions. A restored book begins another history.
const HISTORY: &str = "x-daybook-history";

/// The parameters of a request.
#[derive(Default)]
struct Parameters {
    after: i64,
    types: Option<Vec<String>>,
    stream: Option<String>,
    limit: Option<usize>,
}

impl Parameters {
    fn of(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut parsed = Self::default();
        for (name, value) in parameters {
            let not = |what: &str| bad_parameter(&name, &format!("{name} is {what}"));
            match name.as_str() {
                "after" => parsed.after = position(&value).ok_or_else(|| not("a position of the book, from 0"))?,
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| *limit > 0);
                    parsed.limit = Some(limit.ok_or_else(|| not("a number, from 1"))?);
                }
                "type" | "stream" if value.contains('\0') => return Err(not("a text without NUL")),
                "type" => parsed.types = Some(value.split(',').map(str::to_owned).collect()),
                "stream" => parsed.stream = Some(value),
                _ => return Err(not("none of the parameters: after, type, stream, limit")),
            }
        }
        Ok(parsed)
    }
}

fn position(text: &str) -> Option<i64> {
    text.parse().ok().filter(|position| *position >= 0)
}

/// The state that requests share.
struct Shared {
    book: Daybook,
    tail: Tail,
    keys: Keys,
    streams: StreamPermits,
    rates: Rates,
}

pub(super) fn router(settings: &QuerySettings, tail: Tail, streams: StreamPermits, rates: Rates) -> Router {
    let (book, keys) = (settings.book.clone(), settings.keys.clone());
    Router::new().route("/events", get(events)).with_state(Arc::new(Shared { book, tail, keys, streams, rates }))
}

async fn events(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    extensions: Extensions,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Problem> {
    let authorization = text(&headers, header::AUTHORIZATION.as_str());
    let (actor, address) = (shared.keys.check_header(authorization), address(&extensions));
    shared.rates.check(actor.as_ref().ok(), address)?;
    let viewer = Viewer { actor: actor?, authorization: None, address };
    if !viewer.is_staff() {
        return Err(for_staff());
    }
    let Query(parameters) = parameters.map_err(|error| bad_request(&error.body_text()))?;
    let Parameters { after, types, stream, limit } = Parameters::of(parameters)?;
    let filter = filter(types, stream);
    if text(&headers, header::ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/event-stream")) {
        let (name, after) = match headers.get(LAST_EVENT_ID) {
            None => ("after", Some(after)),
            Some(id) => ("Last-Event-ID", id.to_str().ok().and_then(position)),
        };
        let after = after.ok_or_else(|| bad_parameter(name, &format!("{name} is a position of the book")))?;
        let history = history_of(&shared.book, name, after).await?;
        let stream = stream_of(&shared, after, filter, shared.streams.acquire()?);
        return Ok(([(HISTORY, history)], stream).into_response());
    }
    let limit = limit.unwrap_or(1_000).min(MAX_LIMIT);
    let mut events = shared.book.read_after(after, limit, &filter).await.map_err(|error| unreadable(&error))?;
    events.iter_mut().for_each(|event| daybook_codec::rename(&mut event.event_type));
    let mut body = String::new();
    for event in &events {
        body.push_str(&json(event).map_err(|_| unavailable())?);
        body.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// The history of the book, if the book has the position that the client resumes after. A position beyond its end belongs to another
/// history. Waiting for it would skip the events that will get it.
async fn history_of(book: &Daybook, name: &str, after: i64) -> Result<String, Problem> {
    let Head { position, epoch } = book.head().await.map_err(|error| unreadable(&error))?;
    if after > position {
        let detail = format!("the book ends at position {position}, before {after}; was it restored from a back-up?");
        return Err(bad_parameter(name, &detail));
    }
    Ok(epoch.to_string())
}

fn unreadable(error: &StoreError) -> Problem {
    if is_bad_value(error) {
        return bad_request(&"a parameter is not a value that can be searched for");
    }
    tracing::error!(%error, "the book could not be read");
    unavailable()
}

/// An event as JSON. Where its stored data are none, the answer fails, because an analyst would miss an event that is left out.
fn json(event: &RecordedEvent) -> serde_json::Result<String> {
    serde_json::to_string(event).inspect_err(|error| {
        tracing::error!(event.position, %error, "an event of the book is not JSON");
    })
}

fn stream_of(shared: &Shared, after: i64, filter: Filter, permit: StreamPermit) -> Response {
    let events = follow(shared.book.clone(), shared.tail.clone(), after, filter).map(move |event| {
        // The stream keeps its permit until it ends.
        _ = &permit;
        let mut event = event?;
        daybook_codec::rename(&mut event.event_type);
        let data = json(&event)?;
        Ok::<_, BoxError>(Event::default().id(event.position.to_string()).event(event.event_type).data(data))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
