//! The client of the command API. A mutation is forwarded as the caller would send its command: to another process over HTTP, or to the
//! routes of this one.

use std::{sync::Arc, time::Duration};

use async_graphql::{Error, ErrorExtensions};
use axum::{Router, body::Body, http::StatusCode};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use daybook_domain::Actor;
use daybook_edge::{
    idempotency,
    rates::ClientAddress,
    request_id::{REQUEST_ID, RequestId},
    tokens::{CLIENT_HEADER, Keys, TokenError},
    trace::{TRACEPARENT, TRACESTATE},
};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tower::ServiceExt;
use uuid::Uuid;

use crate::graphql::{
    error::{RATE_LIMITED, UNAVAILABLE, coded},
    viewer::{CORRELATION_ID, Viewer},
};

/// Where mutations are sent.
#[derive(Clone)]
pub enum CommandTarget {
    /// To the command API of this process. There is no connection that could end before the answer.
    InProcess(Router),
    /// To the command API at a URL, such as `http://127.0.0.1:8080`.
    At(String),
}

/// How long a token is valid that is made for one mutation of a guest.
const GUEST_TOKEN: TimeDelta = TimeDelta::minutes(1);

/// After how much silence a connection is not used any more. It is shorter than a drain of the other process takes, so no command is
/// sent on a connection that is being closed.
const IDLE: Duration = Duration::from_secs(2);

/// The code of a command with several problems.
pub(crate) const SEVERAL: &str = "several_problems";

/// Sends commands.
#[derive(Clone)]
pub(crate) struct Commands {
    client: Client<HttpConnector, Body>,
    target: CommandTarget,
    keys: Keys,
    now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

/// Makes a broken network end its connections. Otherwise a request on a dead connection waits for as long as its own caller does.
fn detect_dead_connections(connector: &mut HttpConnector) {
    connector.set_connect_timeout(Some(Duration::from_secs(5)));
    connector.set_keepalive(Some(Duration::from_secs(3)));
    connector.set_keepalive_interval(Some(Duration::from_secs(1)));
    connector.set_keepalive_retries(Some(3));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(Duration::from_secs(6)));
}

/// The answer to an accepted command.
#[derive(Debug, Deserialize)]
pub(crate) struct Receipt {
    /// The position of its last event.
    pub(crate) position: i64,
}

/// The answer to a command that was refused or is malformed.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) pointer: Option<String>,
    #[serde(flatten)]
    pub(crate) data: Map<String, Value>,
}

/// One of several problems of a command.
#[derive(Deserialize)]
struct Objection {
    code: String,
    message: String,
    pointer: Option<String>,
    #[serde(flatten)]
    data: Map<String, Value>,
}

impl Problem {
    /// Each of several problems by itself; a single problem is the only one.
    pub(crate) fn each(self) -> Vec<Self> {
        let named = self.data.get("problems").filter(|_| self.code == SEVERAL).cloned();
        let Some(Ok(several)) = named.map(serde_json::from_value::<Vec<Objection>>) else { return vec![self] };
        let alone = |Objection { code, message, pointer, data }| Self {
            status: self.status,
            code,
            detail: message,
            pointer,
            data,
        };
        several.into_iter().map(alone).collect()
    }
}

impl Commands {
    pub(crate) fn new(target: CommandTarget, keys: Keys, now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        detect_dead_connections(&mut connector);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
        Self { client, target, keys, now }
    }

    /// Sends a command. The outer error is a failure; the inner one is an answer.
    pub(crate) async fn send(
        &self,
        name: &str,
        body: &Value,
        key: Uuid,
        viewer: &Viewer,
    ) -> Result<Result<Receipt, Problem>, Error> {
        let unavailable = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, name, "a command could not be forwarded");
            coded(UNAVAILABLE, "the command could not be sent; try again with the same idempotencyKey")
        };
        let request = self.request(name, body, key, viewer).map_err(|error| unavailable(&error))?;
        let (status, body) = self.answer(request).await.map_err(|error| unavailable(&error))?;
        let accepted = status.is_success();
        if accepted {
            return Ok(Ok(serde_json::from_slice(&body)?));
        }
        let problem: Problem = serde_json::from_slice(&body).map_err(|error| unavailable(&error))?;
        match problem.status {
            401 => Err(coded("UNAUTHENTICATED", problem.detail)),
            429 => Err(coded(RATE_LIMITED, problem.detail)),
            503 => Err(coded(UNAVAILABLE, problem.detail)),
            500.. => Err(with_data(coded("INTERNAL", &problem.detail), &problem)),
            _ => Ok(Err(problem)),
        }
    }

    /// The request of a command, as its sender would send it.
    fn request(&self, name: &str, body: &Value, key: Uuid, viewer: &Viewer) -> Result<hyper::Request<Body>, SendError> {
        let mut request = match &self.target {
            CommandTarget::At(url) => hyper::Request::post(format!("{url}/commands/{name}")),
            CommandTarget::InProcess(_) => hyper::Request::post(format!("/commands/{name}")),
        };
        request = request.header("content-type", "application/json").header(idempotency::HEADER, key.to_string());
        match (&viewer.authorization, &self.target) {
            (Some(header), _) => request = request.header("authorization", header),
            (None, CommandTarget::At(_)) => {
                let token = self.keys.sign(&Actor::Guest, (self.now)(), GUEST_TOKEN)?;
                request = request.header("authorization", format!("Bearer {token}"));
            }
            // A request without a token is a guest's.
            (None, CommandTarget::InProcess(_)) => {}
        }
        if let Some(trace) = &viewer.origin.trace {
            request = request.header(TRACEPARENT, trace.parent());
            request = trace.state().into_iter().fold(request, |request, state| request.header(TRACESTATE, state));
        }
        if let Some(id) = &viewer.origin.correlation_id {
            request = request.header(CORRELATION_ID, id);
        }
        if let Some(id) = RequestId::current() {
            request = request.header(REQUEST_ID, id.header());
        }
        let mut request = request.body(Body::from(serde_json::to_vec(body)?))?;
        if let Some(address) = viewer.address {
            self.name_client(&mut request, address)?;
        }
        Ok(request)
    }

    /// Names the address of the client, so the command counts for it and not for this process.
    fn name_client(&self, request: &mut hyper::Request<Body>, address: ClientAddress) -> Result<(), SendError> {
        match self.target {
            CommandTarget::InProcess(_) => {
                request.extensions_mut().insert(address);
            }
            CommandTarget::At(_) => {
                let signed = self.keys.sign_client(address, (self.now)())?;
                request.headers_mut().insert(CLIENT_HEADER, signed.try_into()?);
                // A command API of an earlier version believes this header of a trusted proxy.
                request.headers_mut().insert("x-forwarded-for", address.0.to_string().try_into()?);
            }
        }
        Ok(())
    }

    async fn answer(&self, request: hyper::Request<Body>) -> Result<(StatusCode, Bytes), SendError> {
        match &self.target {
            CommandTarget::InProcess(router) => {
                let response = match router.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                let status = response.status();
                Ok((status, response.into_body().collect().await?.to_bytes()))
            }
            CommandTarget::At(_) => {
                let response = self.client.request(request).await?;
                let status = response.status();
                Ok((status, response.into_body().collect().await?.to_bytes()))
            }
        }
    }
}

/// Why a command could not be sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Request(#[from] axum::http::Error),
    #[error(transparent)]
    Header(#[from] axum::http::header::InvalidHeaderValue),
    #[error("{0}")]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error(transparent)]
    InProcess(#[from] axum::Error),
    #[error(transparent)]
    Answer(#[from] hyper::Error),
}

/// Adds the data of a problem to an error, so that no data is lost.
fn with_data(error: Error, problem: &Problem) -> Error {
    let data = async_graphql::Value::from_json(Value::Object(problem.data.clone()));
    error.extend_with(|_, extensions| {
        extensions.set("problem", problem.code.as_str());
        extensions.set("data", data.unwrap_or_default());
    })
}
