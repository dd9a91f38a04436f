//! GraphQL over HTTP (the working draft of September 2025, and SSE in distinct connections mode).

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use async_graphql::{Executor, Request, ServerError, Value, parser::types::OperationType};
use axum::{
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response, sse::Event},
};
use chrono::{DateTime, Utc};
use daybook_edge::{idempotency, json_body, problem::Problem};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    Endpoint, address, graphiql,
    problem::{bad_request, not_begun, problem},
    sent, streams, text,
};
use crate::{
    graphql::{
        error::{RATE_LIMITED, UNAVAILABLE, code, code_of},
        mutation::HeaderKey,
        stream_limits::{StreamPermit, runs},
        viewer::{Origin, Viewer},
    },
    reader::{CONSISTENCY_TIMEOUT, Reader, share::Share},
};

const GRAPHQL_JSON: &str = "application/graphql-response+json";
const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

/// The format of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// `application/graphql-response+json`: the status shows request errors.
    GraphQl,
    /// `application/json`: a well-formed request is answered with 200, with or without errors.
    Json,
    /// `text/event-stream`.
    Events,
}

impl Answer {
    /// The first known media type of the `Accept` header; JSON when the client accepts anything.
    fn wanted(headers: &HeaderMap) -> Result<Self, Problem> {
        let accept = text(headers, header::ACCEPT.as_str()).unwrap_or("*/*");
        let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let known = |kind: &str| match kind {
            GRAPHQL_JSON => Some(Self::GraphQl),
            JSON | "*/*" | "application/*" => Some(Self::Json),
            EVENT_STREAM => Some(Self::Events),
            _ => None,
        };
        kinds.filter_map(known).next().ok_or_else(|| {
            let detail = format!("answers are {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}");
            problem(StatusCode::NOT_ACCEPTABLE, "not_acceptable", &detail)
        })
    }

    /// A response as HTTP.
    fn written(self, response: &async_graphql::Response) -> Result<Response, Problem> {
        // An error of a field has a path. Errors without a path mean that the request was not executed.
        let refused = response.is_err() && response.errors.iter().all(|error| error.path.is_empty());
        let unavailable = unavailable(response);
        let (status, kind) = match self {
            Self::GraphQl if refused => (unavailable.unwrap_or(StatusCode::BAD_REQUEST), GRAPHQL_JSON),
            Self::GraphQl => (unavailable.unwrap_or(StatusCode::OK), GRAPHQL_JSON),
            Self::Json | Self::Events => (unavailable.unwrap_or(StatusCode::OK), JSON),
        };
        let body = if refused {
            serde_json::to_vec(&Refused { errors: &response.errors, extensions: &response.extensions })
        } else {
            serde_json::to_vec(response)
        };
        let body = body.map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", &"the answer could not be written")
        })?;
        let kind = HeaderValue::from_str(&format!("{kind}; charset=utf-8")).unwrap_or(HeaderValue::from_static(JSON));
        let mut http = (status, response.http_headers.clone(), body).into_response();
        http.headers_mut().insert(header::CONTENT_TYPE, kind);
        // The answer depends on the viewer, and an unknown persisted query may be known in a moment.
        http.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if unavailable.is_some() {
            http.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Ok(http)
    }
}

/// The status of an operation that has failed as a whole because something cannot be done at the moment. Balancers and clients see it
/// without the body.
fn unavailable(response: &async_graphql::Response) -> Option<StatusCode> {
    let nothing = match &response.data {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(|field| *field == Value::Null),
        _ => false,
    };
    let codes: Option<Vec<&str>> = response.errors.iter().map(code_of).collect();
    let codes = codes.filter(|codes| nothing && !codes.is_empty())?;
    let all = |of: &[&str]| codes.iter().all(|code| of.contains(code));
    match () {
        () if all(&[RATE_LIMITED]) => Some(StatusCode::TOO_MANY_REQUESTS),
        () if all(&[RATE_LIMITED, UNAVAILABLE]) => Some(StatusCode::SERVICE_UNAVAILABLE),
        () => None,
    }
}

/// The answer to a request that was not executed. It has no data, not even null.
#[derive(Serialize)]
struct Refused<'r> {
    errors: &'r [ServerError],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'r BTreeMap<String, async_graphql::Value>,
}

/// A request in the query of a URL.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    #[serde(default)]
    query: String,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

impl TryFrom<Parameters> for Request {
    type Error = serde_json::Error;

    fn try_from(parameters: Parameters) -> Result<Self, Self::Error> {
        let mut request = Self::new(parameters.query);
        request.operation_name = parameters.operation_name;
        if let Some(variables) = parameters.variables {
            request.variables = serde_json::from_str(&variables)?;
        }
        if let Some(extensions) = parameters.extensions {
            request.extensions = serde_json::from_str(&extensions)?;
        }
        Ok(request)
    }
}

pub(super) async fn get<E: Executor>(
    State(endpoint): State<Arc<Endpoint<E>>>,
    headers: HeaderMap,
    extensions: Extensions,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, Problem> {
    if graphiql::is_wanted(&headers) {
        return Ok(graphiql::page());
    }
    let answer = Answer::wanted(&headers)?;
    let authorization = text(&headers, header::AUTHORIZATION.as_str());
    let viewer = endpoint.viewer(authorization, address(&extensions), Origin::of(&headers))?;
    let Query(parameters) = parameters.map_err(|error| bad_request(&error.body_text()))?;
    let mut request = Request::try_from(parameters).map_err(|error| bad_request(&error))?;
    if let Err(error) = prepare(&endpoint, &viewer, &mut request)? {
        return answer.written(&error);
    }
    if runs(&mut request, OperationType::Mutation) {
        let mut response = Problem::method_not_allowed("a mutation is sent by POST").into_response();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return Ok(response);
    }
    respond(&endpoint, request, viewer, &headers, answer).await
}

pub(super) async fn post<E: Executor>(
    State(endpoint): State<Arc<Endpoint<E>>>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let answer = Answer::wanted(&headers)?;
    let authorization = text(&headers, header::AUTHORIZATION.as_str());
    let viewer = endpoint.viewer(authorization, address(&extensions), Origin::of(&headers))?;
    if !headers.contains_key(header::CONTENT_TYPE) {
        return Err(Problem::unsupported_media_type("a request names its type, application/json"));
    }
    json_body::check(&headers)?;
    let body = body.map_err(|rejection| unread(&rejection))?;
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(bad_request(&"one operation a request"));
    }
    let mut request = serde_json::from_slice(&body).map_err(|error| bad_request(&error))?;
    match prepare(&endpoint, &viewer, &mut request)? {
        Ok(()) => respond(&endpoint, request, viewer, &headers, answer).await,
        Err(error) => answer.written(&error),
    }
}

/// A body that was not read to its end.
fn unread(rejection: &BytesRejection) -> Problem {
    let code = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { "body_too_large" } else { "unreadable_body" };
    problem(rejection.status(), code, &rejection.body_text())
}

/// Sets the document of a request. A long one counts as several requests. The inner error is an answer of GraphQL.
fn prepare<E>(
    endpoint: &Endpoint<E>,
    viewer: &Viewer,
    request: &mut Request,
) -> Result<Result<(), async_graphql::Response>, Problem> {
    if request.query.is_empty() && !request.extensions.contains_key("persistedQuery") {
        return Err(bad_request(&"the query is missing"));
    }
    let prepared = endpoint.documents.prepare(request).map(|length| {
        endpoint.rates.charge(&viewer.actor, viewer.address, length.more_requests());
    });
    Ok(prepared.map_err(|error| async_graphql::Response::from_errors(vec![error])))
}

async fn respond<E: Executor>(
    endpoint: &Endpoint<E>,
    mut request: Request,
    viewer: Viewer,
    headers: &HeaderMap,
    answer: Answer,
) -> Result<Response, Problem> {
    let live = answer == Answer::Events && runs(&mut request, OperationType::Subscription);
    let permit = live.then(|| endpoint.streams.acquire(&viewer)).transpose()?;
    let share = begin(endpoint, &viewer, live).await?;
    let reader = endpoint.reader.of_operation(Arc::clone(&share));
    let position = text(headers, "x-min-position");
    if let Some(position) = position {
        require(&reader, position).await?;
    }
    let until = viewer.until;
    let mut request = request.data(viewer).data(reader);
    if runs(&mut request, OperationType::Mutation)
        && let Some(key) = idempotency::key(headers)?
    {
        request = request.data(HeaderKey(key));
    }
    if answer == Answer::Events {
        return Ok(events(endpoint, request, permit, until));
    }
    // What a mutation has done is part of its answer, whether the views show it or not.
    let all_or_nothing = position.is_some() && !runs(&mut request, OperationType::Mutation);
    let response = endpoint.schema.execute(request).await;
    match response.errors.iter().find(|error| all_or_nothing && code_of(error) == Some(CONSISTENCY_TIMEOUT)) {
        Some(late) => Err(problem(StatusCode::SERVICE_UNAVAILABLE, "consistency_timeout", &late.message)),
        None => Ok(sent::within(share, answer.written(&response)?).await),
    }
}

/// Begins an operation: its share of the process.
async fn begin<E>(endpoint: &Endpoint<E>, viewer: &Viewer, live: bool) -> Result<Arc<Share>, Problem> {
    let capacity = endpoint.reader.share().capacity();
    if live {
        return Ok(Share::of_subscription(capacity, viewer));
    }
    Share::begin(capacity, viewer).await.map_err(|error| not_begun(&error))
}

/// Requires the position of the header `X-Min-Position`.
async fn require(reader: &Reader, position: &str) -> Result<(), Problem> {
    let bad_position = |detail: &str| problem(StatusCode::BAD_REQUEST, "bad_position", &detail);
    let position = position.parse().map_err(|_| bad_position("X-Min-Position is a position of the book"))?;
    reader.require_named(position).await.map_err(|error| match code(&error) {
        Some("BAD_INPUT") => bad_position(&error.message),
        _ => not_begun(&error),
    })
}

/// The results of an operation as server-sent events: `next` for each, then `complete`. They end with the token. A subscription that a
/// drain ends is not complete, so its client subscribes again elsewhere. Any other operation is finished.
fn events<E: Executor>(
    endpoint: &Endpoint<E>,
    request: Request,
    permit: Option<StreamPermit>,
    until: Option<DateTime<Utc>>,
) -> Response {
    let live = permit.is_some();
    let results = endpoint.schema.execute_stream(request, None).map(move |response| {
        // The subscription keeps its permit until it ends.
        _ = &permit;
        let data = serde_json::to_string(&response).unwrap_or_default();
        Ok::<_, Infallible>(Event::default().event("next").data(data))
    });
    let now = endpoint.now.clone();
    let results = results.take_until(Box::pin(async move { now.reaches(until).await }));
    let complete = stream::once(async { Ok(Event::default().event("complete").data("")) });
    let events = results.chain(complete);
    if live { streams::answer(streams::until_drained(&endpoint.drain, events)) } else { streams::answer(events) }
}
