//! Limits of subscriptions and other streams. Each open stream keeps the database busy, so each needs a permit.

use std::{any::TypeId, sync::Arc};

use async_graphql::{
    Data, Executor, Request, Response, ServerError,
    parser::types::{DocumentOperations, OperationType},
};
use daybook_edge::{
    callers::{Caller, Counted, Counts},
    rates::{Rates, TooOften},
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::graphql::{
    error::{RATE_LIMITED, with_code},
    lexemes::Length,
    viewer::Viewer,
};

/// How many streams may be open at once.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// The subscriptions of one WebSocket connection.
    pub per_connection: usize,
    /// The subscriptions of one customer, or of one address without a staff token.
    pub per_caller: usize,
    /// The subscriptions and streams of server-sent events of the process.
    pub per_process: usize,
    /// How many more staff may have when those of the process are taken.
    pub reserve_for_staff: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { per_connection: 50, per_caller: 100, per_process: 1_000, reserve_for_staff: 100 }
    }
}

/// All permits are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooManyStreams {
    /// Those of the connection, or of the caller.
    #[error("you have too many live subscriptions; end one before the next one")]
    OfCaller,
    /// Those of the process.
    #[error("there are too many live subscriptions; try again later")]
    OfProcess,
}

/// The permits of this process.
#[derive(Clone)]
pub(crate) struct StreamPermits {
    limits: StreamLimits,
    all: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    callers: Counts<Caller>,
}

/// A permit for one stream, until it is dropped.
pub(crate) struct StreamPermit {
    _of_process: OwnedSemaphorePermit,
    _of_callers: Vec<Counted<Caller>>,
}

impl StreamPermits {
    pub(crate) fn new(limits: StreamLimits) -> Self {
        let [all, reserve] =
            [limits.per_process, limits.reserve_for_staff].map(|permits| Arc::new(Semaphore::new(permits)));
        Self { limits, all, reserve, callers: Counts::default() }
    }

    /// A permit for one more stream of the process.
    pub(crate) fn acquire(&self, viewer: &Viewer) -> Result<StreamPermit, TooManyStreams> {
        let buyers = if viewer.is_staff() { Vec::new() } else { Caller::of(&viewer.actor, viewer.address) };
        let of_callers = self.callers.add_all(buyers, self.limits.per_caller).ok_or(TooManyStreams::OfCaller)?;
        let of_process = try_acquire(&self.all).or_else(|| try_acquire(&self.reserve).filter(|_| viewer.is_staff()));
        let of_process = of_process.ok_or(TooManyStreams::OfProcess)?;
        Ok(StreamPermit { _of_process: of_process, _of_callers: of_callers })
    }

    /// The executor of a connection, which has a limit of its own beside that of the process.
    pub(crate) fn for_connection<E>(&self, schema: E, rates: Rates) -> Connection<E> {
        let own = Arc::new(Semaphore::new(self.limits.per_connection));
        Connection { schema, own, process: self.clone(), rates }
    }
}

fn try_acquire(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).try_acquire_owned().ok()
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
        let viewer = session.as_deref().and_then(viewer);
        if let Err(error) = count(&self.rates, viewer) {
            let refused = with_code(ServerError::new(error.to_string(), None), RATE_LIMITED);
            return stream::iter([Response::from_errors(vec![refused])]).boxed();
        }
        match Length::of(&request.query) {
            Ok(length) => {
                if let Some(Viewer { actor, address, .. }) = viewer {
                    self.rates.charge(actor, *address, length.more_requests());
                }
            }
            Err(error) => return stream::iter([Response::from_errors(vec![error])]).boxed(),
        }
        if !runs(&mut request, OperationType::Subscription) {
            return self.schema.execute_stream(request, session);
        }
        match self.permits(viewer) {
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

impl<E> Connection<E> {
    /// The permits of a subscription, of the connection and of the process.
    fn permits(&self, viewer: Option<&Viewer>) -> Result<(OwnedSemaphorePermit, Option<StreamPermit>), TooManyStreams> {
        let own = try_acquire(&self.own).ok_or(TooManyStreams::OfCaller)?;
        Ok((own, viewer.map(|viewer| self.process.acquire(viewer)).transpose()?))
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
fn count(rates: &Rates, viewer: Option<&Viewer>) -> Result<(), TooOften> {
    viewer.map_or(Ok(()), |Viewer { actor, address, .. }| rates.check(Some(actor), *address))
}

/// The viewer of a connection, which is known once the connection is initialised.
fn viewer(session: &Data) -> Option<&Viewer> {
    session.get(&TypeId::of::<Viewer>()).and_then(|viewer| viewer.downcast_ref())
}
