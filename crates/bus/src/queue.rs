//! The queue of commands that wait for a decision. It is bounded by their number, and by the bytes of all commands that are not answered
//! yet. It is fair among senders: each gets its turn, and in a full queue the sender that has the most waiting gives way.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use super::{
    CommandError,
    job::Job,
    room::Room,
    turns::{Turns, Weighed},
};

/// The queue, shared by the handles of a bus and its sequencer.
pub(super) struct Queue {
    waiting: Mutex<Turns<Job>>,
    /// Whether the bus has handles, and its sequencer runs.
    open: AtomicBool,
    filled: Notify,
    room: Arc<Room>,
    commands: usize,
    bytes: usize,
}

impl Queue {
    /// A queue of at most so many commands, with at most so many bytes of unanswered commands.
    pub(super) fn new(commands: usize, bytes: usize) -> Self {
        let (commands, waiting, open) = (commands.max(1), Mutex::default(), AtomicBool::new(true));
        Self { waiting, open, filled: Notify::new(), room: Arc::default(), commands, bytes }
    }

    fn waiting(&self) -> MutexGuard<'_, Turns<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// How many commands wait.
    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// The most commands that may wait.
    pub(super) const fn capacity(&self) -> usize {
        self.commands
    }

    /// The bytes of commands that are not answered.
    pub(super) fn taken(&self) -> usize {
        self.room.taken()
    }

    /// Adds a command. In a full queue, the newest command of the sender that has the most waiting fails as busy. If that is the sender
    /// of this command, this command does.
    pub(super) fn push(&self, job: Job) {
        if let Some((job, error)) = self.try_push(job) {
            job.answer(Err(error));
        }
    }

    /// Adds a command. Returns one that was not added, and why.
    fn try_push(&self, mut job: Job) -> Option<(Job, CommandError)> {
        let mut displaced: Vec<Job> = Vec::new();
        let mut waiting = self.waiting();
        let refused = loop {
            if !self.is_open() {
                break Some(CommandError::Stopped);
            }
            let freed: usize = displaced.iter().map(Weighed::bytes).sum();
            let others = self.taken() - freed;
            // A command alone has room, however large it is.
            if waiting.len() < self.commands && (others == 0 || others + job.bytes() <= self.bytes) {
                break None;
            }
            match waiting.displace(job.sender, job.bytes(), |other| !other.is_patient) {
                Some(other) => displaced.push(other),
                None => break Some(CommandError::Busy),
            }
        };
        let turned_away = match refused {
            Some(error) => Some((job, error)),
            None => {
                job.taken = Some(self.room.take(job.bytes()));
                waiting.push(job.sender, job);
                None
            }
        };
        drop(waiting);
        self.filled.notify_one();
        for job in displaced {
            job.answer(Err(CommandError::Busy));
        }
        turned_away
    }

    /// Adds a command when half of the queue is free, so that bulk loads leave room for others.
    pub(super) async fn push_patiently(&self, mut job: Job) {
        let bytes = job.bytes();
        let is_free = || {
            let others = self.taken();
            !self.is_open()
                || self.waiting().len() < self.commands.div_ceil(2) && (others == 0 || others + bytes <= self.bytes / 2)
        };
        loop {
            self.room.until(is_free).await;
            match self.try_push(job) {
                // Another caller was faster.
                Some((again, CommandError::Busy)) => job = again,
                Some((job, error)) => return job.answer(Err(error)),
                // The room may be enough for one more.
                None => return self.room.notify(),
            }
        }
    }

    /// The next command, by turns.
    pub(super) fn pop(&self) -> Option<Job> {
        let job = self.waiting().pop();
        if job.is_some() {
            self.room.notify();
        }
        job
    }

    /// Waits until there is a command, or no handle is left. Returns whether commands may still come.
    pub(super) async fn filled(&self) -> bool {
        loop {
            let is_open = self.is_open();
            if !self.waiting().is_empty() {
                return true;
            }
            if !is_open {
                return false;
            }
            self.filled.notified().await;
        }
    }

    /// No further command comes.
    pub(super) fn close(&self) {
        self.open.store(false, Ordering::Release);
        self.filled.notify_one();
        self.room.close();
    }

    /// Nobody decides any more. The commands that wait are lost.
    pub(super) fn abandon(&self) {
        self.close();
        let lost: Vec<Job> = self.waiting().drain().collect();
        drop(lost);
    }
}
