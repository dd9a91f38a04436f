//! The runtime of the bus: tasks and timers. It has two implementations: tokio, and the scheduler of the simulation, in which a seed
//! decides the order of tasks and the time (`tests/src/simulation`).

use std::{future::Future, time::Duration};

use futures::{FutureExt, future::Map};
use tokio::task::{JoinError, JoinHandle};

/// Runs tasks concurrently, and has timers.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// The handle of a task. It yields the result of the task, or `None` if the task panicked. If the handle is dropped, the task
    /// continues.
    type Task<T: Send + 'static>: Future<Output = Option<T>> + Send + Unpin + 'static;

    /// Starts a task.
    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Self::Task<T>;

    /// Waits for a time.
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
