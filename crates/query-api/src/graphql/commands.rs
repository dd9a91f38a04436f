//! The client of the command API. A mutation is forwarded as the caller would send its command.

use std::{sync::Arc, time::Duration};

use async_graphql::Error;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use daybook_domain::Actor;
use daybook_edge::{rates::ClientAddress, tokens::Keys};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::graphql::{error::coded, stream_limits::RATE_LIMITED, viewer::Viewer};

/// How long a token is valid that is made for one mutation of a guest.
const GUEST_TOKEN: TimeDelta = TimeDelta::minutes(1);

/// The code of a command with several problems.
pub(crate) const SEVERAL: &str = "several_problems";

/// Sends commands.
#[derive(Clone)]
pub(crate) struct Commands {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
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
    pub(crate) fn new(url: String, keys: Keys, now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        detect_dead_connections(&mut connector);
        Self { client: Client::builder(TokioExecutor::new()).build(connector), url, keys, now }
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
            coded("UNAVAILABLE", "the command could not be sent; try again with the same idempotencyKey")
        };
        let authorization = match &viewer.authorization {
            Some(header) => header.clone(),
            None => {
                let token = self.keys.sign(&Actor::Guest, (self.now)(), GUEST_TOKEN).map_err(|e| unavailable(&e))?;
                format!("Bearer {token}")
            }
        };
        let mut request = hyper::Request::post(format!("{}/commands/{name}", self.url));
        if let Some(ClientAddress(address)) = viewer.address {
            request = request.header("x-forwarded-for", address.to_string());
        }
        let request = request
            .header("content-type", "application/json")
            .header("authorization", authorization)
            .header("idempotency-key", key.to_string())
            .body(Full::from(serde_json::to_vec(body)?))
            .map_err(|error| unavailable(&error))?;
        let response = self.client.request(request).await.map_err(|error| unavailable(&error))?;
        let accepted = response.status().is_success();
        let body = response.into_body().collect().await.map_err(|error| unavailable(&error))?.to_bytes();
        if accepted {
            return Ok(Ok(serde_json::from_slice(&body)?));
        }
        let problem: Problem = serde_json::from_slice(&body).map_err(|error| unavailable(&error))?;
        match problem.status {
            401 => Err(coded("UNAUTHENTICATED", problem.detail)),
            429 => Err(coded(RATE_LIMITED, problem.detail)),
            500.. => Err(coded("UNAVAILABLE", problem.detail)),
            _ => Ok(Err(problem)),
        }
    }
}
