//! The memory that commands take from their arrival to their answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The bytes of commands that are not answered, and the callers that wait for fewer.
#[derive(Default)]
pub(super) struct Room {
    taken: AtomicUsize,
    /// How many callers wait for room.
    callers: AtomicUsize,
    freed: Notify,
}

impl Room {
    /// Takes the bytes of a command, up to its answer.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Taken {
        self.taken.fetch_add(bytes, Ordering::SeqCst);
        Taken { room: Arc::clone(self), bytes }
    }

    /// The bytes of commands that are not answered.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Wakes a caller that waits for room.
    pub(super) fn notify(&self) {
        if self.callers.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    /// Wakes all callers, since no room will be free.
    pub(super) fn close(&self) {
        self.freed.notify_waiters();
    }

    /// Waits until something is true, which is looked at whenever room was freed.
    pub(super) async fn until(&self, is_enough: impl Fn() -> bool) {
        self.callers.fetch_add(1, Ordering::SeqCst);
        let _caller = Caller(self);
        loop {
            let freed = self.freed.notified();
            if is_enough() {
                return;
            }
            freed.await;
        }
    }
}

/// A caller that waits for room.
struct Caller<'r>(&'r Room);

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.callers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The bytes of one command. They are free when this is dropped.
pub(super) struct Taken {
    room: Arc<Room>,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::SeqCst);
        self.room.notify();
    }
}
