//! Waking the worker: it looks at the table from time to time, and at once when this process has written what is due before that.

use std::time::Duration;

use chrono::{DateTime, Utc};
use daybook_bus::Clock;
use tokio::sync::Notify;

/// Wakes the worker of this process.
pub(super) struct Waker {
    clock: Clock,
    /// The longest pause between two looks of the worker.
    poll: Duration,
    woken: Notify,
}

impl Waker {
    pub(super) fn new(clock: Clock, poll: Duration) -> Self {
        Self { clock, poll, woken: Notify::new() }
    }

    /// Whether the worker may come too late for what is due then, unless it is woken. Most timers are due in days, and none of those
    /// wakes it.
    pub(super) fn is_soon(&self, due: DateTime<Utc>) -> bool {
        let is_later = (due - self.clock.database_now()).to_std().is_ok_and(|left| left >= self.poll);
        !is_later
    }

    /// Wakes the worker, now or when it pauses next.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until the worker is woken.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }
}
