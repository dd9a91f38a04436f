//! The sequencer: the one task that decides commands. It never waits for IO: loads and commits are tasks of their own.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use daybook_domain::{Decide, Decision, Reads, Rejection, State, Storefront, StreamName, Streams, authorise};
use daybook_event_store::{Appender, Operation, Outcome, Store, StoreError};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{
    BusSettings, CommandError, Job, Runtime,
    answer::{answer, repeat_first, replay},
    cache::Cache,
    decided::{self, Decided, Unwritten},
    load::{Folded, Loaded, Waiting, load},
};
use crate::Clock;

/// How many loads may run at the same time.
const MAX_LOADS: usize = 4;
/// How long to wait after a failed connection before the next attempt.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);

/// A batch after its commit.
struct Committed<S> {
    appender: Option<Appender<S>>,
    operations: Vec<Operation>,
    outcomes: Result<Vec<Outcome>, StoreError>,
}

/// Decisions that wait for the end of the previous commit.
#[derive(Default)]
struct Batch {
    decided: Vec<Decided>,
    operations: Vec<Operation>,
}

pub(super) struct Sequencer<B: Store, R: Runtime> {
    runtime: R,
    book: B,
    clock: Clock,
    settings: BusSettings,
    storefront: Arc<Storefront>,
    queue: mpsc::Receiver<Job>,
    conflicts: Arc<AtomicU64>,
    cache: Cache,
    /// The next batch: decided, and not sent to the store yet.
    next: Batch,
    /// The commands of the batch that is being committed, without its operations. Empty during no commit.
    in_flight: Vec<Decided>,
    commits: FuturesUnordered<R::Task<Committed<B::Session>>>,
    /// The appender. During a commit, the commit owns it.
    appender: Option<Appender<B::Session>>,
    /// Tasks that answer commands, which the sequencer waits for before it stops.
    answers: TaskTracker,
    wanted: Vec<Waiting>,
    loads: FuturesUnordered<R::Task<Loaded>>,
}

impl<B: Store, R: Runtime> Sequencer<B, R> {
    pub(super) fn new(
        runtime: R,
        book: B,
        clock: Clock,
        settings: BusSettings,
        queue: mpsc::Receiver<Job>,
        conflicts: Arc<AtomicU64>,
    ) -> Self {
        let cache = Cache::new(settings.cache_bytes);
        let storefront = Arc::new(settings.storefront.clone());
        Self {
            runtime,
            book,
            clock,
            settings,
            storefront,
            queue,
            conflicts,
            cache,
            next: Batch::default(),
            in_flight: Vec::new(),
            commits: FuturesUnordered::new(),
            appender: None,
            answers: TaskTracker::new(),
            wanted: Vec::new(),
            loads: FuturesUnordered::new(),
        }
    }

    /// Runs until the last handle of the bus is dropped and every queued command is answered.
    pub(super) async fn run(mut self) {
        let mut open = true;
        let mut arrived = Vec::new();
        while open || !self.idle() {
            let room = self.settings.batch.saturating_sub(self.next.operations.len());
            tokio::select! {
                // A finished commit comes first: the store is idle until the next batch is sent.
                biased;
                Some(committed) = self.commits.next() => self.settle(committed),
                Some(loaded) = self.loads.next() => self.finish_load(loaded),
                count = self.queue.recv_many(&mut arrived, room), if open && room > 0 => {
                    open = count > 0;
                    self.decide_all(mem::take(&mut arrived));
                }
            }
            self.start_load();
            if self.start_commit() {
                // The commit task runs now, before the commands that have arrived meanwhile are decided.
                tokio::task::yield_now().await;
            }
        }
        self.answers.close();
        self.answers.wait().await;
    }

    fn idle(&self) -> bool {
        self.commits.is_empty() && self.loads.is_empty() && self.next.operations.is_empty()
    }

    fn decide_all(&mut self, jobs: impl IntoIterator<Item = Job>) {
        let now = self.clock.now();
        for job in jobs {
            self.decide(job, now);
        }
    }

    /// Decides one command on the cached state, and applies its events to that state.
    fn decide(&mut self, job: Job, now: chrono::DateTime<chrono::Utc>) {
        let (command, actor) = (&job.submission.command, &job.submission.actor);
        let streams = Streams::over(&self.cache);
        let decided = authorise(command, actor, &self.storefront, &streams)
            .and_then(|()| command.decide(&job.context(now, &self.storefront), &streams));
        let operation = match decided {
            Ok(Decision { repeats: Some(stream), .. }) => {
                Ok((decided::check(&job, &streams), None, Some(Unwritten::Repeats(stream))))
            }
            Ok(decision) => decided::write(&job, &streams, &decision, now).map(|write| (write, Some(decision), None)),
            Err(Rejection::Refused(refusal)) => {
                Ok((decided::check(&job, &streams), None, Some(Unwritten::Refused(refusal))))
            }
            Err(Rejection::NotLoaded) => {
                let missing = streams.missing();
                let mut reads = Reads::default();
                command.reads(&mut reads);
                let others = reads.unloaded(&missing, &self.cache);
                self.wanted.push(Waiting { job, missing, others });
                return;
            }
        };
        let reads = streams.reads();
        let (operation, decision, unwritten) = match operation {
            Ok(operation) => operation,
            Err(error) => return job.answer(Err(error)),
        };
        for (stream, _) in &reads {
            self.cache.touch(stream);
        }
        let mut written = Vec::new();
        if let Some(decision) = decision {
            written = decided::written(&decision);
            let at = decision.effective_at.unwrap_or(now);
            for (stream, event) in &decision.events {
                self.cache.evolve(stream, |state: &mut State| state.evolve(event, at));
            }
        }
        self.next.decided.push(Decided { job, written, unwritten });
        self.next.operations.push(operation);
    }

    fn start_load(&mut self) {
        if !self.wanted.is_empty() && self.loads.len() < MAX_LOADS {
            let waiting = mem::take(&mut self.wanted);
            let load = load(self.runtime.clone(), self.book.clone(), waiting, self.settings.snapshot_after);
            self.loads.push(self.runtime.spawn(load));
        }
    }

    fn finish_load(&mut self, loaded: Option<Loaded>) {
        let Some(Loaded { waiting, streams }) = loaded else {
            // The task panicked. Its commands are dropped, and their senders get `CommandError::Lost`.
            tracing::error!("a load was lost");
            return;
        };
        match streams {
            Ok(Folded { entries, unreadable }) => {
                for (stream, entry) in entries {
                    self.cache.insert(stream, entry);
                }
                let mut jobs = Vec::with_capacity(waiting.len());
                for Waiting { job, missing, .. } in waiting {
                    match missing.iter().find_map(|stream| unreadable.get(stream)) {
                        Some(error) => job.answer(Err(error.clone().into())),
                        None => jobs.push(job),
                    }
                }
                self.decide_all(jobs);
            }
            Err(error) => {
                tracing::warn!(%error, "streams could not be loaded");
                for Waiting { job, .. } in waiting {
                    job.answer(Err(CommandError::Failed(Arc::clone(&error))));
                }
            }
        }
    }

    /// Sends the next batch to the store, unless it is empty or a commit is running. Returns whether it did.
    fn start_commit(&mut self) -> bool {
        if self.next.operations.is_empty() || !self.commits.is_empty() {
            return false;
        }
        metrics::histogram!("daybook_commit_batch_commands")
            .record(f64::from(u32::try_from(self.next.operations.len()).unwrap_or(u32::MAX)));
        let Batch { decided, operations } = mem::take(&mut self.next);
        self.in_flight = decided;
        let commit = commit(self.runtime.clone(), self.book.clone(), self.appender.take(), operations);
        self.commits.push(self.runtime.spawn(commit));
        true
    }

    /// Answers the commands of a batch after its commit. A command in conflict is decided again. So are the commands that were decided
    /// since, because they may rest on it.
    fn settle(&mut self, committed: Option<Committed<B::Session>>) {
        let in_flight = mem::take(&mut self.in_flight);
        let Some(Committed { appender, operations, outcomes }) = committed else {
            tracing::error!("a commit was lost");
            return self.start_over(in_flight, &CommandError::Lost);
        };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                tracing::warn!(%error, "a batch failed; a retry of its commands shows whether it is in the book");
                return self.start_over(in_flight, &CommandError::Failed(Arc::new(error)));
            }
        };
        self.appender = appender;
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
        self.cache.shrink();
    }

    /// Handles a batch with an outcome that differs from its decision. Later decisions may rest on it, so they are undone as well.
    fn reconsider(&mut self, in_flight: Vec<Decided>, operations: Vec<Operation>, outcomes: Vec<Outcome>) {
        let stale = in_flight.iter().zip(&outcomes).any(|(decided, outcome)| match outcome {
            Outcome::Conflict { .. } => true,
            // A repeated refusal has written nothing, so no later decision rests on it.
            Outcome::Duplicate { .. } | Outcome::InvalidData { .. } => !decided.written.is_empty(),
            Outcome::Appended { .. } | Outcome::Confirmed => false,
        });
        let undone = if stale { self.undo_next() } else { Vec::new() };
        for (decided, operation, outcome) in all(in_flight, operations, outcomes) {
            match outcome {
                Outcome::Appended { .. } | Outcome::Confirmed => {
                    if let Some((job, stream)) = answer((decided, operation, outcome)) {
                        let book = self.book.clone();
                        self.beside(async move { repeat_first(&book, job, &stream).await });
                    }
                }
                Outcome::Duplicate { first_position, events, same_fingerprint } => {
                    self.forget(&decided.written);
                    self.repeat(decided.job, first_position, events, same_fingerprint);
                }
                Outcome::InvalidData { reason } => {
                    self.forget(&decided.written);
                    decided.job.answer(Err(CommandError::Unwritable(reason)));
                }
                Outcome::Conflict { actual } => {
                    self.forget(&decided.written);
                    self.decide_again(decided.job, actual);
                }
            }
        }
        self.decide_all(undone);
    }

    /// Runs an answer in a task of its own, beside the next decisions. The bus does not stop before that task has ended.
    fn beside(&self, answer: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(self.answers.track_future(answer)));
    }

    /// Answers a command whose id is in the book already.
    fn repeat(&self, job: Job, first_position: i64, events: i32, same_fingerprint: bool) {
        if same_fingerprint {
            self.beside(replay(self.book.clone(), job, first_position, events));
        } else {
            let command_id = job.submission.command_id;
            job.answer(Err(CommandError::KeyReused(command_id)));
        }
    }

    /// Loads the streams that another process has changed or created, and decides the command again after that.
    fn decide_again(&mut self, mut job: Job, actual: Vec<(Arc<str>, i32)>) {
        metrics::counter!("daybook_conflicts_total").increment(1);
        self.conflicts.fetch_add(1, Ordering::Relaxed);
        job.attempts += 1;
        if job.attempts >= self.settings.attempts {
            job.answer(Err(CommandError::Contended));
            return;
        }
        for (stream, _) in &actual {
            self.cache.forget(stream);
        }
        let missing = actual.into_iter().map(|(stream, _)| stream.into()).collect();
        self.wanted.push(Waiting { job, missing, others: Vec::new() });
    }

    /// Undoes the decisions of the next batch, which is not sent yet.
    fn undo_next(&mut self) -> Vec<Job> {
        let Batch { decided, .. } = mem::take(&mut self.next);
        let undone = decided.into_iter().map(|Decided { job, written, .. }| {
            self.forget(&written);
            job
        });
        undone.collect()
    }

    /// Starts over after the store has failed. The commands of the batch get the error, and the others are decided again.
    fn start_over(&mut self, in_flight: Vec<Decided>, error: &CommandError) {
        self.cache.clear();
        for Decided { job, .. } in in_flight {
            job.answer(Err(error.clone()));
        }
        let again = self.undo_next();
        self.decide_all(again);
    }

    fn forget(&mut self, streams: &[StreamName]) {
        for stream in streams {
            self.cache.forget(stream.as_str());
        }
    }
}

/// The commands of a batch, each with its operation and its outcome.
fn all(
    decided: Vec<Decided>,
    operations: Vec<Operation>,
    outcomes: Vec<Outcome>,
) -> impl Iterator<Item = (Decided, Operation, Outcome)> {
    let committed = decided.into_iter().zip(operations).zip(outcomes);
    committed.map(|((decided, operation), outcome)| (decided, operation, outcome))
}

const fn as_decided(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Appended { .. } | Outcome::Confirmed)
}

async fn commit<B: Store>(
    runtime: impl Runtime,
    book: B,
    appender: Option<Appender<B::Session>>,
    operations: Vec<Operation>,
) -> Committed<B::Session> {
    let connected = match appender {
        Some(appender) => Ok(appender),
        None => book.appender().await,
    };
    match connected {
        Ok(mut appender) => {
            let outcomes = appender.append(&operations).await;
            let appender = outcomes.is_ok().then_some(appender);
            Committed { appender, operations, outcomes }
        }
        Err(error) => {
            runtime.sleep(RECONNECT_AFTER).await;
            Committed { appender: None, operations, outcomes: Err(error) }
        }
    }
}
