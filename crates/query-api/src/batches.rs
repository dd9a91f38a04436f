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
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::mpsc;

/// A batch that is to be loaded.
type Batch = BoxFuture<'static, ()>;

/// The batches of a request.
pub(crate) struct Batches(mpsc::UnboundedReceiver<Batch>);

impl Batches {
    /// Batches, and where they come from.
    pub(crate) fn new() -> (mpsc::UnboundedSender<Batch>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self(receiver))
    }

    /// Runs a request together with its batches.
    pub(crate) async fn run<F: Future>(mut self, request: F) -> F::Output {
        let mut request = pin!(request);
        let mut loading = FuturesUnordered::new();
        poll_fn(|context| {
            let unfinished = Arc::new(Unfinished { again: AtomicBool::new(false), task: context.waker().clone() });
            let waker = Waker::from(Arc::clone(&unfinished));
            if let Poll::Ready(output) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            // What has woken itself has more to do first, and maybe more to ask for.
            if !unfinished.again.load(Ordering::Acquire) {
                while let Poll::Ready(Some(batch)) = self.0.poll_recv(context) {
                    loading.push(batch);
                }
            }
            while let Poll::Ready(Some(())) = loading.poll_next_unpin(context) {}
            Poll::Pending
        })
        .await
    }
}

/// Notes that the request wants to go on.
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
