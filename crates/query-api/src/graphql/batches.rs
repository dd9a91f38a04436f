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

use async_graphql::{
    Data, Error, Executor, IntrospectionMode, Pos, Request, Response, dataloader::DataLoader,
    parser::types::OperationType,
};
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};
use tokio::sync::mpsc;

use crate::{
    graphql::{environment::Now, error::coded, stream_limits::runs, viewer::Viewer},
    loaders::Loader,
    reader::{Reader, share::Share},
};

/// The most keys of a batch.
const MAX_BATCH: usize = 10_000;

/// An executor that gives each operation its own reader and loaders, and runs their batches. So operations share neither loaded rows
/// nor the positions that they wait for. A request over HTTP brings the reader of its operation.
#[derive(Clone)]
pub(crate) struct BatchExecutor<E> {
    schema: E,
    reader: Reader,
    now: Now,
    /// Whether buyers may introspect the schema. Staff always may.
    introspection: bool,
}

impl<E> BatchExecutor<E> {
    pub(crate) const fn new(schema: E, reader: Reader, now: Now, introspection: bool) -> Self {
        Self { schema, reader, now, introspection }
    }

    /// The reader of the operation. The request has brought it, or the operation begins here.
    async fn reader(&self, request: &mut Request, session: Option<&Data>) -> Result<Reader, Error> {
        let live = runs(request, OperationType::Subscription);
        let viewer = find::<Viewer>(&request.data).or_else(|| session.and_then(find::<Viewer>));
        let viewer = viewer.ok_or_else(|| coded("INTERNAL", "the request has no viewer"))?;
        if !self.introspection && !viewer.is_staff() {
            request.introspection_mode = IntrospectionMode::Disabled;
        }
        if let Some(reader) = find::<Reader>(&request.data) {
            return Ok(reader.clone());
        }
        let capacity = self.reader.share().capacity();
        let share = match live {
            true => Share::of_subscription(capacity, viewer),
            false => Share::begin(capacity, viewer).await?,
        };
        Ok(self.reader.of_operation(share))
    }

    fn prepare(&self, request: Request, reader: Reader) -> (Request, Batches) {
        let (sender, batches) = mpsc::unbounded_channel();
        let start = move |batch| {
            // The operation may have ended, and needs no batch any more.
            drop(sender.send(batch));
        };
        let loaders = DataLoader::new(Loader { reader: reader.clone(), now: self.now.clone() }, start);
        let loaders = loaders.delay(Duration::ZERO).max_batch_size(MAX_BATCH);
        let share = Arc::clone(reader.share());
        (request.data(loaders).data(reader), Batches { queued: batches, running: FuturesUnordered::new(), share })
    }
}

impl<E: Executor> Executor for BatchExecutor<E> {
    async fn execute(&self, mut request: Request) -> Response {
        let reader = match self.reader(&mut request, None).await {
            Ok(reader) => reader,
            Err(error) => return refused(error),
        };
        let (request, mut batches) = self.prepare(request, reader);
        let mut execution = pin!(self.schema.execute(request));
        poll_fn(|context| batches.poll_with(context, |context| execution.as_mut().poll(context))).await
    }

    fn execute_stream(&self, mut request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        let executor = self.clone();
        let results = async move {
            let reader = match executor.reader(&mut request, session.as_deref()).await {
                Ok(reader) => reader,
                Err(error) => return stream::iter([refused(error)]).boxed(),
            };
            let (request, mut batches) = executor.prepare(request, reader);
            let mut results = executor.schema.execute_stream(request, session);
            let next =
                move |context: &mut Context<'_>| batches.poll_with(context, |context| results.poll_next_unpin(context));
            stream::poll_fn(next).boxed()
        };
        stream::once(results).flatten().boxed()
    }
}

/// A value among the data of a request or of a session.
fn find<T: Send + Sync + 'static>(data: &Data) -> Option<&T> {
    data.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref())
}

/// The answer to an operation that was not begun.
fn refused(error: Error) -> Response {
    Response::from_errors(vec![error.into_server_error(Pos::default())])
}

/// A batch of a loader.
type Batch = BoxFuture<'static, ()>;

/// The batches of an operation.
struct Batches {
    queued: mpsc::UnboundedReceiver<Batch>,
    running: FuturesUnordered<Batch>,
    share: Arc<Share>,
}

impl Batches {
    /// Polls an operation, and its batches when the operation waits.
    fn poll_with<T>(
        &mut self,
        context: &mut Context<'_>,
        operation: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.share.begin_turn();
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
