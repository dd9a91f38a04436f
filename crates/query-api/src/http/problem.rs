//! The problems of this API, beside those that every HTTP face has. They refuse a request before GraphQL handles it.

use axum::http::StatusCode;
use daybook_edge::problem::Problem;

use crate::graphql::{
    error::{RATE_LIMITED, UNAVAILABLE, code},
    stream_limits::TooManyStreams,
};

/// After how many seconds a client may ask again for a stream that got no permit.
const RETRY_AFTER: u16 = 10;

/// A problem whose title is that of its status.
pub(super) fn problem(status: StatusCode, code: &'static str, detail: &impl ToString) -> Problem {
    Problem::new(status, status.canonical_reason().unwrap_or("Rejected"), code, detail)
}

pub(super) fn bad_request(detail: &impl ToString) -> Problem {
    problem(StatusCode::BAD_REQUEST, "bad_request", detail)
}

/// A wrong parameter of a URL, or a wrong header.
pub(super) fn bad_parameter(name: &str, detail: &str) -> Problem {
    let mut problem = problem(StatusCode::BAD_REQUEST, "bad_parameter", &detail);
    problem.data.insert("parameter".to_owned(), name.into());
    problem
}

pub(super) fn for_staff() -> Problem {
    problem(StatusCode::FORBIDDEN, "forbidden", &"only staff may do this")
}

/// An operation that was not begun.
pub(super) fn not_begun(error: &async_graphql::Error) -> Problem {
    match code(error) {
        Some(RATE_LIMITED) => {
            Problem { retry_after: Some(1), ..problem(StatusCode::TOO_MANY_REQUESTS, "rate_limited", &error.message) }
        }
        Some(UNAVAILABLE) => problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error.message),
        _ => unavailable(),
    }
}

/// The database does not answer, or not in time.
pub(super) fn unavailable() -> Problem {
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &"try again")
}

impl From<TooManyStreams> for Problem {
    fn from(error: TooManyStreams) -> Self {
        let status = match error {
            TooManyStreams::OfCaller => StatusCode::TOO_MANY_REQUESTS,
            TooManyStreams::OfProcess => StatusCode::SERVICE_UNAVAILABLE,
        };
        let problem = problem(status, "too_many_subscriptions", &error);
        Self { retry_after: Some(RETRY_AFTER), ..problem }
    }
}
