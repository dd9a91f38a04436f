//! What is done to every request beside executing it: its cost is told and limited, its errors get codes, and its result gets its
//! shape. One extension keeps the parsed document for all of that.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{
    Request, Response, ServerError, ServerResult, ValidationResult, Variables,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextExecute, NextParseQuery, NextPrepareRequest, NextRequest,
        NextValidation,
    },
    parser::types::ExecutableDocument,
};

use crate::graphql::{cost, normalize};

/// Finishes requests.
pub(crate) struct Finishing;

impl ExtensionFactory for Finishing {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(OfRequest::default())
    }
}

/// What is known of a request.
#[derive(Default)]
struct OfRequest {
    document: Mutex<Option<Arc<ExecutableDocument>>>,
    validated: Mutex<Option<ValidationResult>>,
}

impl OfRequest {
    fn document(&self) -> Option<Arc<ExecutableDocument>> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for OfRequest {
    async fn request(&self, context: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let mut response = next.run(context).await;
        response.errors = response.errors.into_iter().map(cost::met_while_running).collect();
        match self.validated.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(validated) => response.extension("cost", cost::told(&validated)),
            None => response,
        }
    }

    async fn prepare_request(
        &self,
        context: &ExtensionContext<'_>,
        mut request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        cost::bounded(request.parsed_query())?;
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
        *self.document.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(document.clone()));
        Ok(document)
    }

    async fn validation(
        &self,
        context: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let validated = next.run(context).await;
        let validated = validated.map_err(|errors| errors.into_iter().map(cost::refused).collect::<Vec<_>>())?;
        let validated = cost::limited(validated, self.document().as_deref()).map_err(|error| vec![error])?;
        *self.validated.lock().unwrap_or_else(PoisonError::into_inner) = Some(validated);
        Ok(validated)
    }

    async fn execute(
        &self,
        context: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let mut response = next.run(context, operation_name).await;
        if let Some(document) = self.document() {
            normalize::complete(&document, operation_name, &context.schema_env.registry, &mut response);
        }
        response
    }
}
