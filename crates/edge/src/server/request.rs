//! One request: the client address that it is counted for, its time limit, and the answer when the limit is reached.

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
use tracing::Instrument;

use super::{
    ConnectionLimits,
    body::EndReportingBody,
    connections::LimitReached,
    headers::{check_host, check_single, secure},
};
use crate::{
    problem::Problem,
    request_id::{REQUEST_ID, RequestId},
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Answers a request, with the headers that every answer has. The answer and the log lines name the id of the request.
pub(super) async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: IpAddr,
    limits: &ConnectionLimits,
) -> Response {
    let id = RequestId::of(request.headers());
    let span = tracing::info_span!("request", id = id.as_str());
    let answered = async {
        let checked = check_host(request.version(), request.headers()).and_then(|()| check_single(request.headers()));
        match checked {
            Ok(()) => answer_within(router, request, peer, limits).await,
            Err(problem) => closing(problem),
        }
    };
    let mut response = id.clone().scope(answered.instrument(span)).await;
    response.headers_mut().insert(REQUEST_ID, id.header());
    secure(&mut response);
    response
}

/// Answers a request in time. A panic is logged and answered, too.
async fn answer_within(
    router: Router,
    request: Request<Incoming>,
    peer: IpAddr,
    limits: &ConnectionLimits,
) -> Response {
    let complete = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let at_end = Arc::clone(&complete);
    let at_end = move || at_end.store(true, Ordering::Release);
    let mut request = request.map(|body| Body::new(EndReportingBody::new(body, at_end)));
    if let Some(client) = limits.trusted_proxies.client(peer, &forwarded_for(request.headers())) {
        request.extensions_mut().insert(client);
    }
    // This is no layer of the router: a layer would box every route and every answer once more. State that a panic leaves unfinished
    // belongs to the request; locks that it held are poisoned.
    let answered = AssertUnwindSafe(router.oneshot(request)).catch_unwind();
    match tokio::time::timeout(limits.request_timeout, answered).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(panic)) => panicked(&*panic),
        Err(_) => too_slow(complete.load(Ordering::Acquire)),
    }
}

fn forwarded_for(headers: &HeaderMap) -> Vec<&str> {
    // A header that is no text names no address, and so the client is not known.
    headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or("?")).collect()
}

fn too_slow(complete: bool) -> Response {
    if complete {
        let detail = "the answer took too long; send the command again with the same key to learn its outcome";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Answer timed out", "timeout", &detail).into_response();
    }
    let (title, detail) = ("Request timed out", "nothing was done");
    closing(Problem::new(StatusCode::REQUEST_TIMEOUT, title, "request_timeout", &detail))
}

/// The answer to a connection that a limit keeps out.
pub(super) fn rejection(limit: LimitReached) -> Response {
    let (status, title) = match limit {
        LimitReached::Process => (StatusCode::SERVICE_UNAVAILABLE, "Too many connections"),
        LimitReached::Address => (StatusCode::TOO_MANY_REQUESTS, "Too many connections from this address"),
    };
    let problem = Problem::new(status, title, "too_many_connections", &"close one, or try again later");
    closing(Problem { retry_after: Some(5), ..problem })
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = message.unwrap_or_default(), "a request ended in a panic");
    let (title, detail) = ("Internal server error", "this is a defect of the server");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, title, "internal", &detail).into_response()
}

/// The answer of a process that has not started yet.
pub(super) fn starting() -> Response {
    let (title, detail) = ("The service is starting", "try again in a moment");
    closing(Problem::new(StatusCode::SERVICE_UNAVAILABLE, title, "starting", &detail))
}

/// An answer after which the connection is closed.
fn closing(problem: Problem) -> Response {
    let mut response = problem.into_response();
    close(&mut response);
    response
}

/// Closes the connection after an answer.
pub(super) fn close(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}
