//! `GET /events`: the book as NDJSON, or as server-sent events that follow it. For staff.

use std::{collections::HashSet, sync::Arc};

use axum::{
    BoxError, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::{Extensions, HeaderMap, header},
    response::{IntoResponse, Response, sse::Event},
    routing::get,
};
use chrono::{DateTime, Utc};
use daybook_codec::UnknownType;
use daybook_edge::{
    drain::Drain,
    problem::Problem,
    rates::Rates,
    tokens::{Bearer, Keys},
};
use daybook_event_store::{Daybook, Filter, Head, RecordedEvent, StoreError};
use futures::StreamExt;

use super::{
    address,
    problem::{bad_parameter, bad_request, for_staff, unavailable},
    streams::{answer, until_drained},
    text,
};
use crate::{
    QuerySettings,
    book::names::Wanted,
    graphql::{
        environment::Now,
        stream_limits::{StreamPermit, StreamPermits},
        viewer::{Origin, Viewer},
    },
    reader::{follow::follow, is_bad_value, tail::Tail},
};

/// The most events of one answer.
const MAX_LIMIT: usize = 10_000;
/// The events of one answer by default.
const DEFAULT_LIMIT: usize = 1_000;
/// The parameters that there are.
const NAMES: &str = "none of the parameters: after, before, last, type, stream, actor, correlation, limit";
/// The header by which a client resumes after the last event that it has seen.
const LAST_EVENT_ID: &str = "last-event-id";
/// The header that names the history of the positions. A restored book begins another history.
const HISTORY: &str = "x-daybook-history";

/// The parameters of a request.
#[derive(Default)]
struct Parameters {
    after: Option<i64>,
    before: Option<i64>,
    last: Option<usize>,
    limit: Option<usize>,
    wanted: Wanted,
}

impl Parameters {
    fn of(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut parsed = Self::default();
        let wanted = &mut parsed.wanted;
        let mut known = HashSet::new();
        for (name, value) in parameters {
            let not = |what: &str| bad_parameter(&name, &format!("{name} is {what}"));
            if name != "type" && !known.insert(name.clone()) {
                return Err(not("given twice"));
            }
            let a_position = || position(&value).ok_or_else(|| not("a position of the book, from 0"));
            let a_number = || value.parse().ok().filter(|number| *number > 0).ok_or_else(|| not("a number, from 1"));
            match name.as_str() {
                "after" => parsed.after = Some(a_position()?),
                "before" => parsed.before = Some(a_position()?),
                "last" => parsed.last = Some(a_number()?),
                "limit" => parsed.limit = Some(a_number()?),
                "type" | "stream" | "actor" if value.contains('\0') => return Err(not("a text without NUL")),
                "type" => wanted.types.get_or_insert_default().extend(value.split(',').map(str::to_owned)),
                "stream" => wanted.stream = Some(value),
                "actor" => wanted.actor = Some(value),
                "correlation" => wanted.correlation_id = Some(value.parse().map_err(|_| not("a UUID"))?),
                _ => return Err(not(NAMES)),
            }
        }
        Ok(parsed)
    }

    /// Which page of the book is wanted.
    fn page(&self) -> Result<Page, Problem> {
        let excludes = |name, detail: &str| Err(bad_parameter(name, detail));
        match *self {
            Self { last: Some(_), after: Some(_), .. } => excludes("last", "last and after exclude each other"),
            Self { last: Some(_), limit: Some(_), .. } => excludes("last", "last is a limit of its own"),
            Self { last: None, before: Some(_), .. } => excludes("before", "before needs last"),
            Self { last: Some(last), before, .. } => {
                Ok(Page::Before { before: before.unwrap_or(i64::MAX), last: last.min(MAX_LIMIT) })
            }
            Self { after, limit, .. } => {
                Ok(Page::After { after: after.unwrap_or(0), limit: limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT) })
            }
        }
    }
}

/// A page of the book.
enum Page {
    /// The first events after a position.
    After { after: i64, limit: usize },
    /// The last events before a position.
    Before { before: i64, last: usize },
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
    now: Now,
    drain: Drain,
}

pub(super) fn router(settings: &QuerySettings, tail: Tail, streams: StreamPermits, rates: Rates) -> Router {
    let (book, keys, drain) = (settings.book.clone(), settings.keys.clone(), settings.drain.clone());
    let shared = Shared { book, tail, keys, streams, rates, now: Now(Arc::clone(&settings.now)), drain };
    Router::new().route("/events", get(events)).with_state(Arc::new(shared))
}

async fn events(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    extensions: Extensions,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Problem> {
    let authorization = text(&headers, header::AUTHORIZATION.as_str());
    let (bearer, address) = (shared.keys.check_header(authorization), address(&extensions));
    shared.rates.check(bearer.as_ref().ok().map(|bearer| &bearer.actor), address)?;
    let Bearer { actor, until } = bearer?;
    let viewer = Viewer { actor, authorization: None, until: Some(until), address, origin: Origin::default() };
    if !viewer.is_staff() {
        return Err(for_staff());
    }
    let Query(parameters) = parameters.map_err(|error| bad_request(&error.body_text()))?;
    let mut parameters = Parameters::of(parameters)?;
    let filter = Filter::try_from(std::mem::take(&mut parameters.wanted)).map_err(|error| unknown_type(&error))?;
    if text(&headers, header::ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/event-stream")) {
        return live(&shared, &viewer, &headers, &parameters, filter).await;
    }
    let (mut events, history) = match parameters.page()? {
        Page::After { after, limit } => {
            let history = history_of(&shared.book, "after", after).await?;
            (shared.book.read_after(after, limit, &filter).await, history)
        }
        Page::Before { before, last } => {
            let history = history_of(&shared.book, "before", 0).await?;
            (shared.book.read_before(before, last, &filter).await, history)
        }
    };
    let events = events.as_mut().map_err(|error| unreadable(error))?;
    events.iter_mut().for_each(|event| daybook_codec::rename(&mut event.event_type));
    let mut body = String::new();
    for event in events.iter() {
        body.push_str(&json(event).map_err(|_| unavailable())?);
        body.push('\n');
    }
    Ok(([(header::CONTENT_TYPE.as_str(), "application/x-ndjson"), (HISTORY, &history)], body).into_response())
}

/// The events after a position, and each new one, until the token ends.
async fn live(
    shared: &Shared,
    viewer: &Viewer,
    headers: &HeaderMap,
    parameters: &Parameters,
    filter: Filter,
) -> Result<Response, Problem> {
    for (name, given) in [("before", parameters.before.is_some()), ("last", parameters.last.is_some())] {
        if given {
            return Err(bad_parameter(name, &format!("a stream that follows the book has no {name}")));
        }
    }
    let (name, after) = match headers.get(LAST_EVENT_ID) {
        None => ("after", Some(parameters.after.unwrap_or(0))),
        Some(id) => ("Last-Event-ID", id.to_str().ok().and_then(position)),
    };
    let after = after.ok_or_else(|| bad_parameter(name, &format!("{name} is a position of the book")))?;
    let history = history_of(&shared.book, name, after).await?;
    let stream = stream_of(shared, after, filter, shared.streams.acquire(viewer)?, viewer.until);
    Ok(([(HISTORY, history)], stream).into_response())
}

/// A filter by a type that does not exist would find nothing, for ever.
fn unknown_type(error: &UnknownType) -> Problem {
    let mut problem = bad_parameter("type", &error.to_string());
    problem.data.insert("nearest".to_owned(), error.nearest.clone().into());
    problem
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

/// Events without a name, so that the handler `onmessage` of an `EventSource` gets them. Their type is in their data.
fn stream_of(
    shared: &Shared,
    after: i64,
    filter: Filter,
    permit: StreamPermit,
    until: Option<DateTime<Utc>>,
) -> Response {
    let events = follow(shared.book.clone(), shared.tail.clone(), after, filter).map(move |event| {
        // The stream keeps its permit until it ends.
        _ = &permit;
        let mut event = event?;
        daybook_codec::rename(&mut event.event_type);
        let data = json(&event)?;
        Ok::<_, BoxError>(Event::default().id(event.position.to_string()).data(data))
    });
    let now = shared.now.clone();
    let events = events.take_until(Box::pin(async move { now.reaches(until).await }));
    answer(until_drained(&shared.drain, events))
}
