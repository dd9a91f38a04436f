//! One request: for whom it is counted, how long it may take, and what it is told when that was not enough.

use std::{
    any::Any,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::body::{Body as _, Frame, SizeHint};
use serde_json::json;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::{EdgeLimits, connections::Full};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Answers a request.
pub(super) async fn answer(router: Router, request: Request<Body>, peer: IpAddr, limits: &EdgeLimits) -> Response {
    let complete = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let mut request = request.map(|body| Body::new(Watched { body, complete: Arc::clone(&complete) }));
    if let Some(client) = limits.proxies.client(peer, &forwarded_for(request.headers())) {
        request.extensions_mut().insert(client);
    }
    let Ok(answered) = tokio::time::timeout(limits.request, router.oneshot(request)).await else {
        return too_slow(complete.load(Ordering::Acquire));
    };
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn forwarded_for(headers: &HeaderMap) -> Vec<&str> {
    // A line that is no text says nothing; those after it were written by others.
    headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or_default()).collect()
}

fn too_slow(complete: bool) -> Response {
    if complete {
        let detail = "the answer took too long; what a command came to is told when it is sent again with the same key";
        return later(problem(StatusCode::SERVICE_UNAVAILABLE, "timeout", "No answer in time", detail), "1");
    }
    let response =
        problem(StatusCode::REQUEST_TIMEOUT, "request_timeout", "The request took too long", "nothing was done");
    closing(response)
}

/// What somebody is told for whom there is no room.
pub(super) fn refusal(full: Full) -> Response {
    let (status, title) = match full {
        Full::Process => (StatusCode::SERVICE_UNAVAILABLE, "There are too many connections"),
        Full::Address => (StatusCode::TOO_MANY_REQUESTS, "There are too many connections from this address"),
    };
    closing(later(problem(status, "too_many_connections", title, "close one, or try again later"), "5"))
}

/// A router whose panics are answers, and in the log.
pub(super) fn never_panics(router: Router) -> Router {
    router.layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        tracing::error!(panic = said.unwrap_or_default(), "a request ended in a panic");
        problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server has failed",
            "this is a defect of the server",
        )
    }))
}

/// What no route says.
pub(crate) fn problem(status: StatusCode, code: &str, title: &str, detail: &str) -> Response {
    let document = json!({
        "type": format!("/problems/{code}"), "title": title, "status": status.as_u16(), "code": code, "detail": detail,
    });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], document.to_string()).into_response()
}

fn later(mut response: Response, seconds: &'static str) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
    response
}

fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The body of a request, which tells whether all of it has come.
struct Watched {
    body: Body,
    complete: Arc<AtomicBool>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.complete.store(true, Ordering::Release);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
