//! What a query costs, told in `extensions.cost`, and a stable code for every error.

mod expansion;
mod surcharge;

use async_graphql::{ServerError, ServerResult, ValidationResult, Value, parser::types::ExecutableDocument, value};

use crate::graphql::{
    connection::{BAD_PAGE, refuses_page},
    error::with_code,
};

/// How deep a query may nest; the introspection query of GraphiQL is 13 deep.
pub(crate) const MAX_DEPTH: usize = 15;
/// How much a query may ask for: every field counts one, and those of a page as often as the page has rows; what takes work of
/// its own, such as facets, counts more.
pub(crate) const MAX_COMPLEXITY: usize = 10_000;

/// Refuses a document that cannot be read, or comes to too much, before the library walks it for the first time.
pub(crate) fn bounded(document: ServerResult<&ExecutableDocument>) -> ServerResult<()> {
    expansion::check(document.map_err(|error| with_code(error, "GRAPHQL_PARSE_FAILED"))?)
}

/// A valid request with its whole cost: what the library counts, and what some fields cost beside it. The limit is held here and not
/// by the library, which would name the cost of a request before its errors, such as a page that is too large. Only a valid document
/// can be walked: its fragments end.
pub(crate) fn limited(
    mut validated: ValidationResult,
    document: Option<&ExecutableDocument>,
) -> Result<ValidationResult, ServerError> {
    let room = MAX_COMPLEXITY.saturating_sub(validated.complexity);
    validated.complexity += document.map_or(0, |document| surcharge::of(document, room));
    if validated.complexity > MAX_COMPLEXITY {
        return Err(refused(ServerError::new("Query is too complex.", None)));
    }
    Ok(validated)
}

/// What `extensions.cost` says of a request.
pub(crate) fn told(validated: &ValidationResult) -> Value {
    let ValidationResult { complexity, depth, .. } = *validated;
    value!({
        "complexity": complexity, "maxComplexity": MAX_COMPLEXITY, "depth": depth, "maxDepth": MAX_DEPTH,
    })
}

/// An error with its code. Those of ours have one; the library has none when an input is not what its type says, and when it
/// cannot tell which operation is meant.
pub(crate) fn met_while_running(error: ServerError) -> ServerError {
    if error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some()) {
        return error;
    }
    let of_input = ["Failed to parse \"", "Expected input type \"", "Variable "];
    let code = match error.message.as_str() {
        message if of_input.iter().any(|text| message.starts_with(text)) => "BAD_INPUT",
        _ if error.path.is_empty() => "BAD_REQUEST",
        _ => "INTERNAL",
    };
    with_code(error, code)
}

/// A refusal with its code. The library tells the limits apart by their texts only; the tests hold it to them.
pub(crate) fn refused(error: ServerError) -> ServerError {
    let code = match error.message.as_str() {
        "Query is too complex." => "QUERY_TOO_COMPLEX",
        "Query is nested too deep." => "QUERY_TOO_DEEP",
        message if refuses_page(message) => BAD_PAGE,
        _ => "GRAPHQL_VALIDATION_FAILED",
    };
    with_code(error, code)
}
