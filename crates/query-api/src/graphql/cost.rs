//! The cost of a request, which is reported in `extensions.cost`, and a stable code for every error of the library.

mod expansion;
mod surcharge;

use async_graphql::{ServerError, ServerResult, ValidationResult, Value, parser::types::ExecutableDocument, value};

use crate::graphql::{
    connection::{BAD_PAGE, refuses_page},
    error::with_code,
};

/// How deep a query may nest; the introspection query of GraphiQL is 13 deep.
pub(crate) const MAX_DEPTH: usize = 15;
/// The highest complexity of a buyer's query. Every field counts one. A field in a page counts once for each row of the page, and a
/// field in another list once for each element that the list may hold. A statement counts as much as [`STATEMENT`] fields, so a buyer
/// has at most 40 root fields. What an answer really takes is counted while it resolves, by [`Share`](crate::reader::share::Share).
const MAX_COMPLEXITY: usize = 10_000_000;
/// The highest complexity of a query of staff.
const MAX_COMPLEXITY_OF_STAFF: usize = 25_000_000;
/// The cost of a statement that a field takes by itself.
const STATEMENT: usize = 250_000;

/// The highest complexity of a query.
pub(crate) const fn max_complexity(staff: bool) -> usize {
    if staff { MAX_COMPLEXITY_OF_STAFF } else { MAX_COMPLEXITY }
}

/// Refuses a document that cannot be parsed or is too large, before the library visits it for the first time.
pub(crate) fn check_document(document: ServerResult<&ExecutableDocument>) -> ServerResult<()> {
    expansion::check(document.map_err(|error| with_code(error, "GRAPHQL_PARSE_FAILED"))?)
}

/// Adds the surcharge of some fields to the cost that the library counts, and refuses a request that costs too much. The library's
/// own limit is not used: it would report the cost of a request before its errors, such as a page that is too large. The document is
/// valid here, so its fragments end.
pub(crate) fn check_cost(
    mut validated: ValidationResult,
    document: Option<&ExecutableDocument>,
    most: usize,
) -> Result<ValidationResult, ServerError> {
    let room = most.saturating_sub(validated.complexity);
    validated.complexity += document.map_or(0, |document| surcharge::of(document, room));
    if validated.complexity > most {
        let cost = validated.complexity;
        let detail = format!(
            "the operation costs at least {cost}, and {most} is the most; fewer rows (`first`) and fewer fields cost less"
        );
        return Err(with_code(ServerError::new(detail, None), "QUERY_TOO_COMPLEX"));
    }
    Ok(validated)
}

/// The value of `extensions.cost` for a request.
pub(crate) fn report(validated: &ValidationResult, most: usize) -> Value {
    let ValidationResult { complexity, depth, .. } = *validated;
    value!({
        "complexity": complexity, "maxComplexity": most, "depth": depth, "maxDepth": MAX_DEPTH,
    })
}

/// Gives an error of the execution its code. Our own errors have one. The library's have none: an input that does not fit its type,
/// or a request that does not say which operation is meant.
pub(crate) fn code_of_execution(error: ServerError) -> ServerError {
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

/// Gives an error of the validation its code. The library's limits differ in their messages only; tests compare these messages.
pub(crate) fn code_of_validation(error: ServerError) -> ServerError {
    let code = match error.message.as_str() {
        "Query is nested too deep." => "QUERY_TOO_DEEP",
        message if refuses_page(message) => BAD_PAGE,
        _ => "GRAPHQL_VALIDATION_FAILED",
    };
    with_code(error, code)
}
