//! Problems, as RFC 9457 tells them: a status, a stable code, a sentence, and what the rule looked at.

use std::borrow::Cow;

use axum::{
    extract::rejection::PathRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use daybook_access::{TokenError, rates::TooOften};
use daybook_bus::{CommandError, UnreadableStream};
use daybook_domain::{Refusal, Role, refusal::RefusalKind};
use serde::Serialize;
use serde_json::{Map, Value};

/// A stable, documented name of a problem. Codes of refused rules come from the domain; these are the others.
pub type ProblemCode = Cow<'static, str>;

/// Why a request was not fulfilled.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// What sort of problem it is, in words.
    pub title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "number")]
    pub status: StatusCode,
    /// The stable code.
    pub code: ProblemCode,
    /// What is wrong this time.
    pub detail: String,
    /// Which part of the body is wrong, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What the rule looked at. In a box, since a problem is passed up from everywhere.
    #[serde(flatten)]
    pub data: Box<Map<String, Value>>,
    /// After how many seconds it may be tried again.
    #[serde(skip)]
    pub retry_after: Option<u16>,
}

/// A problem as it is sent: its type follows from its code.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    problem: &'a Problem,
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, code: impl Into<ProblemCode>, detail: &impl ToString) -> Self {
        Self {
            title,
            status,
            code: code.into(),
            detail: detail.to_string(),
            pointer: None,
            data: Box::default(),
            retry_after: None,
        }
    }

    pub(super) fn malformed(error: &serde_json::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The body is not JSON", "malformed_json", error)
    }

    pub(super) fn malformed_key() -> Self {
        let detail = "the header Idempotency-Key holds a UUID";
        Self::new(StatusCode::BAD_REQUEST, "The idempotency key is not a UUID", "malformed_idempotency_key", &detail)
    }

    pub(super) fn invalid(detail: &str, pointer: &str) -> Self {
        let problem =
            Self::new(StatusCode::BAD_REQUEST, "The body does not have the right form", "invalid_body", &detail);
        Self { pointer: Some(pointer.to_owned()), ..problem }
    }

    pub(super) fn unknown_command(name: &str) -> Self {
        let detail = format!("there is no command `{name}`; /openapi.json lists those there are");
        Self::new(StatusCode::NOT_FOUND, "There is no such command", "unknown_command", &detail)
    }

    pub(super) fn forbidden(name: &str, role: Role, roles: &[Role]) -> Self {
        let allowed: Vec<_> = roles.iter().map(|role| role.name()).collect();
        let detail = format!("{name} is not for the role {role}, but for {}", allowed.join(", "));
        Self::new(StatusCode::FORBIDDEN, "This role may not do that", "forbidden", &detail)
    }

    pub(super) fn not_served(what: &str, named: &str, served: Vec<&str>, pointer: String) -> Self {
        let detail = format!("the storefront does not serve the {what} `{named}`, but {}", served.join(", "));
        let code = format!("{what}_not_served");
        let problem = Self::new(StatusCode::FORBIDDEN, "The storefront does not serve that", code, &detail);
        let data = [(what.to_owned(), named.into()), ("served".to_owned(), served.into())];
        Self { pointer: Some(pointer), data: Box::new(data.into_iter().collect()), ..problem }
    }

    pub(super) fn unreadable_path(error: &PathRejection) -> Self {
        let detail = error.body_text();
        Self::new(StatusCode::BAD_REQUEST, "The path cannot be read", "unreadable_path", &detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "a command is sent by POST, a document is read by GET";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "The path knows no such method", "method_not_allowed", &detail)
    }

    pub(super) fn unsupported(detail: &str) -> Self {
        let title = "The body is written in another way than it can be read";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title, "unsupported_media_type", &detail)
    }

    pub(super) fn too_large() -> Self {
        let detail = format!("a command has at most {} bytes", super::body::MAX_BODY);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large", "body_too_large", &detail)
    }

    pub(super) fn unreadable(error: &axum::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The body could not be read", "unreadable_body", error)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Missing => "token_missing",
            TokenError::Expired => "token_expired",
            TokenError::Invalid | TokenError::CustomerMissing | TokenError::SecretTooShort => "token_invalid",
        };
        Self::new(StatusCode::UNAUTHORIZED, "Who is asking?", code, &error)
    }
}

impl From<TooOften> for Problem {
    fn from(error: TooOften) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "That is too often", "rate_limited", &error);
        Self { retry_after: Some(error.retry_after_seconds()), ..problem }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let (status, title) = match refusal.kind() {
            RefusalKind::NotFound => (StatusCode::NOT_FOUND, "There is no such thing"),
            RefusalKind::NotYours => (StatusCode::FORBIDDEN, "It belongs to somebody else"),
            RefusalKind::Rule => (StatusCode::UNPROCESSABLE_ENTITY, "A rule says no"),
        };
        let problem = Self::new(status, title, refusal.code(), refusal);
        Self { pointer: refusal.pointer(), data: Box::new(refusal.data()), ..problem }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let (status, title, code) = match &error {
            CommandError::Refused(refusal) => return refusal.into(),
            CommandError::KeyReused(_) => {
                (StatusCode::CONFLICT, "The idempotency key was used for something else", "idempotency_key_reused")
            }
            CommandError::Contended => (StatusCode::SERVICE_UNAVAILABLE, "Others were faster, often", "contended"),
            CommandError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Too much is waiting", "busy"),
            CommandError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "The service is stopping", "stopping"),
            CommandError::Failed(_) | CommandError::Lost => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The outcome is unknown; send it again with the same key",
                "unknown_outcome",
            ),
            CommandError::Unreadable(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "A part of the book cannot be read", "unreadable_stream")
            }
            CommandError::Unwritable(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "It holds a value that the book cannot keep", "unwritable")
            }
        };
        // What broke inside is for the log, not for the caller.
        let detail = match &error {
            CommandError::Failed(_) | CommandError::Unreadable(_) | CommandError::Unwritable(_) => {
                tracing::error!(%error, "a command failed");
                title.to_owned()
            }
            other => other.to_string(),
        };
        let mut problem = Self::new(status, title, code, &detail);
        if let CommandError::Unreadable(UnreadableStream { stream, version, .. }) = &error {
            problem.data.insert("stream".to_owned(), stream.as_str().into());
            problem.data.insert("version".to_owned(), (*version).into());
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document { kind: format!("/problems/{}", self.code), problem: &self };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let unavailable = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        if let Some(seconds) = self.retry_after.or(unavailable) {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
