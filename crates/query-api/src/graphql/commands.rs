//! The client of the command API. A mutation is forwarded as the caller would send its command: to another process over HTTP, or to the
//! routes of this one.

use std::{sync::Arc, time::Duration};

use async_graphql::Error;
use axum::{Router, body::Body, http::StatusCode, http::request::Builder};
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
use tower::ServiceExt;
use uuid::Uuid;

use crate::graphql::{error::coded, stream_limits::RATE_LIMITED, viewer::Viewer};

/// How long a token is valid that is made for one mutation of a guest.
const GUEST_TOKEN: TimeDelta = TimeDelta::minutes(1);

/// After how much silence a connection is not used any more. It is shorter than a drain of the other process takes, so no command is
/// sent on a connection that is being closed.
const IDLE: Duration = Duration::from_secs(2);

/// Where mutations are sent.
#[derive(Debug, Clone)]
pub enum CommandDoor {
    /// To the command-api of another process, such as `http://127.0.0.1:8080`.
    Url(String),
    /// To the routes of the command-api of this process. There is no connection that could end before the answer, and the client's
    /// address arrives as it is.
    Here(Router),
}

/// The way to a command-api.
#[derive(Clone)]
enum Way {
    Http { client: Client<HttpConnector, Full<Bytes>>, url: String },
    Here(Router),
}

impl From<CommandDoor> for Way {
    fn from(door: CommandDoor) -> Self {
        match door {
            CommandDoor::Here(router) => Self::Here(router),
            CommandDoor::Url(url) => {
                let mut connector = HttpConnector::new();
                connector.set_nodelay(true);
                detect_dead_connections(&mut connector);
                let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
                Self::Http { client, url }
            }
        }
    }
}

impl Way {
    /// Sends a request, and returns the status and the body of the answer.
    async fn send(&self, request: Builder, body: Vec<u8>, viewer: &Viewer) -> Result<(StatusCode, Bytes), Failure> {
        match self {
            Self::Http { client, .. } => {
                let address = viewer.address.map(|ClientAddress(address)| address.to_string());
                let request = address.into_iter().fold(request, |request, of| request.header("x-forwarded-for", of));
                let response = client.request(request.body(Full::from(body))?).await?;
                Ok((response.status(), response.into_body().collect().await?.to_bytes()))
            }
            Self::Here(router) => {
                let request = viewer.address.into_iter().fold(request, Builder::extension);
                let answered = router.clone().oneshot(request.body(Body::from(body))?).await;
                let response = answered.unwrap_or_else(|never| match never {});
                Ok((response.status(), response.into_body().collect().await?.to_bytes()))
            }
        }
    }

    /// The URL of a command.
    fn url_of(&self, name: &str) -> String {
        let base = match self {
            Self::Http { url, .. } => url,
            Self::Here(_) => "",
        };
        format!("{base}/commands/{name}")
    }
}

/// Why there is no answer.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Sends commands.
#[derive(Clone)]
pub(crate) struct Commands {
    way: Way,
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

impl Commands {
    pub(crate) fn new(door: CommandDoor, keys: Keys, now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>) -> Self {
        Self { way: door.into(), keys, now }
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
        let request = hyper::Request::post(self.way.url_of(name))
            .header("content-type", "application/json")
            .header("authorization", authorization)
            .header("idempotency-key", key.to_string());
        let sent = self.way.send(request, serde_json::to_vec(body)?, viewer).await;
        let (status, body) = sent.map_err(|error| unavailable(&error))?;
        if status.is_success() {
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
