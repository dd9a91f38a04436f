//! When loaders load: as soon as a request can do nothing but wait for them, and not before.
//!
//! The library starts a batch a moment after its first key, on another task; which keys are in it by then is a matter of luck,
//! and a page of a hundred rows took fifty statements where five would do. Here the batches of a request run in its own task,
//! and begin when everything else of it waits: so a level of a query takes one statement of a kind, and no timer.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use async_graphql::{Data, Executor, Request, Response, dataloader::DataLoader};
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};
use tokio::sync::mpsc;

use crate::{graphql::cost::MAX_COMPLEXITY, loaders::Loader, reader::Reader};

/// An executor that gives each operation a reader and loaders of its own, and runs their batches: what was loaded for one
/// operation is not kept for another, and what one has written is not waited for by another.
#[derive(Clone)]
pub(crate) struct Loading<E> {
    schema: E,
    reader: Reader,
}

impl<E> Loading<E> {
    pub(crate) const fn new(schema: E, reader: Reader) -> Self {
        Self { schema, reader }
    }

    fn prepare(&self, request: Request) -> (Request, Batches) {
        let (sender, batches) = mpsc::unbounded_channel();
        let start = move |batch| {
            // Whoever does not run the batches any more has no use for them.
            drop(sender.send(batch));
        };
        let reader = self.reader.of_operation();
        let loaders = DataLoader::new(Loader(reader.clone()), start);
        let loaders = loaders.delay(Duration::ZERO).max_batch_size(MAX_COMPLEXITY);
        (request.data(loaders).data(reader), Batches { asked: batches, loading: FuturesUnordered::new() })
    }
}

impl<E: Executor> Executor for Loading<E> {
    async fn execute(&self, request: Request) -> Response {
        let (request, mut batches) = self.prepare(request);
        let mut execution = pin!(self.schema.execute(request));
        poll_fn(|context| batches.poll_with(context, |context| execution.as_mut().poll(context))).await
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        let (request, mut batches) = self.prepare(request);
        let mut results = self.schema.execute_stream(request, session);
        stream::poll_fn(move |context| batches.poll_with(context, |context| results.poll_next_unpin(context))).boxed()
    }
}

/// A batch that is to be loaded.
type Batch = BoxFuture<'static, ()>;

/// The batches of an operation.
struct Batches {
    asked: mpsc::UnboundedReceiver<Batch>,
    loading: FuturesUnordered<Batch>,
}

impl Batches {
    /// Goes on with an operation, and with its batches once it waits.
    fn poll_with<T>(
        &mut self,
        context: &mut Context<'_>,
        operation: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let unfinished = Arc::new(Unfinished { again: AtomicBool::new(false), task: context.waker().clone() });
        let waker = Waker::from(Arc::clone(&unfinished));
        if let Poll::Ready(output) = operation(&mut Context::from_waker(&waker)) {
            return Poll::Ready(output);
        }
        // What has woken itself has more to do first, and maybe more to ask for.
        if !unfinished.again.load(Ordering::Acquire) {
            while let Poll::Ready(Some(batch)) = self.asked.poll_recv(context) {
                self.loading.push(batch);
            }
        }
        while let Poll::Ready(Some(())) = self.loading.poll_next_unpin(context) {}
        Poll::Pending
    }
}

/// Notes that the operation wants to go on.
struct Unfinished {
    again: AtomicBool,
    task: Waker,
}

impl Wake for Unfinished {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.again.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}
