//! The signs of life of a bus, for probes.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use daybook_event_store::Outcome;

use super::queue::Queue;

/// Why the store refused to write operations of a batch, if it did.
pub(crate) fn refused(outcomes: &[Outcome]) -> Option<&str> {
    outcomes.iter().find_map(|outcome| match outcome {
        Outcome::NotWritten { reason } => Some(reason.as_str()),
        _ => None,
    })
}

/// What the sequencer notes. It writes a few atomics for each batch, and nothing for a single command.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// Whether commands are decided and not answered, or loads are running.
    busy: AtomicBool,
    /// How many commits and loads have ended, with or without an error.
    steps: AtomicU64,
    /// How many commits have worked.
    commits: AtomicU64,
    /// How many commits and loads have failed.
    failures: AtomicU64,
    /// Whether the last commit has failed, or a load since.
    failing: AtomicBool,
}

impl Signs {
    pub(crate) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// The store has answered for a batch.
    pub(crate) fn settled(&self, outcomes: &[Outcome]) {
        if let Some(reason) = refused(outcomes) {
            tracing::warn!(reason, "the store refuses to write; nothing of a batch was written");
            return self.failed();
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.failing.store(false, Ordering::Relaxed);
        self.stepped();
    }

    /// A commit or a load has failed.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.failing.store(true, Ordering::Relaxed);
        self.stepped();
    }

    /// A step of the work has ended.
    pub(crate) fn stepped(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

/// Watches a bus without keeping it.
#[derive(Clone)]
pub struct BusMonitor {
    queue: Weak<Queue>,
    signs: Arc<Signs>,
}

/// What a bus does at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusVitals {
    /// How many commands wait for a decision.
    pub waiting: usize,
    /// The most commands that may wait.
    pub capacity: usize,
    /// Whether the bus has work: commands that wait, are decided, or whose streams are loaded.
    pub busy: bool,
    /// How many commits and loads have ended so far, with or without an error.
    pub steps: u64,
    /// How many commits have worked so far.
    pub commits: u64,
    /// How many commits and loads have failed so far.
    pub failures: u64,
    /// Whether the last commit has failed, or a load since.
    pub failing: bool,
}

impl BusMonitor {
    pub(crate) fn new(queue: &Arc<Queue>, signs: Arc<Signs>) -> Self {
        Self { queue: Arc::downgrade(queue), signs }
    }

    /// What the bus does at present. None when it has stopped, or is about to.
    #[must_use]
    pub fn vitals(&self) -> Option<BusVitals> {
        let queue = self.queue.upgrade().filter(|queue| queue.is_open())?;
        let Signs { busy, steps, commits, failures, failing } = &*self.signs;
        let (waiting, capacity) = (queue.len(), queue.capacity());
        Some(BusVitals {
            waiting,
            capacity,
            busy: waiting > 0 || busy.load(Ordering::Relaxed),
            steps: steps.load(Ordering::Relaxed),
            commits: commits.load(Ordering::Relaxed),
            failures: failures.load(Ordering::Relaxed),
            failing: failing.load(Ordering::Relaxed),
        })
    }
}
