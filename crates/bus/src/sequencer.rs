//! The sequencer: the one task that decides commands. It waits for no IO: loads, commits and checks are tasks of their own. Only a
//! batch that keeps losing is decided [while the book is locked](locked).

pub(super) mod locked;
mod refusals;
mod settle;

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use daybook_domain::{Decide, Reads, State, Storefront, StreamName, Streams, authorise};
use daybook_event_store::{Appender, Operation, Outcome, Store, StoreError};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio_util::task::TaskTracker;

use self::refusals::Refusals;
use super::{
    BusSettings, CommandError, Job, Queue, Runtime,
    bases::{Base, Bases},
    cache::Cache,
    decided::{self, Decided, Planned, Unplanned},
    load::{Folded, Loaded, Waiting, Wanted, load},
    turns::Turns,
    vitals::{Signs, refused},
};
use crate::{Clock, WrongClock};

/// How many loads may run at the same time.
const MAX_LOADS: usize = 4;
/// After how many streams a load takes no further command. So a command with few streams waits for few others.
const LOAD_STREAMS: usize = 2_000;
/// After how many streams the sequencer sends what it has decided to the store, before it decides further commands.
const DECIDE_STREAMS: usize = 8_000;
/// After how many conflicts a command is decided while the book is locked.
const LOCK_AFTER: u32 = 3;
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
    /// Whether one of its commands was in conflict so often that the book is locked for it.
    needs_lock: bool,
}

pub(super) struct Sequencer<B: Store, R: Runtime> {
    runtime: R,
    book: B,
    clock: Clock,
    settings: BusSettings,
    storefront: Arc<Storefront>,
    queue: Arc<Queue>,
    conflicts: Arc<AtomicU64>,
    signs: Arc<Signs>,
    cache: Cache,
    /// Committed states of streams that were in conflict.
    bases: Bases,
    /// The next batch: decided, and not sent to the store yet.
    next: Batch,
    /// The commands of the batch that is being committed, without its operations. Empty during no commit.
    in_flight: Vec<Decided>,
    commits: FuturesUnordered<R::Task<Committed<B::Session>>>,
    /// How many batches were sent to the store, and how many of them have ended.
    batches: (u64, u64),
    /// The appender. During a commit, the commit owns it.
    appender: Option<Appender<B::Session>>,
    /// Refusals that have read much.
    refusals: Refusals<B, R>,
    /// Tasks that answer commands, which the sequencer waits for before it stops.
    answers: TaskTracker,
    /// Commands that wait for a load.
    wanted: Turns<Waiting>,
    loads: FuturesUnordered<R::Task<Loaded>>,
}

impl<B: Store, R: Runtime> Drop for Sequencer<B, R> {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl<B: Store, R: Runtime> Sequencer<B, R> {
    pub(super) fn new(
        runtime: R,
        book: B,
        clock: Clock,
        settings: BusSettings,
        (queue, conflicts, signs): (Arc<Queue>, Arc<AtomicU64>, Arc<Signs>),
    ) -> Self {
        let (cache, bases) = (Cache::new(settings.cache_bytes), Bases::new(settings.cache_bytes / 8));
        let storefront = Arc::new(settings.storefront.clone());
        Self {
            runtime,
            book,
            clock,
            settings,
            storefront,
            queue,
            conflicts,
            signs,
            cache,
            bases,
            next: Batch::default(),
            in_flight: Vec::new(),
            commits: FuturesUnordered::new(),
            batches: (0, 0),
            appender: None,
            refusals: Refusals::default(),
            answers: TaskTracker::new(),
            wanted: Turns::default(),
            loads: FuturesUnordered::new(),
        }
    }

    /// Runs until the last handle of the bus is dropped and every queued command is answered.
    pub(super) async fn run(mut self) {
        let mut open = true;
        while open || !self.idle() {
            let room = self.room();
            tokio::select! {
                // A finished commit comes first: the store is idle until the next batch is sent.
                biased;
                Some(committed) = self.commits.next() => self.settle(committed),
                Some(loaded) = self.loads.next() => self.finish_load(loaded),
                Some(checked) = self.refusals.checks.next() => self.finish_check(checked),
                filled = self.queue.filled(), if open && room > 0 => {
                    open = filled;
                    self.decide_queued(room);
                }
            }
            self.start_loads();
            self.start_check();
            if self.next.needs_lock && self.commits.is_empty() {
                self.commit_locked().await;
            } else if self.start_commit() {
                // The commit task runs now, before the commands that have arrived meanwhile are decided.
                tokio::task::yield_now().await;
            }
            self.signs.set_busy(!self.idle());
        }
        self.answers.close();
        self.answers.wait().await;
    }

    fn idle(&self) -> bool {
        let nothing_runs = self.commits.is_empty() && self.loads.is_empty() && self.refusals.is_empty();
        nothing_runs && self.next.operations.is_empty() && self.wanted.is_empty()
    }

    /// How many commands may be taken from the queue.
    fn room(&self) -> usize {
        let in_batch = self.settings.batch.saturating_sub(self.next.operations.len());
        let waiting = self.wanted.len() + self.refusals.len();
        in_batch.min((2 * self.settings.batch).saturating_sub(waiting))
    }

    /// Decides commands of the queue, at most `room`.
    fn decide_queued(&mut self, room: usize) {
        let now = self.clock.trusted();
        let mut read = 0;
        for _ in 0..room {
            let Some(job) = self.queue.pop() else { return };
            read += self.decide(job, now);
            if read > DECIDE_STREAMS {
                return;
            }
        }
    }

    fn decide_all(&mut self, jobs: impl IntoIterator<Item = Job>) {
        let now = self.clock.trusted();
        for job in jobs {
            self.decide(job, now);
        }
    }

    /// Decides one command on the cached state, and applies its events to that state. Returns how many streams it has read.
    fn decide(&mut self, mut job: Job, now: Result<chrono::DateTime<chrono::Utc>, WrongClock>) -> usize {
        let now = match now {
            Ok(now) => now,
            Err(wrong) => {
                job.answer(Err(wrong.into()));
                return 0;
            }
        };
        let (command, actor) = (&job.submission.command, &job.submission.actor);
        let streams = Streams::over(&self.cache);
        let decided = authorise(command, actor, &self.storefront, &streams)
            .and_then(|()| command.decide(&job.context(now, &self.storefront), &streams));
        let count = streams.count();
        job.streams = job.streams.max(u32::try_from(count).unwrap_or(u32::MAX));
        let planned = decided::plan(&job, &streams, decided, now);
        let reads = streams.reads();
        let Planned { operation, decision, unwritten } = match planned {
            Ok(planned) => planned,
            Err(Unplanned::NotLoaded) => {
                let missing = streams.missing();
                let mut reads = Reads::default();
                job.submission.command.reads(&mut reads);
                let others = reads.unloaded(&missing, &self.cache);
                self.wanted.push(job.sender, Waiting { job, missing, others, is_contended: false });
                return count;
            }
            Err(Unplanned::Failed(error)) => {
                job.answer(Err(error));
                return count;
            }
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
        self.add(Decided { job, written, unwritten }, operation);
        count
    }

    /// Adds a decision to the next batch, or to the refusals that are checked beside it.
    fn add(&mut self, decided: Decided, operation: Operation) {
        let is_late = decided.job.attempts >= LOCK_AFTER;
        let is_large = refusals::is_large(&operation, self.settings.check_beside);
        if is_large && !is_late {
            let rests_on = self.batches.0 + u64::from(!self.next.operations.is_empty());
            self.refusals.add(decided, operation, rests_on);
            return;
        }
        // A refusal that reads much would keep the book locked for long.
        self.next.needs_lock |= is_late && !is_large;
        self.next.decided.push(decided);
        self.next.operations.push(operation);
    }

    /// Starts loads while commands wait for some.
    fn start_loads(&mut self) {
        while self.loads.len() < MAX_LOADS {
            let (mut waiting, mut streams) = (Vec::new(), 0);
            while streams < LOAD_STREAMS
                && let Some(next) = self.wanted.pop()
            {
                streams += next.streams();
                waiting.push(next);
            }
            if waiting.is_empty() {
                return;
            }
            let named = waiting.iter().flat_map(|waiting| waiting.missing.iter().chain(&waiting.others));
            let mut wanted: Wanted = named.map(|stream| (stream.clone(), None)).collect();
            for (stream, base) in &mut wanted {
                *base = self.bases.remove(stream);
            }
            let (runtime, book) = (self.runtime.clone(), self.book.clone());
            let load = load(runtime, book, waiting, wanted, self.settings.snapshot_after);
            self.loads.push(self.runtime.spawn(load));
        }
    }

    fn finish_load(&mut self, loaded: Option<Loaded>) {
        let Some(Loaded { waiting, streams }) = loaded else {
            // The task panicked. Its commands are dropped, and their senders get `CommandError::Lost`.
            tracing::error!("a load was lost");
            self.signs.failed();
            return;
        };
        match streams {
            Ok(Folded { entries, unreadable }) => {
                self.signs.stepped();
                let contended = waiting.iter().filter(|waiting| waiting.is_contended);
                let contended: HashSet<_> = contended.flat_map(|waiting| &waiting.missing).cloned().collect();
                for (stream, entry) in entries {
                    if contended.contains(&stream) {
                        self.bases.insert(stream.clone(), Base { state: entry.state.clone(), version: entry.version });
                    }
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
                self.signs.failed();
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
        let operations = self.begin_commit();
        let commit = commit(self.runtime.clone(), self.book.clone(), self.appender.take(), operations);
        self.commits.push(self.runtime.spawn(commit));
        true
    }

    /// Makes the next batch the one in flight, and returns its operations.
    fn begin_commit(&mut self) -> Vec<Operation> {
        metrics::histogram!("daybook_commit_batch_commands")
            .record(f64::from(u32::try_from(self.next.operations.len()).unwrap_or(u32::MAX)));
        let Batch { decided, operations, .. } = mem::take(&mut self.next);
        self.in_flight = decided;
        self.batches.0 += 1;
        operations
    }

    /// Runs an answer in a task of its own, beside the next decisions. The bus does not stop before that task has ended.
    fn beside(&self, answer: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(self.answers.track_future(answer)));
    }

    /// Undoes the decisions that are not sent yet.
    fn undo_next(&mut self) -> Vec<Job> {
        let Batch { decided, .. } = mem::take(&mut self.next);
        let decided = decided.into_iter().chain(self.refusals.take_waiting());
        let undone = decided.map(|Decided { job, written, .. }| {
            forget(&mut self.cache, &written);
            job
        });
        undone.collect()
    }

    /// Removes a stream from the cache. It holds committed events only, so the next load goes on from them.
    fn retire(&mut self, stream: &StreamName) {
        if let Some(entry) = self.cache.forget(stream.as_str()) {
            let (state, version) = (entry.state, entry.version);
            self.bases.insert(stream.clone(), Base { state, version });
        }
    }
}

fn forget(cache: &mut Cache, streams: &[StreamName]) {
    for stream in streams {
        cache.forget(stream.as_str());
    }
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
            // The cause may lie with the connection, such as a statement that has to be prepared again.
            let appender = outcomes.as_ref().is_ok_and(|all| refused(all).is_none()).then_some(appender);
            Committed { appender, operations, outcomes }
        }
        Err(error) => {
            runtime.sleep(RECONNECT_AFTER).await;
            Committed { appender: None, operations, outcomes: Err(error) }
        }
    }
}
