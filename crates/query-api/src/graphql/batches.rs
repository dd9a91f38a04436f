//! Starts the batches of loaders when an operation can only wait for them.
//!
//! The library starts a batch a moment after its first key, on another task. Which keys are in the batch is chance then: a page of a
//! hundred rows took fifty statements instead of five. Here the batches of an operation run in its own task, and start when the rest
//! of the operation waits. So each level of a query takes one statement of a kind, and no timer is needed.

use std::{
    any::TypeId,
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

use crate::{
    graphql::{cost::MAX_COMPLEXITY, environment::Now},
    loaders::Loader,
    reader::Reader,
};

/// An executor that gives each operation its own reader and loaders, and runs their batches. So operations share neither loaded rows
/// nor the positions that they wait for. A request that requires a position brings the reader of its operation.
#[derive(Clone)]
pub(crate) struct BatchExecutor<E> {
    schema: E,
    reader: Reader,
    now: Now,
}

impl<E> BatchExecutor<E> {
    pub(crate) const fn new(schema: E, reader: Reader, now: Now) -> Self {
        Self { schema, reader, now }
    }

    fn prepare(&self, request: Request) -> (Request, Batches) {
        let (sender, batches) = mpsc::unbounded_channel();
        let start = move |batch| {
            // The operation may have ended, and needs no batch any more.
            drop(sender.send(batch));
        };
        let brought = request.data.get(&TypeId::of::<Reader>()).and_then(|reader| reader.downcast_ref::<Reader>());
        let reader = brought.cloned().unwrap_or_else(|| self.reader.of_operation());
        let loaders = DataLoader::new(Loader { reader: reader.clone(), now: self.now.clone() }, start);
        let loaders = loaders.delay(Duration::ZERO).max_batch_size(MAX_COMPLEXITY);
        (request.data(loaders).data(reader), Batches { queued: batches, running: FuturesUnordered::new() })
    }
}

impl<E: Executor> Executor for BatchExecutor<E> {
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

/// A batch of a loader.
type Batch = BoxFuture<'static, ()>;

/// The batches of an operation.
struct Batches {
    queued: mpsc::UnboundedReceiver<Batch>,
    running: FuturesUnordered<Batch>,
}

impl Batches {
    /// Polls an operation, and its batches when the operation waits.
    fn poll_with<T>(
        &mut self,
        context: &mut Context<'_>,
        operation: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let flag = Arc::new(WakeFlag { woken: AtomicBool::new(false), task: context.waker().clone() });
        let waker = Waker::from(Arc::clone(&flag));
        if let Poll::Ready(output) = operation(&mut Context::from_waker(&waker)) {
            return Poll::Ready(output);
        }
        // An operation that has woken itself can continue first, and may queue more batches.
        if !flag.woken.load(Ordering::Acquire) {
            while let Poll::Ready(Some(batch)) = self.queued.poll_recv(context) {
                self.running.push(batch);
            }
        }
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(context) {}
        Poll::Pending
    }
}

/// Records whether the operation has woken its task.
struct WakeFlag {
    woken: AtomicBool,
    task: Waker,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}
