//! GraphQL over HTTP (the working draft of September 2025, and SSE in distinct connections mode).

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use async_graphql::{
    BatchRequest, Executor, Request, ServerError,
    parser::types::{DocumentOperations, OperationType},
};
use axum::{
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{Endpoint, Rejection, graphiql, text};
use crate::viewer::Viewer;

const GRAPHQL_JSON: &str = "application/graphql-response+json";
const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

/// What the answer is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// `application/graphql-response+json`: the status tells of request errors.
    GraphQl,
    /// `application/json`: a well-formed request is answered with 200 whatever came of it.
    Json,
    /// `text/event-stream`.
    Events,
}

impl Answer {
    /// The first media type of the `Accept` header that is known; JSON when anything is welcome.
    fn wanted(headers: &HeaderMap) -> Result<Self, Rejection> {
        let accept = text(headers, header::ACCEPT.as_str()).unwrap_or("*/*");
        let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let known = |kind: &str| match kind {
            GRAPHQL_JSON => Some(Self::GraphQl),
            JSON | "*/*" | "application/*" => Some(Self::Json),
            EVENT_STREAM => Some(Self::Events),
            _ => None,
        };
        kinds.filter_map(known).next().ok_or_else(|| Rejection {
            status: StatusCode::NOT_ACCEPTABLE,
            code: "not_acceptable",
            detail: format!("answers are {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}"),
        })
    }

    /// A response as HTTP.
    fn written(self, response: &async_graphql::Response) -> Result<Response, Rejection> {
        // What goes wrong in a field has a path; without one, the request was never run.
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
            bad(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be written")
        })?;
        let kind = HeaderValue::from_str(&format!("{kind}; charset=utf-8")).unwrap_or(HeaderValue::from_static(JSON));
        let mut http = (status, response.http_headers.clone(), body).into_response();
        http.headers_mut().insert(header::CONTENT_TYPE, kind);
        // Who asks decides what is seen, and a query that is not known now may be so in a moment.
        http.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        Ok(http)
    }
}

/// The answer to a request that was never run: it has no data, not even null.
#[derive(Serialize)]
struct Refused<'r> {
    errors: &'r [ServerError],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'r BTreeMap<String, async_graphql::Value>,
}

fn bad_request(detail: impl Into<String>) -> Rejection {
    bad(StatusCode::BAD_REQUEST, "bad_request", detail)
}

fn bad(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Rejection {
    Rejection { status, code, detail: detail.into() }
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
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, Rejection> {
    if graphiql::is_wanted(&headers) {
        return Ok(graphiql::page());
    }
    let answer = Answer::wanted(&headers)?;
    let viewer = endpoint.viewer(text(&headers, header::AUTHORIZATION.as_str()))?;
    let Query(parameters) = parameters.map_err(|error| bad_request(error.body_text()))?;
    let mut request = Request::try_from(parameters).map_err(|error| bad_request(error.to_string()))?;
    if let Err(error) = prepare(&endpoint, &mut request)? {
        return answer.written(&error);
    }
    if is_mutation(&mut request) {
        let mut response =
            bad(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "a mutation is sent by POST").into_response();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return Ok(response);
    }
    respond(&endpoint, request, viewer, &headers, answer).await
}

pub(super) async fn post<E: Executor>(
    State(endpoint): State<Arc<Endpoint<E>>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Rejection> {
    let answer = Answer::wanted(&headers)?;
    let viewer = endpoint.viewer(text(&headers, header::AUTHORIZATION.as_str()))?;
    let kind = text(&headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != JSON {
        return Err(bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "a request is application/json"));
    }
    let body = body.map_err(|rejection| bad(rejection.status(), "body_too_large", rejection.body_text()))?;
    let mut request = match serde_json::from_slice(&body) {
        Ok(BatchRequest::Single(request)) => request,
        Ok(BatchRequest::Batch(_)) => return Err(bad_request("one operation a request")),
        Err(error) => return Err(bad_request(error.to_string())),
    };
    match prepare(&endpoint, &mut request)? {
        Ok(()) => respond(&endpoint, request, viewer, &headers, answer).await,
        Err(error) => answer.written(&error),
    }
}

/// Finds or parses the document of a request. The inner error is an answer in GraphQL.
fn prepare<E>(endpoint: &Endpoint<E>, request: &mut Request) -> Result<Result<(), async_graphql::Response>, Rejection> {
    if request.query.is_empty() && !request.extensions.contains_key("persistedQuery") {
        return Err(bad_request("the query is missing"));
    }
    let prepared = endpoint.documents.prepare(request);
    Ok(prepared.map_err(|error| async_graphql::Response::from_errors(vec![error])))
}

/// Whether the operation that would run is a mutation.
fn is_mutation(request: &mut Request) -> bool {
    let wanted = request.operation_name.clone();
    let Ok(document) = request.parsed_query() else { return false };
    match &document.operations {
        DocumentOperations::Single(operation) => operation.node.ty == OperationType::Mutation,
        DocumentOperations::Multiple(operations) => operations
            .iter()
            .filter(|(name, _)| wanted.as_deref().is_none_or(|wanted| wanted == name.as_str()))
            .any(|(_, operation)| operation.node.ty == OperationType::Mutation),
    }
}

async fn respond<E: Executor>(
    endpoint: &Endpoint<E>,
    request: Request,
    viewer: Viewer,
    headers: &HeaderMap,
    answer: Answer,
) -> Result<Response, Rejection> {
    if let Some(position) = text(headers, "x-min-position") {
        let position = position
            .parse()
            .map_err(|_| bad(StatusCode::BAD_REQUEST, "bad_position", "X-Min-Position is a position of the book"))?;
        if let Err(error) = endpoint.reader.wait_until_passed(position).await {
            return Err(bad(StatusCode::SERVICE_UNAVAILABLE, "consistency_timeout", error.message));
        }
    }
    let request = request.data(viewer);
    if answer == Answer::Events {
        return Ok(events(&endpoint.schema, request));
    }
    answer.written(&endpoint.schema.execute(request).await)
}

/// An operation whose results come one by one: `next` for each, then `complete`.
fn events<E: Executor>(schema: &E, request: Request) -> Response {
    let results = schema.clone().execute_stream(request, None).map(|response| {
        let data = serde_json::to_string(&response).unwrap_or_default();
        Ok::<_, Infallible>(Event::default().event("next").data(data))
    });
    let complete = stream::once(async { Ok(Event::default().event("complete").data("")) });
    Sse::new(results.chain(complete)).keep_alive(KeepAlive::default()).into_response()
}
