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
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use daybook_bus::{Answer, Bus, Submission, clock::new_id};
use daybook_domain::{Actor, Command, Role};
use daybook_edge::{
    document, idempotency, json_body,
    problem::Problem,
    rates::{ClientAddress, RateLimits, Rates},
    tokens::{CLIENT_HEADER, Keys, TokenError},
    trace::TraceContext,
};

use crate::{
    forward::{self, Receiver},
    openapi,
};

/// The header with the correlation id of a causal chain.
const CORRELATION_ID: &str = "correlation-id";
/// The detail of the problem for a wrong method.
const METHODS: &str = "a command is sent by POST, a document is read by GET";

/// For how many streams that a command reads it counts as one more request. The first so many are free.
const STREAMS_PER_REQUEST: u32 = 50;

/// The state that the routes share.
#[derive(Clone)]
pub struct CommandApi {
    bus: Bus,
    keys: Arc<Keys>,
    rates: Rates,
    receiver: Option<Receiver>,
}

impl CommandApi {
    /// The HTTP face of a bus. It accepts tokens that these keys have signed, and does not limit the rate of requests.
    #[must_use]
    pub fn new(bus: Bus, keys: Keys) -> Self {
        let rates = Rates::new(&RateLimits::OFF);
        Self { bus, keys: Arc::new(keys), rates, receiver: None }
    }

    /// Limits the rate of requests.
    #[must_use]
    pub fn limited(self, limits: &RateLimits) -> Self {
        Self { rates: Rates::new(limits), ..self }
    }

    /// Takes commands of other processes, too.
    #[must_use]
    pub fn receiving(self, receiver: Receiver) -> Self {
        Self { receiver: Some(receiver), ..self }
    }

    /// Its routes.
    pub fn router(self) -> Router {
        let document = document::route("/openapi.json", &openapi::document(), self.rates.clone());
        let own = match self.receiver {
            Some(_) => Router::new().route(forward::PATH, post(receive)),
            None => Router::new(),
        };
        own.route("/commands/{name}", post(submit))
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
    let actor = api.actor(&name, &headers);
    let address = api.client(&headers, address.map(|Extension(address)| address));
    api.rates.check(actor.as_ref().ok(), address)?;
    let actor = actor?;
    check_role(&name, &actor)?;
    json_body::check(&headers)?;
    let body = body::read(body).await?;
    let command_id = idempotency::key(&headers)?.unwrap_or_else(new_id);
    let correlation_id = idempotency::uuid(&headers, CORRELATION_ID, problem::malformed_correlation)?;
    let command = body::command(&name, &body)?;
    let mut submission = Submission::new(command, command_id, actor.clone());
    submission.address = address.map(ClientAddress::network);
    submission.correlation_id = correlation_id.unwrap_or(submission.correlation_id);
    submission.trace = TraceContext::of(&headers).map(|context| context.text());
    let Answer { outcome, streams } = api.bus.answer(submission, false).await;
    api.rates.charge(&actor, address, streams / STREAMS_PER_REQUEST);
    let receipt = outcome.map_err(|error| problem::not_accepted(&error))?;
    Ok((StatusCode::OK, [(idempotency::HEADER, command_id.to_string())], Json(receipt)).into_response())
}

/// Takes the connection of another process.
async fn receive(State(api): State<CommandApi>, request: Request) -> Result<Response, Problem> {
    let receiver = api.receiver.ok_or_else(|| Problem::not_found(forward::PATH))?;
    receiver.accept(api.bus, request)
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

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
