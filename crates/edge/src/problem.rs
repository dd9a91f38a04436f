//! Problem documents (RFC 9457): a status, a stable code, a sentence, and the data of the refusal.

use std::borrow::Cow;

use axum::{
    extract::rejection::PathRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{rates::TooOften, request_id::RequestId, tokens::TokenError};

/// The stable, documented name of a problem. The codes of refusals come from the domain.
pub type ProblemCode = Cow<'static, str>;

/// Why a request was not fulfilled.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// The kind of problem, in words.
    pub title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "number")]
    pub status: StatusCode,
    /// The stable code.
    pub code: ProblemCode,
    /// What is wrong with this request.
    pub detail: String,
    /// The part of the body that is wrong, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The data of the refusal. It is boxed to keep results small.
    #[serde(flatten)]
    pub data: Box<Map<String, Value>>,
    /// The seconds after which the request may be tried again.
    #[serde(skip)]
    pub retry_after: Option<u16>,
}

/// A problem as it is sent. Its type is derived from its code.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    problem: &'a Problem,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem without pointer, data and time to wait.
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

    /// The body is not JSON.
    #[must_use]
    pub fn malformed_json(error: &serde_json::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The body is not JSON", "malformed_json", error)
    }

    /// The body does not match its schema at the pointer.
    #[must_use]
    pub fn invalid_body(detail: &str, pointer: &str) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, "The body does not match its schema", "invalid_body", &detail);
        Self { pointer: Some(pointer.to_owned()), ..problem }
    }

    /// The media type, character set or encoding of the body is not supported.
    #[must_use]
    pub fn unsupported_media_type(detail: &str) -> Self {
        let title = "Unsupported media type";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title, "unsupported_media_type", &detail)
    }

    /// The body ended early.
    #[must_use]
    pub fn unreadable_body(error: &axum::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The body could not be read", "unreadable_body", error)
    }

    /// The path cannot be decoded.
    #[must_use]
    pub fn unreadable_path(error: &PathRejection) -> Self {
        let detail = error.body_text();
        Self::new(StatusCode::BAD_REQUEST, "The path cannot be read", "unreadable_path", &detail)
    }

    /// The server has no route for the path.
    #[must_use]
    pub fn not_found(path: &str) -> Self {
        let detail = format!("this server has no route for {path}");
        Self::new(StatusCode::NOT_FOUND, "Not found", "not_found", &detail)
    }

    /// The path does not support the method.
    #[must_use]
    pub fn method_not_allowed(detail: &str) -> Self {
        let title = "Method not allowed";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, title, "method_not_allowed", &detail)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Missing => "token_missing",
            TokenError::Expired => "token_expired",
            TokenError::Invalid
            | TokenError::NotYetValid
            | TokenError::TooLong
            | TokenError::CustomerMissing
            | TokenError::Subject(_)
            | TokenError::SecretTooShort
            | TokenError::SecretTooWeak => "token_invalid",
        };
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", code, &error)
    }
}

impl From<TooOften> for Problem {
    fn from(error: TooOften) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests", "rate_limited", &error);
        Self { retry_after: Some(error.retry_after_seconds()), ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let request = RequestId::current();
        let request_id = request.as_ref().map(RequestId::as_str);
        let document = Document { kind: format!("/problems/{}", self.code), problem: &self, request_id };
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
