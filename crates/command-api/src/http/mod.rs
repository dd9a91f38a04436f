//! The HTTP face of the bus: `POST /commands/<Name>`, and the documents that describe it.
//!
//! What belongs here: parsing a request into a submission, and turning an outcome into a status and a document. What does not: any
//! decision.

mod body;
mod problem;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use daybook_bus::{Bus, Submission, clock::new_id};
use daybook_domain::{Actor, Command};
use daybook_edge::{
    document,
    problem::Problem,
    rates::{ClientAddress, RateLimits, Rates},
    tokens::Keys,
};
use uuid::Uuid;

use crate::openapi;

/// The header with the id of a command.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
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
        let document = document::route("/openapi.json", &openapi::document(), self.rates.clone());
        Router::new()
            .route("/commands/{name}", post(submit))
            .with_state(self)
            .merge(document)
            .method_not_allowed_fallback(async || Problem::method_not_allowed(METHODS))
    }
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
    let actor = api.keys.check_header(header_text(&headers, header::AUTHORIZATION.as_str()));
    api.rates.check(actor.as_ref().ok(), address.map(|Extension(address)| address))?;
    let actor = actor?;
    check_role(&name, &actor)?;
    body::is_json(&headers)?;
    let body = body::read(body).await?;
    let command_id = idempotency_key(&headers)?;
    let command = body::command(&name, &body)?;
    let mut submission = Submission::new(command, command_id, actor);
    submission.trace = header_text(&headers, "traceparent").filter(|trace| trace.len() == 55).map(str::to_owned);
    let receipt = api.bus.execute(submission).await.map_err(|error| problem::not_accepted(&error))?;
    Ok((StatusCode::OK, [(IDEMPOTENCY_KEY, command_id.to_string())], Json(receipt)).into_response())
}

/// Refuses a role that may not send the command before the body is read. The bus checks access in full.
fn check_role(name: &str, actor: &Actor) -> Result<(), Problem> {
    let access = Command::access_of(name).filter(|access| access.is_public());
    let access = access.ok_or_else(|| problem::unknown_command(name))?;
    access.check_role(name, actor.role()).map_err(problem::forbidden)
}

/// The command id from the caller's header, or a new id without the header.
fn idempotency_key(headers: &HeaderMap) -> Result<Uuid, Problem> {
    match headers.get(IDEMPOTENCY_KEY) {
        None => Ok(new_id()),
        Some(value) => {
            let parsed = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
            parsed.ok_or_else(problem::malformed_key)
        }
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
