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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_uuid() {
        let id = "b7e4a3a0-6f0a-4d7e-9b3c-2f5f0f8d1c11";
        let of = |value: Option<&str>| {
            let named = value.map(|value| {
                (axum::http::HeaderName::from_static(HEADER), value.parse().expect("the value of a header"))
            });
            key(&named.into_iter().collect()).map_err(|problem| problem.code)
        };
        assert_eq!(of(None), Ok(None));
        assert_eq!(of(Some(id)), Ok(id.parse().ok()));
        assert_eq!(of(Some(&format!("\"{id}\""))), Ok(id.parse().ok()));
        let nil = Uuid::nil().to_string();
        for wrong in ["", "\"\"", "4711", &nil] {
            assert_eq!(of(Some(wrong)), Err("malformed_idempotency_key".into()), "{wrong:?}");
        }
    }
}
