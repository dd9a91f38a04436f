//! The probes over HTTP: in full on the port of operators, and without details on the public port.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use daybook_domain::Actor;
use daybook_edge::{
    problem::Problem,
    rates::{ClientAddress, Rates},
    tokens::Keys,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Health;

/// The headers by which browsers name the page that sends a request.
const OF_BROWSERS: [&str; 4] = ["origin", "referer", "sec-fetch-mode", "sec-fetch-site"];

/// The routes of the public port: `/livez` and `/readyz`, each one word, and `/health` for staff.
pub(crate) fn public(health: &Health, keys: Keys, rates: Rates) -> Router {
    let staff = move |State(health): State<Health>, address, headers| {
        std::future::ready(for_staff(&health, &keys, &rates, address, &headers))
    };
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(async |State(health): State<Health>| word(health.is_ready(), "ready\n", "not ready\n")))
        .route("/health", get(staff))
        .with_state(health.clone())
}

/// The routes of the port of operators. A drain is asked for by `POST /drain`. On a loopback address they answer only to that machine's
/// own names: a page of a browser reads any address of its machine under a name that its author has pointed there.
pub(crate) fn operations(
    health: &Health,
    metrics: PrometheusHandle,
    drain: CancellationToken,
    address: SocketAddr,
) -> Router {
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/startupz", get(startupz))
        .route("/readyz", get(readyz))
        .route("/health", get(async |State(health): State<Health>| Json(health.report())))
        .route("/metrics", get(move || std::future::ready(metrics.render())))
        .route("/drain", post(move |headers| std::future::ready(begin_drain(&headers, &drain))))
        .with_state(health.clone());
    if address.ip().is_loopback() { routes.layer(middleware::from_fn(own_name)) } else { routes }
}

/// Refuses a request to another name than an address or `localhost`.
async fn own_name(request: Request, next: Next) -> Result<Response, Problem> {
    let authority = request.uri().authority().cloned().or_else(|| {
        let host = request.headers().get(header::HOST)?;
        Authority::try_from(host.as_bytes()).ok()
    });
    let host = authority.as_ref().map_or("", Authority::host);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    if host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok() {
        return Ok(next.run(request).await);
    }
    let detail = "this port answers to addresses and localhost, and to no other name";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "Misdirected request", "misdirected_request", &detail))
}

async fn livez(State(health): State<Health>) -> Response {
    let dead = health.dead();
    if let Some(reason) = &dead {
        tracing::error!(reason, "the process is not alive");
    }
    word(dead.is_none(), "alive\n", "not alive\n")
}

async fn startupz(State(health): State<Health>) -> Response {
    let started = health.is_started();
    let waits_for = health.read(|known| (!started).then(|| known.waits_for.clone()));
    (status(started), Json(json!({ "started": started, "waits_for": waits_for }))).into_response()
}

async fn readyz(State(health): State<Health>) -> Response {
    let checks = health.read(|known| health.deciding(known));
    let ready = checks.iter().all(|check| check.ok);
    (status(ready), Json(json!({ "ready": ready, "checks": checks }))).into_response()
}

/// All that is known, for a token of staff.
fn for_staff(
    health: &Health,
    keys: &Keys,
    rates: &Rates,
    address: Option<Extension<ClientAddress>>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let actor = keys.check_header(authorization);
    rates.check(actor.as_ref().ok().map(|bearer| &bearer.actor), address.map(|Extension(address)| address))?;
    match actor?.actor {
        Actor::Support(_) | Actor::Admin(_) => Ok(Json(health.report()).into_response()),
        _ => Err(Problem::new(StatusCode::FORBIDDEN, "Forbidden", "forbidden", &"only staff may do this")),
    }
}

/// Begins a drain, unless a browser asks for it: any page may send a request to an address of this machine.
fn begin_drain(headers: &HeaderMap, drain: &CancellationToken) -> Result<Response, Problem> {
    if OF_BROWSERS.iter().any(|name| headers.contains_key(*name)) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Forbidden", "forbidden", &"no page of a browser may do this"));
    }
    drain.cancel();
    Ok((StatusCode::ACCEPTED, "the process drains\n").into_response())
}

const fn status(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn word(ok: bool, yes: &'static str, no: &'static str) -> Response {
    (status(ok), if ok { yes } else { no }).into_response()
}
