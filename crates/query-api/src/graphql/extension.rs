//! The extension that handles every request beside its execution. It reports and limits the cost, gives errors their codes, and
//! normalizes the result. One extension does all of that, so the parsed document is kept once.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_graphql::{
    Pos, Request, Response, ServerError, ServerResult, ValidationResult, Value, Variables,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextExecute, NextParseQuery, NextPrepareRequest, NextRequest,
        NextResolve, NextValidation, ResolveInfo,
    },
    parser::types::{ExecutableDocument, OperationType},
};
use daybook_edge::request_id::RequestId;

use crate::{
    graphql::{
        answer_size, cost, error::shortened, mutation::UsedKeys, normalize, stream_limits::runs, viewer::Viewer,
    },
    reader::{Reader, share::Share},
};

/// How many errors of a document are named.
const MAX_ERRORS: usize = 50;

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
    /// The cost, and the highest cost.
    validated: Mutex<Option<(ValidationResult, usize)>>,
    /// What the operation may take of the process.
    share: OnceLock<Arc<Share>>,
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
        response.errors =
            response.errors.into_iter().map(cost::code_of_execution).map(shortened).map(with_request_id).collect();
        match self.validated.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((validated, most)) => response.extension("cost", cost::report(&validated, most)),
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
        if runs(&mut request, OperationType::Mutation) {
            request = request.data(UsedKeys::default());
        }
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
            validated.map_err(|errors| some(errors).into_iter().map(cost::code_of_validation).collect::<Vec<_>>())?;
        let most = cost::max_complexity(context.data::<Viewer>().is_ok_and(Viewer::is_staff));
        let validated = cost::check_cost(validated, self.document().as_deref(), most).map_err(|error| vec![error])?;
        *self.validated.lock().unwrap_or_else(PoisonError::into_inner) = Some((validated, most));
        if let Ok(reader) = context.data::<Reader>() {
            // A request is validated once.
            drop(self.share.set(Arc::clone(reader.share())));
        }
        Ok(validated)
    }

    async fn execute(
        &self,
        context: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let share = self.share.get();
        if let Some(share) = share {
            share.begin_result();
        }
        let mut response = next.run(context, operation_name).await;
        if let Some(share) = share
            && (share.failure().is_some() || share.answered().await.is_err())
            && let Some(failure) = share.failure()
        {
            // What was resolved is not whole.
            return Response::from_errors(vec![failure.clone().into_server_error(Pos::default())]);
        }
        if let Some(document) = self.document() {
            normalize::normalize(&document, operation_name, &context.schema_env.registry, &mut response);
        }
        response
    }

    /// Counts each value while the answer is made. Once the operation was ended, nothing more is resolved.
    async fn resolve(
        &self,
        context: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let Some(share) = self.share.get() else { return next.run(context, info).await };
        if share.failure().is_some() {
            return Ok(Some(Value::Null));
        }
        share.in_turn().await;
        let (key, leaf) = (info.alias.unwrap_or(info.name).len(), info.field.selection_set.node.items.is_empty());
        let value = next.run(context, info).await?;
        let bytes = key + value.as_ref().map_or(0, |value| answer_size::of(value, leaf));
        // The share remembers why the operation ends, and the whole answer becomes that error.
        if matches!(share.count(bytes), Ok(true)) && share.take_place().await.is_err() {
            return Ok(Some(Value::Null));
        }
        Ok(value)
    }
}

/// The first errors of a document, and how many more it has: an answer is not much larger than its question.
fn some(mut errors: Vec<ServerError>) -> Vec<ServerError> {
    let more = errors.len().saturating_sub(MAX_ERRORS);
    errors.truncate(MAX_ERRORS);
    if more > 0 {
        errors.push(ServerError::new(format!("the document has {more} more errors"), None));
    }
    errors
}

/// Adds the id of the request, by which logs name it.
fn with_request_id(mut error: ServerError) -> ServerError {
    if let Some(id) = RequestId::current() {
        error.extensions.get_or_insert_default().set("requestId", id.as_str());
    }
    error
}
