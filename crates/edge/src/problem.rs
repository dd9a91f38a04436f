//! Problems, as RFC 9457 tells them: a status, a stable code, a sentence, and what the rule looked at.

use std::borrow::Cow;

use axum::{
    extract::rejection::PathRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{rates::TooOften, tokens::TokenError};

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
    /// A problem that says nothing but this.
    pub fn new(status: StatusCode, title: &'static str, code: impl Into<ProblemCode>, detail: &impl ToString) -> Self {
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

    /// A body that is no JSON.
    #[must_use]
    pub fn malformed_json(error: &serde_json::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The body is not JSON", "malformed_json", error)
    }

    /// A body that has another form than it should have, where the pointer says.
    #[must_use]
    pub fn invalid_body(detail: &str, pointer: &str) -> Self {
        let problem =
            Self::new(StatusCode::BAD_REQUEST, "The body does not have the right form", "invalid_body", &detail);
        Self { pointer: Some(pointer.to_owned()), ..problem }
    }

    /// A body that is written in another way than it can be read.
    #[must_use]
    pub fn unsupported_media_type(detail: &str) -> Self {
        let title = "The body is written in another way than it can be read";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title, "unsupported_media_type", &detail)
    }

    /// A body that broke off.
    #[must_use]
    pub fn unreadable_body(error: &axum::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The body could not be read", "unreadable_body", error)
    }

    /// A path that cannot be decoded.
    #[must_use]
    pub fn unreadable_path(error: &PathRejection) -> Self {
        let detail = error.body_text();
        Self::new(StatusCode::BAD_REQUEST, "The path cannot be read", "unreadable_path", &detail)
    }

    /// A path that is asked by a method which it does not know.
    #[must_use]
    pub fn method_not_allowed(detail: &str) -> Self {
        let title = "The path knows no such method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, title, "method_not_allowed", &detail)
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
