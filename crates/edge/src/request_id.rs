//! The id of a request, which every answer, problem and log line of the request names. A client or a proxy may choose it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the id, in requests and in answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that a client may choose, in bytes.
const MAX_LENGTH: usize = 128;

tokio::task_local! {
    /// The id of the request that the task answers.
    static CURRENT: RequestId;
}

/// The id of a request: 1 to 128 letters, digits and `.`, `_`, `:`, `/`, `+`, `=`, `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id that a request brings, if it is well-formed, or else a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).filter(|id| is_well_formed(id.as_bytes())).cloned();
        Self(given.unwrap_or_else(new))
    }

    /// The id of the request that is being answered by this task.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs a future that answers the request of this id.
    pub async fn scope<F: Future>(self, answer: F) -> F::Output {
        CURRENT.scope(self, answer).await
    }

    /// The id as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // A well-formed id is ASCII.
        self.0.to_str().unwrap_or_default()
    }

    /// The id as the value of the header.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:/+=-".contains(byte);
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(allowed)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the id of a request is no part of a decision, and this is where it is made"
)]
fn new() -> HeaderValue {
    let id = uuid::Uuid::now_v7().to_string();
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(given).expect("the value is valid"));
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_well_formed_id_is_kept_and_another_is_replaced() {
        for id in ["a", "0192f3c1-7b1d-7000-8000-000000000000", "Root=1-67891233:abc/def+gh.i_j"] {
            assert_eq!(of(id.as_bytes()), id);
        }
        let long = "x".repeat(129);
        for id in ["", "two words", "a\tb", "<script>", "é", long.as_str()] {
            let made = of(id.as_bytes());
            assert!(made.parse::<uuid::Uuid>().is_ok(), "{id:?} became {made}");
        }
        let none = RequestId::of(&HeaderMap::new());
        assert_ne!(none, RequestId::of(&HeaderMap::new()), "each request has an id of its own");
    }

    #[tokio::test]
    async fn the_id_is_known_while_the_request_is_answered() {
        let id = RequestId::of(&HeaderMap::new());
        assert_eq!(id.clone().scope(async { RequestId::current() }).await, Some(id));
        assert_eq!(RequestId::current(), None);
    }
}
