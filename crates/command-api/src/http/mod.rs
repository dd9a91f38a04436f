//! The HTTP face of the bus: `POST /commands/<Name>`, and the documents that describe it.
//!
//! What belongs here: parsing a request into a submission, and turning an outcome into a status and a document. What does not: any
//! decision.

mod body;
mod problem;

use std::sync::{Arc, LazyLock};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use daybook_bus::{Bus, Submission, clock::new_id};
use daybook_domain::{Actor, Command, Role};
use daybook_edge::{
    problem::Problem,
    rates::{ClientAddress, RateLimits, Rates},
    tokens::{CLIENT_HEADER, Keys, TokenError},
    trace::TraceContext,
};
use uuid::Uuid;

use crate::openapi;

/// The header with the id of a command.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header with the correlation id of a causal chain.
const CORRELATION_ID: &str = "correlation-id";
/// The detail of the problem for a wrong method.
const METHODS: &str = "a command is sent by POST, a document is read by GET";

/// The state that the routes share.
#[derive(Clone)]
pub struct CommandApi {
    bus: Bus,
    keys: Arc<Keys>,
    rates: Rates,
}

impl CommandApi {
    /// The HTTP face of a bus. It accepts tokens that these keys have signed, and does not limit the rate of requests.
    #[must_use]
    pub fn new(bus: Bus, keys: Keys) -> Self {
        let rates = Rates::new(&RateLimits::OFF);
        Self { bus, keys: Arc::new(keys), rates }
    }

    /// Limits the rate of requests.
    #[must_use]
    pub fn limited(self, limits: &RateLimits) -> Self {
        Self { rates: Rates::new(limits), ..self }
    }

    /// Its routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/commands/{name}", post(submit))
            .route("/openapi.json", get(openapi))
            .method_not_allowed_fallback(async || Problem::method_not_allowed(METHODS))
            .with_state(self)
    }
}

/// The OpenAPI document. It is made once, since making it takes as long as many commands.
async fn openapi() -> impl IntoResponse {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi::document().to_string());
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// Handles a command: checks token, rate, role and headers, parses the body, and sends the command to the bus.
async fn submit(
    State(api): State<CommandApi>,
    address: Option<Extension<ClientAddress>>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Path(name) = name.map_err(|error| Problem::unreadable_path(&error))?;
    let actor = api.actor(&name, &headers);
    api.rates.check(actor.as_ref().ok(), api.client(&headers, address.map(|Extension(address)| address)))?;
    let actor = actor?;
    check_role(&name, &actor)?;
    body::is_json(&headers)?;
    let body = body::read(body).await?;
    let command_id = uuid_header(&headers, IDEMPOTENCY_KEY, problem::malformed_key)?.unwrap_or_else(new_id);
    let correlation_id = uuid_header(&headers, CORRELATION_ID, problem::malformed_correlation)?;
    if correlation_id.is_some_and(|id| id.is_nil() || id.is_max()) {
        return Err(problem::malformed_correlation());
    }
    let command = body::command(&name, &body)?;
    let mut submission = Submission::new(command, command_id, actor);
    submission.correlation_id = correlation_id.unwrap_or(submission.correlation_id);
    submission.trace = TraceContext::of(&headers).map(|context| context.text());
    let receipt = api.bus.execute(submission).await.map_err(|error| problem::not_accepted(&error))?;
    Ok((StatusCode::OK, [(IDEMPOTENCY_KEY, command_id.to_string())], Json(receipt)).into_response())
}

impl CommandApi {
    /// The actor of a request. Without a token it is a guest, where a guest may send the command.
    fn actor(&self, command: &str, headers: &HeaderMap) -> Result<Actor, TokenError> {
        let for_guests = || Command::access_of(command).is_some_and(|access| access.roles.contains(&Role::Guest));
        if !headers.contains_key(header::AUTHORIZATION) && for_guests() {
            return Ok(Actor::Guest);
        }
        let authorization = header_text(headers, header::AUTHORIZATION.as_str());
        self.keys.check_header(authorization).map(|bearer| bearer.actor)
    }

    /// The address that a request is counted for. query-api in another process signs the address of its own client.
    fn client(&self, headers: &HeaderMap, peer: Option<ClientAddress>) -> Option<ClientAddress> {
        header_text(headers, CLIENT_HEADER).and_then(|signed| self.keys.check_client(signed)).or(peer)
    }
}

/// Refuses a role that may not send the command before the body is read. The bus checks access in full.
fn check_role(name: &str, actor: &Actor) -> Result<(), Problem> {
    let access = Command::access_of(name).filter(|access| access.is_public());
    let access = access.ok_or_else(|| problem::unknown_command(name))?;
    access.check_role(name, actor.role()).map_err(problem::forbidden)
}

/// A UUID from the caller's header. `None` without the header.
fn uuid_header(headers: &HeaderMap, name: &str, malformed: fn() -> Problem) -> Result<Option<Uuid>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    parsed.map(Some).ok_or_else(malformed)
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
