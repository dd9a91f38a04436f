//! Refusals that have read many streams. They are checked over a connection of their own, beside the commits, so that they hold no other
//! command up. A refusal writes nothing, so no later decision rests on it.

use daybook_event_store::{Appender, Operation, Outcome, Store};
use futures::stream::FuturesUnordered;

use super::{Committed, Decided, Runtime, Sequencer, commit, settle};
use crate::{CommandError, vitals::refused};

/// The most streams of one check, unless a single refusal has read more.
const CHECK_STREAMS: usize = 2_000;

/// Whether an operation is a refusal that has read more than so many streams.
pub(super) fn is_large(operation: &Operation, streams: usize) -> bool {
    matches!(operation, Operation::Check { reads, .. } if reads.len() > streams)
}

/// A refusal that waits for its check.
struct Waiting {
    decided: Decided,
    operation: Operation,
    /// The number of the last batch whose events it may have read.
    rests_on: u64,
}

/// The refusals that have read many streams.
pub(super) struct Refusals<B: Store, R: Runtime> {
    waiting: Vec<Waiting>,
    /// The refusals that are being checked.
    checked: Vec<Decided>,
    pub(super) checks: FuturesUnordered<R::Task<Committed<B::Session>>>,
    appender: Option<Appender<B::Session>>,
}

impl<B: Store, R: Runtime> Default for Refusals<B, R> {
    fn default() -> Self {
        Self { waiting: Vec::new(), checked: Vec::new(), checks: FuturesUnordered::new(), appender: None }
    }
}

impl<B: Store, R: Runtime> Refusals<B, R> {
    pub(super) fn add(&mut self, decided: Decided, operation: Operation, rests_on: u64) {
        self.waiting.push(Waiting { decided, operation, rests_on });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.checks.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.waiting.len() + self.checked.len()
    }

    /// Takes those whose check has not begun. They may rest on what is undone.
    pub(super) fn take_waiting(&mut self) -> Vec<Decided> {
        std::mem::take(&mut self.waiting).into_iter().map(|waiting| waiting.decided).collect()
    }

    /// Takes the next ones that rest on ended batches only, and returns their operations.
    fn begin(&mut self, ended: u64) -> Vec<Operation> {
        let (mut operations, mut later, mut streams) = (Vec::new(), Vec::new(), 0);
        for waiting in self.waiting.drain(..) {
            if waiting.rests_on <= ended && (operations.is_empty() || streams < CHECK_STREAMS) {
                streams += waiting.operation.reads().len();
                self.checked.push(waiting.decided);
                operations.push(waiting.operation);
            } else {
                later.push(waiting);
            }
        }
        self.waiting = later;
        operations
    }
}

impl<B: Store, R: Runtime> Sequencer<B, R> {
    /// Starts the next check, unless one is running.
    pub(super) fn start_check(&mut self) {
        if !self.refusals.checks.is_empty() || self.refusals.waiting.is_empty() {
            return;
        }
        let operations = self.refusals.begin(self.batches.1);
        if !operations.is_empty() {
            let appender = self.refusals.appender.take();
            let check = commit(self.runtime.clone(), self.book.clone(), appender, operations);
            self.refusals.checks.push(self.runtime.spawn(check));
        }
    }

    /// Answers refusals after their check. Those in conflict are decided again.
    pub(super) fn finish_check(&mut self, checked: Option<Committed<B::Session>>) {
        let decided = std::mem::take(&mut self.refusals.checked);
        let (operations, outcomes) = match checked {
            Some(Committed { appender, operations, outcomes: Ok(outcomes) }) => {
                self.refusals.appender = appender;
                (operations, outcomes)
            }
            Some(Committed { outcomes: Err(error), .. }) => {
                tracing::warn!(%error, "refusals could not be checked");
                self.signs.failed();
                let error = CommandError::Failed(std::sync::Arc::new(error));
                return decided.into_iter().for_each(|decided| decided.job.answer(Err(error.clone())));
            }
            None => {
                tracing::error!("a check was lost");
                self.signs.failed();
                return decided.into_iter().for_each(|decided| decided.job.answer(Err(CommandError::Lost)));
            }
        };
        // A check writes nothing, so it says nothing about commits that fail.
        match refused(&outcomes) {
            Some(_) => self.signs.settled(&outcomes),
            None => self.signs.stepped(),
        }
        for (decided, operation, outcome) in settle::all(decided, operations, outcomes) {
            match outcome {
                Outcome::Duplicate { first_position, events, same_fingerprint } => {
                    self.repeat(decided.job, first_position, events, same_fingerprint);
                }
                // The cache may be ahead of what the refusal has read. If it is not, the batch finds out that it is stale.
                Outcome::Conflict { .. } => {
                    if let Some(job) = self.count_conflict(decided.job) {
                        self.decide_all([job]);
                    }
                }
                Outcome::NotWritten { reason } => decided.job.answer(Err(CommandError::NotWritten(reason))),
                outcome => self.answer((decided, operation, outcome)),
            }
        }
        // A flood of refusals fills the cache, and may come without any commit.
        self.cache.shrink(self.queue.taken());
    }
}
