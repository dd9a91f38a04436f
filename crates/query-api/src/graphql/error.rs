//! Errors of GraphQL with a stable code.

use async_graphql::{Error, ErrorExtensions, ServerError, Value};

/// The code of a request beyond a rate limit, or beyond what one caller may have at once.
pub(crate) const RATE_LIMITED: &str = "RATE_LIMITED";
/// The code of what this process, the command API or the database cannot do at the moment.
pub(crate) const UNAVAILABLE: &str = "UNAVAILABLE";

/// The most characters of a message.
const MAX_MESSAGE: usize = 2_000;

/// An error with a stable code.
pub(crate) fn coded(code: &str, message: impl Into<String>) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// The code of one of our own errors.
pub(crate) fn code(error: &Error) -> Option<&str> {
    text(error.extensions.as_ref()?.get("code")?)
}

/// The code of an error in an answer.
pub(crate) fn code_of(error: &ServerError) -> Option<&str> {
    text(error.extensions.as_ref()?.get("code")?)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Cuts the message of an error: those of the parser quote the whole line, which may be the whole document.
pub(crate) fn shortened(mut error: ServerError) -> ServerError {
    if let Some((end, _)) = error.message.char_indices().nth(MAX_MESSAGE) {
        error.message.truncate(end);
        error.message.push('…');
    }
    error
}

/// Gives an error of the library a stable code.
pub(crate) fn with_code(mut error: ServerError, code: &str) -> ServerError {
    error.extensions.get_or_insert_default().set("code", code);
    error
}
