//! One request: for whom it is counted, how long it may take, and what it is told when that was not enough.

use std::{
    any::Any,
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use hyper::body::{Body as _, Incoming};
use tower::ServiceExt;

use super::{EdgeLimits, body::Ending, connections::Full};
use crate::problem::Problem;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Answers a request. A panic is an answer too, and in the log.
pub(super) async fn answer(router: Router, request: Request<Incoming>, peer: IpAddr, limits: &EdgeLimits) -> Response {
    let complete = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let told = Arc::clone(&complete);
    let mut request = request.map(|body| Body::new(Ending::new(body, move || told.store(true, Ordering::Release))));
    if let Some(client) = limits.proxies.client(peer, &forwarded_for(request.headers())) {
        request.extensions_mut().insert(client);
    }
    // Not as a layer of the router, which would put every route into one more box, and every answer. What a panic has left half-done
    // is the request's own; locks that it held say so.
    let answered = AssertUnwindSafe(router.oneshot(request)).catch_unwind();
    match tokio::time::timeout(limits.request, answered).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(panic)) => panicked(&*panic),
        Err(_) => too_slow(complete.load(Ordering::Acquire)),
    }
}

fn forwarded_for(headers: &HeaderMap) -> Vec<&str> {
    // A line that is no text says nothing; those after it were written by others.
    headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or_default()).collect()
}

fn too_slow(complete: bool) -> Response {
    if complete {
        let detail = "the answer took too long; what a command came to is told when it is sent again with the same key";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "No answer in time", "timeout", &detail).into_response();
    }
    let (title, detail) = ("The request took too long", "nothing was done");
    closing(Problem::new(StatusCode::REQUEST_TIMEOUT, title, "request_timeout", &detail))
}

/// What somebody is told for whom there is no room.
pub(super) fn refusal(full: Full) -> Response {
    let (status, title) = match full {
        Full::Process => (StatusCode::SERVICE_UNAVAILABLE, "There are too many connections"),
        Full::Address => (StatusCode::TOO_MANY_REQUESTS, "There are too many connections from this address"),
    };
    let problem = Problem::new(status, title, "too_many_connections", &"close one, or try again later");
    closing(Problem { retry_after: Some(5), ..problem })
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = said.unwrap_or_default(), "a request ended in a panic");
    let (title, detail) = ("The server has failed", "this is a defect of the server");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, title, "internal", &detail).into_response()
}

/// An answer after which the connection is closed.
fn closing(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
