//! The extension that handles every request beside its execution. It reports and limits the cost, gives errors their codes, and
//! normalizes the result. One extension does all of that, so the parsed document is kept once.

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

/// Makes the state of a request for each request.
pub(crate) struct ResponseExtension;

impl ExtensionFactory for ResponseExtension {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(RequestState::default())
    }
}

/// What is known of a request.
#[derive(Default)]
struct RequestState {
    document: Mutex<Option<Arc<ExecutableDocument>>>,
    validated: Mutex<Option<ValidationResult>>,
}

impl RequestState {
    fn document(&self) -> Option<Arc<ExecutableDocument>> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for RequestState {
    async fn request(&self, context: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let mut response = next.run(context).await;
        response.errors = response.errors.into_iter().map(cost::code_of_execution).collect();
        match self.validated.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(validated) => response.extension("cost", cost::report(&validated)),
            None => response,
        }
    }

    async fn prepare_request(
        &self,
        context: &ExtensionContext<'_>,
        mut request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        cost::check_document(request.parsed_query())?;
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
        let validated =
            validated.map_err(|errors| errors.into_iter().map(cost::code_of_validation).collect::<Vec<_>>())?;
        let validated = cost::check_cost(validated, self.document().as_deref()).map_err(|error| vec![error])?;
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
            normalize::normalize(&document, operation_name, &context.schema_env.registry, &mut response);
        }
        response
    }
}
