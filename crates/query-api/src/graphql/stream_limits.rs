//! How many streams may be open at once: subscriptions, and those who follow the book. Each keeps the database busy.

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

/// The code of what is asked too often.
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

/// There is no room for another stream.
#[derive(Debug, thiserror::Error)]
#[error("there are too many live subscriptions; end one, or try again later")]
pub(crate) struct TooMany;

/// The streams of this process.
#[derive(Clone)]
pub(crate) struct Streams {
    limits: StreamLimits,
    all: Arc<Semaphore>,
}

/// Room for a stream, until dropped.
pub(crate) type Room = OwnedSemaphorePermit;

impl Streams {
    pub(crate) fn new(limits: StreamLimits) -> Self {
        Self { limits, all: Arc::new(Semaphore::new(limits.per_process)) }
    }

    /// Room for one more stream of the process.
    pub(crate) fn room(&self) -> Result<Room, TooMany> {
        room_in(&self.all)
    }

    /// The executor of a connection that may have some of them.
    pub(crate) fn of_connection<E>(&self, schema: E, rates: Rates) -> Connection<E> {
        let own = Arc::new(Semaphore::new(self.limits.per_connection));
        Connection { schema, own, streams: self.clone(), rates }
    }
}

fn room_in(semaphore: &Arc<Semaphore>) -> Result<Room, TooMany> {
    Arc::clone(semaphore).try_acquire_owned().map_err(|_| TooMany)
}

/// An executor whose operations are counted, and whose subscriptions have room.
#[derive(Clone)]
pub(crate) struct Connection<E> {
    schema: E,
    own: Arc<Semaphore>,
    streams: Streams,
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
        match room_in(&self.own).and_then(|own| Ok((own, self.streams.room()?))) {
            Ok(rooms) => {
                let results = self.schema.execute_stream(request, session);
                // The room is held for as long as the stream is.
                results.inspect(move |_| _ = &rooms).boxed()
            }
            Err(error) => {
                let error = with_code(ServerError::new(error.to_string(), None), "TOO_MANY_SUBSCRIPTIONS");
                stream::iter([Response::from_errors(vec![error])]).boxed()
            }
        }
    }
}

/// Whether the operation that would run is of a type.
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

/// Counts an operation of the viewer whose session it is.
fn count(rates: &Rates, session: Option<&Data>) -> Result<(), TooOften> {
    let viewer = session.and_then(|data| data.get(&TypeId::of::<Viewer>())).and_then(|viewer| viewer.downcast_ref());
    viewer.map_or(Ok(()), |Viewer { actor, address, .. }| rates.check(Some(actor), *address))
}
