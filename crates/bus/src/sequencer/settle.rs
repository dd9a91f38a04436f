//! What becomes of the commands of a batch after its commit.

use std::sync::{Arc, atomic::Ordering};

use daybook_event_store::{Operation, Outcome, Store};

use super::{Committed, Decided, Runtime, Sequencer, forget};
use crate::{
    CommandError,
    answer::{answer, repeat_first, replay},
    job::Job,
    load::Waiting,
};

impl<B: Store, R: Runtime> Sequencer<B, R> {
    /// Answers the commands of a batch after its commit. A command in conflict is decided again. So are the commands that were decided
    /// since, because they may rest on it.
    pub(super) fn settle(&mut self, committed: Option<Committed<B::Session>>) {
        self.batches.1 = self.batches.0;
        let in_flight = std::mem::take(&mut self.in_flight);
        let Some(Committed { appender, operations, outcomes }) = committed else {
            tracing::error!("a commit was lost");
            self.signs.failed();
            return self.start_over(in_flight, &CommandError::Lost);
        };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                tracing::warn!(%error, "a batch failed; a retry of its commands shows whether it is in the book");
                self.signs.failed();
                return self.start_over(in_flight, &CommandError::Failed(Arc::new(error)));
            }
        };
        self.appender = appender;
        self.signs.settled(&outcomes);
        if outcomes.iter().all(as_decided) {
            // The receipts are made in a task of their own, beside the next decisions.
            let book = self.book.clone();
            self.beside(async move {
                let repeating: Vec<_> = all(in_flight, operations, outcomes).filter_map(answer).collect();
                for (job, stream) in repeating {
                    repeat_first(&book, job, &stream).await;
                }
            });
        } else {
            self.reconsider(in_flight, operations, outcomes);
        }
        self.cache.shrink(self.queue.taken());
    }

    /// Handles a batch with an outcome that differs from its decision. Later decisions may rest on it, so they are undone as well.
    fn reconsider(&mut self, decided: Vec<Decided>, operations: Vec<Operation>, outcomes: Vec<Outcome>) {
        let stale = decided.iter().zip(&outcomes).any(|(decided, outcome)| match outcome {
            Outcome::Conflict { .. } => true,
            // A repeated refusal has written nothing, so no later decision rests on it.
            Outcome::Duplicate { .. } | Outcome::InvalidData { .. } | Outcome::NotWritten { .. } => {
                !decided.written.is_empty()
            }
            Outcome::Appended { .. } | Outcome::Confirmed => false,
        });
        let undone = if stale { self.undo_next() } else { Vec::new() };
        for (decided, outcome) in decided.iter().zip(&outcomes) {
            if !as_decided(outcome) {
                forget(&mut self.cache, &decided.written);
            }
        }
        // What is cached now is committed.
        for (decided, operation, outcome) in all(decided, operations, outcomes) {
            match outcome {
                Outcome::Appended { .. } | Outcome::Confirmed => self.answer((decided, operation, outcome)),
                Outcome::Duplicate { first_position, events, same_fingerprint } => {
                    self.repeat(decided.job, first_position, events, same_fingerprint);
                }
                Outcome::InvalidData { reason } => decided.job.answer(Err(CommandError::Unwritable(reason))),
                Outcome::NotWritten { reason } => decided.job.answer(Err(CommandError::NotWritten(reason))),
                Outcome::Conflict { actual } => self.decide_again(decided.job, actual),
            }
        }
        self.decide_all(undone);
    }

    /// Answers a command whose operation was committed as decided.
    pub(super) fn answer(&self, committed: (Decided, Operation, Outcome)) {
        if let Some((job, stream)) = answer(committed) {
            let book = self.book.clone();
            self.beside(async move { repeat_first(&book, job, &stream).await });
        }
    }

    /// Answers a command whose id is in the book already.
    pub(super) fn repeat(&self, job: Job, first_position: i64, events: i32, same_fingerprint: bool) {
        if same_fingerprint {
            self.beside(replay(self.book.clone(), job, first_position, events));
        } else {
            let command_id = job.submission.command_id;
            job.answer(Err(CommandError::KeyReused(command_id)));
        }
    }

    /// Loads what another process has added to streams, and decides the command again after that.
    fn decide_again(&mut self, job: Job, actual: Vec<(Arc<str>, i32)>) {
        let Some(job) = self.count_conflict(job) else { return };
        let missing: Vec<_> = actual.into_iter().map(|(stream, _)| stream.into()).collect();
        for stream in &missing {
            self.retire(stream);
        }
        self.wanted.push(job.sender, Waiting { job, missing, others: Vec::new(), is_contended: true });
    }

    /// Counts a conflict of a command. Returns the command, unless it has been in conflict too often.
    pub(super) fn count_conflict(&self, mut job: Job) -> Option<Job> {
        metrics::counter!("daybook_conflicts_total").increment(1);
        self.conflicts.fetch_add(1, Ordering::Relaxed);
        job.attempts += 1;
        if job.attempts >= self.settings.attempts {
            job.answer(Err(CommandError::Contended));
            return None;
        }
        Some(job)
    }

    /// Starts over after the store has failed. The commands of the batch get the error, and the others are decided again.
    pub(super) fn start_over(&mut self, failed: Vec<Decided>, error: &CommandError) {
        self.cache.clear();
        self.bases.clear();
        for Decided { job, .. } in failed {
            job.answer(Err(error.clone()));
        }
        let again = self.undo_next();
        self.decide_all(again);
    }
}

/// The commands of a batch, each with its operation and its outcome.
pub(super) fn all(
    decided: Vec<Decided>,
    operations: Vec<Operation>,
    outcomes: Vec<Outcome>,
) -> impl Iterator<Item = (Decided, Operation, Outcome)> {
    let committed = decided.into_iter().zip(operations).zip(outcomes);
    committed.map(|((decided, operation), outcome)| (decided, operation, outcome))
}

pub(super) const fn as_decided(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Appended { .. } | Outcome::Confirmed)
}
