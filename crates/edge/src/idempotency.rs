//! Ids that a client gives in a header, and the key of a command.

use axum::http::{HeaderMap, StatusCode};
use daybook_kernel::ids::is_real;
use uuid::Uuid;

use crate::problem::Problem;

/// The header with the id of a command.
pub const HEADER: &str = "idempotency-key";

/// The key of a request. `None` without the header.
///
/// # Errors
/// The problem of a header that holds no UUID, or the nil or the max one.
pub fn key(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    uuid(headers, HEADER, || {
        let detail =
            "the header Idempotency-Key holds a UUID, a new one for each command; the nil and the max UUID are none";
        Problem::new(StatusCode::BAD_REQUEST, "Malformed idempotency key", "malformed_idempotency_key", &detail)
    })
}

/// The UUID in a header, neither the nil nor the max one. `None` without the header.
///
/// # Errors
/// The problem that `malformed` makes.
pub fn uuid(headers: &HeaderMap, name: &str, malformed: impl FnOnce() -> Problem) -> Result<Option<Uuid>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    parsed.filter(|id| is_real(*id)).map(Some).ok_or_else(malformed)
}
