//! What the bus runs on: tasks and waiting. There are two of it: tokio, and the scheduler of the simulation, which decides by a
//! seed who is next and what time it is (`tests/src/simulation`).

use std::{future::Future, time::Duration};

use futures::{FutureExt, future::Map};
use tokio::task::{JoinError, JoinHandle};

/// Runs tasks beside each other, with timers.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A task that was started: ends with its result, or with nothing when it panicked. When the handle is dropped, the task runs on.
    type Task<T: Send + 'static>: Future<Output = Option<T>> + Send + Unpin + 'static;

    /// Starts a task.
    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Self::Task<T>;

    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// The runtime of tokio that the caller is in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    type Task<T: Send + 'static> = Map<JoinHandle<T>, fn(Result<T, JoinError>) -> Option<T>>;

    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Self::Task<T> {
        tokio::spawn(work).map(Result::ok)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }
}
