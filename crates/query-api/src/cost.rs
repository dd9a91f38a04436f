//! What a query costs, told in `extensions.cost`, and a stable code for every error.

mod expansion;
mod surcharge;

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{
    Request, Response, ServerError, ServerResult, ValidationResult, Variables,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextPrepareRequest, NextRequest, NextValidation,
    },
    parser::types::ExecutableDocument,
    value,
};

use crate::viewer::with_code;

/// How deep a query may nest; the introspection query of GraphiQL is 13 deep.
pub(crate) const MAX_DEPTH: usize = 15;
/// How much a query may ask for: every field counts one, and those of a page as often as the page has rows; what takes work of
/// its own, such as facets, counts more.
pub(crate) const MAX_COMPLEXITY: usize = 10_000;

/// Tells what queries cost.
pub(crate) struct Cost;

impl ExtensionFactory for Cost {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(CostOfRequest::default())
    }
}

#[derive(Default)]
struct CostOfRequest {
    validated: Mutex<Option<ValidationResult>>,
    document: Mutex<Option<ExecutableDocument>>,
}

impl CostOfRequest {
    /// What the fields cost beside what the library counts. Only a valid document can be walked: its fragments end.
    fn surcharge(&self, so_far: usize) -> usize {
        let document = self.document.lock().unwrap_or_else(PoisonError::into_inner).take();
        document.map_or(0, |document| surcharge::of(&document, MAX_COMPLEXITY.saturating_sub(so_far)))
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for CostOfRequest {
    async fn request(&self, context: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let mut response = next.run(context).await;
        response.errors = response.errors.into_iter().map(met_while_running).collect();
        let validated = self.validated.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(ValidationResult { complexity, depth, .. }) = validated else { return response };
        let cost = value!({
            "complexity": complexity, "maxComplexity": MAX_COMPLEXITY, "depth": depth, "maxDepth": MAX_DEPTH,
        });
        response.extension("cost", cost)
    }

    /// Before the library walks the document for the first time.
    async fn prepare_request(
        &self,
        context: &ExtensionContext<'_>,
        mut request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        expansion::check(request.parsed_query().map_err(|error| with_code(error, "GRAPHQL_PARSE_FAILED"))?)?;
        next.run(context, request).await
    }

    async fn parse_query(
        &self,
        context: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(context, query, variables).await?;
        *self.document.lock().unwrap_or_else(PoisonError::into_inner) = Some(document.clone());
        Ok(document)
    }

    async fn validation(
        &self,
        context: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let mut validated =
            next.run(context).await.map_err(|errors| errors.into_iter().map(refused).collect::<Vec<_>>())?;
        validated.complexity += self.surcharge(validated.complexity);
        if validated.complexity > MAX_COMPLEXITY {
            return Err(vec![refused(ServerError::new("Query is too complex.", None))]);
        }
        *self.validated.lock().unwrap_or_else(PoisonError::into_inner) = Some(validated);
        Ok(validated)
    }
}

/// An error with its code. Those of ours have one; the library has none when an input is not what its type says, and when it
/// cannot tell which operation is meant.
fn met_while_running(error: ServerError) -> ServerError {
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
fn refused(error: ServerError) -> ServerError {
    let code = match error.message.as_str() {
        "Query is too complex." => "QUERY_TOO_COMPLEX",
        "Query is nested too deep." => "QUERY_TOO_DEEP",
        _ => "GRAPHQL_VALIDATION_FAILED",
    };
    with_code(error, code)
}
