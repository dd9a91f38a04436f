//! GraphQL over HTTP (the working draft of September 2025, and SSE in distinct connections mode).

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use async_graphql::{BatchRequest, Executor, Request, ServerError, parser::types::OperationType};
use axum::{
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response, sse::Event},
};
use daybook_edge::problem::Problem;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    Endpoint, address, graphiql,
    problem::{bad_request, problem, unavailable},
    streams, text,
};
use crate::{
    graphql::{
        error::{code, code_of},
        stream_limits::{StreamPermit, runs},
        viewer::Viewer,
    },
    reader::{CONSISTENCY_TIMEOUT, Reader},
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
        let (status, kind) = match self {
            Self::GraphQl if refused => (StatusCode::BAD_REQUEST, GRAPHQL_JSON),
            Self::GraphQl => (StatusCode::OK, GRAPHQL_JSON),
            Self::Json | Self::Events => (StatusCode::OK, JSON),
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
        Ok(http)
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
    let viewer = endpoint.viewer(text(&headers, header::AUTHORIZATION.as_str()), address(&extensions))?;
    let Query(parameters) = parameters.map_err(|error| bad_request(&error.body_text()))?;
    let mut request = Request::try_from(parameters).map_err(|error| bad_request(&error))?;
    if let Err(error) = prepare(&endpoint, &mut request)? {
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
    let viewer = endpoint.viewer(text(&headers, header::AUTHORIZATION.as_str()), address(&extensions))?;
    let kind = text(&headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != JSON {
        return Err(Problem::unsupported_media_type("a request is application/json"));
    }
    let body = body.map_err(|rejection| problem(rejection.status(), "body_too_large", &rejection.body_text()))?;
    let mut request = match serde_json::from_slice(&body) {
        Ok(BatchRequest::Single(request)) => request,
        Ok(BatchRequest::Batch(_)) => return Err(bad_request(&"one operation a request")),
        Err(error) => return Err(bad_request(&error)),
    };
    match prepare(&endpoint, &mut request)? {
        Ok(()) => respond(&endpoint, request, viewer, &headers, answer).await,
        Err(error) => answer.written(&error),
    }
}

/// Sets the document of a request. The inner error is an answer of GraphQL.
fn prepare<E>(endpoint: &Endpoint<E>, request: &mut Request) -> Result<Result<(), async_graphql::Response>, Problem> {
    if request.query.is_empty() && !request.extensions.contains_key("persistedQuery") {
        return Err(bad_request(&"the query is missing"));
    }
    let prepared = endpoint.documents.prepare(request);
    Ok(prepared.map_err(|error| async_graphql::Response::from_errors(vec![error])))
}

async fn respond<E: Executor>(
    endpoint: &Endpoint<E>,
    request: Request,
    viewer: Viewer,
    headers: &HeaderMap,
    answer: Answer,
) -> Result<Response, Problem> {
    let mut request = request.data(viewer);
    let position = text(headers, "x-min-position");
    if let Some(position) = position {
        request = request.data(reader_at(endpoint, position).await?);
    }
    if answer == Answer::Events {
        let live = runs(&mut request, OperationType::Subscription);
        let permit = live.then(|| endpoint.streams.acquire()).transpose()?;
        return Ok(events(endpoint, request, permit));
    }
    // What a mutation has done is part of its answer, whether the views show it or not.
    let all_or_nothing = position.is_some() && !runs(&mut request, OperationType::Mutation);
    let response = endpoint.schema.execute(request).await;
    match response.errors.iter().find(|error| all_or_nothing && code_of(error) == Some(CONSISTENCY_TIMEOUT)) {
        Some(late) => Err(problem(StatusCode::SERVICE_UNAVAILABLE, "consistency_timeout", &late.message)),
        None => answer.written(&response),
    }
}

/// A reader that requires the position of the header `X-Min-Position`.
async fn reader_at<E>(endpoint: &Endpoint<E>, position: &str) -> Result<Reader, Problem> {
    let bad_position = |detail: &str| problem(StatusCode::BAD_REQUEST, "bad_position", &detail);
    let position = position.parse().map_err(|_| bad_position("X-Min-Position is a position of the book"))?;
    let reader = endpoint.reader.of_operation();
    reader.require_named(position).await.map_err(|error| match code(&error) {
        Some("BAD_INPUT") => bad_position(&error.message),
        _ => unavailable(),
    })?;
    Ok(reader)
}

/// The results of an operation as server-sent events: `next` for each, then `complete`. A subscription that a drain ends is not complete,
/// so its client subscribes again elsewhere. Any other operation is finished.
fn events<E: Executor>(endpoint: &Endpoint<E>, request: Request, permit: Option<StreamPermit>) -> Response {
    let live = permit.is_some();
    let results = endpoint.schema.clone().execute_stream(request, None).map(move |response| {
        // The subscription keeps its permit until it ends.
        _ = &permit;
        let data = serde_json::to_string(&response).unwrap_or_default();
        Ok::<_, Infallible>(Event::default().event("next").data(data))
    });
    let complete = stream::once(async { Ok(Event::default().event("complete").data("")) });
    let events = results.chain(complete);
    if live { streams::answer(streams::until_drained(&endpoint.drain, events)) } else { streams::answer(events) }
}
