//! Limits of subscriptions and other streams. Each open stream keeps the database busy, so each needs a permit.

use std::{any::TypeId, sync::Arc};

use async_graphql::{
    Data, Executor, Request, Response, ServerError,
    parser::types::{DocumentOperations, OperationType},
};
use daybook_edge::rates::{Rates, TooOften};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::graphql::{error::with_code, viewer::Viewer};

/// The code of a request beyond the rate limit.
pub(crate) const RATE_LIMITED: &str = "RATE_LIMITED";

/// How many streams may be open at once.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// The subscriptions of one WebSocket connection.
    pub per_connection: usize,
    /// The subscriptions and streams of server-sent events of the process.
    pub per_process: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { per_connection: 50, per_process: 1_000 }
    }
}

/// All permits are taken.
#[derive(Debug, thiserror::Error)]
#[error("there are too many live subscriptions; end one, or try again later")]
pub(crate) struct TooManyStreams;

/// The permits of this process.
#[derive(Clone)]
pub(crate) struct StreamPermits {
    limits: StreamLimits,
    all: Arc<Semaphore>,
}

/// A permit for one stream, until it is dropped.
pub(crate) type StreamPermit = OwnedSemaphorePermit;

impl StreamPermits {
    pub(crate) fn new(limits: StreamLimits) -> Self {
        Self { limits, all: Arc::new(Semaphore::new(limits.per_process)) }
    }

    /// A permit for one more stream of the process.
    pub(crate) fn acquire(&self) -> Result<StreamPermit, TooManyStreams> {
        try_acquire(&self.all)
    }

    /// The executor of a connection, which has a limit of its own beside that of the process.
    pub(crate) fn for_connection<E>(&self, schema: E, rates: Rates) -> Connection<E> {
        let own = Arc::new(Semaphore::new(self.limits.per_connection));
        Connection { schema, own, process: self.clone(), rates }
    }
}

fn try_acquire(semaphore: &Arc<Semaphore>) -> Result<StreamPermit, TooManyStreams> {
    Arc::clone(semaphore).try_acquire_owned().map_err(|_| TooManyStreams)
}

/// An executor that counts operations, and runs subscriptions with permits only.
#[derive(Clone)]
pub(crate) struct Connection<E> {
    schema: E,
    own: Arc<Semaphore>,
    process: StreamPermits,
    rates: Rates,
}

impl<E: Executor> Executor for Connection<E> {
    async fn execute(&self, request: Request) -> Response {
        self.schema.execute(request).await
    }

    fn execute_stream(&self, mut request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        if let Err(error) = count(&self.rates, session.as_deref()) {
            let refused = with_code(ServerError::new(error.to_string(), None), RATE_LIMITED);
            return stream::iter([Response::from_errors(vec![refused])]).boxed();
        }
        if !runs(&mut request, OperationType::Subscription) {
            return self.schema.execute_stream(request, session);
        }
        match try_acquire(&self.own).and_then(|own| Ok((own, self.process.acquire()?))) {
            Ok(permits) => {
                let results = self.schema.execute_stream(request, session);
                // The stream keeps its permits until it ends.
                results.inspect(move |_| _ = &permits).boxed()
            }
            Err(error) => {
                let error = with_code(ServerError::new(error.to_string(), None), "TOO_MANY_SUBSCRIPTIONS");
                stream::iter([Response::from_errors(vec![error])]).boxed()
            }
        }
    }
}

/// Whether the operation that the request runs is of a type.
pub(crate) fn runs(request: &mut Request, kind: OperationType) -> bool {
    let wanted = request.operation_name.clone();
    let Ok(document) = request.parsed_query() else { return false };
    match &document.operations {
        DocumentOperations::Single(operation) => operation.node.ty == kind,
        DocumentOperations::Multiple(operations) => operations
            .iter()
            .filter(|(name, _)| wanted.as_deref().is_none_or(|wanted| wanted == name.as_str()))
            .any(|(_, operation)| operation.node.ty == kind),
    }
}

/// Counts an operation against the rate limit of its viewer.
fn count(rates: &Rates, session: Option<&Data>) -> Result<(), TooOften> {
    let viewer = session.and_then(|data| data.get(&TypeId::of::<Viewer>())).and_then(|viewer| viewer.downcast_ref());
    viewer.map_or(Ok(()), |Viewer { actor, address, .. }| rates.check(Some(actor), *address))
}
