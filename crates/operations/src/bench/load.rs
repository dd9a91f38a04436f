//! Callers that never pause: each sends its next command when the last one is answered.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

/// The outcome of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// It was accepted.
    Done,
    /// A rule refused it.
    Refused,
    /// It failed.
    Failed,
}

/// The outcomes of many calls.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The accepted calls.
    pub(super) done: u64,
    /// The refused calls.
    pub(super) refused: u64,
    /// The failed calls.
    pub(super) failed: u64,
    /// The duration of each accepted call in microseconds, at most an hour.
    pub(super) took: Vec<u32>,
    /// The duration of the measurement, up to the last accepted call.
    pub(super) elapsed: Duration,
}

impl Tally {
    pub(super) fn count(&mut self, call: Call, took: Duration) {
        match call {
            Call::Done => {
                self.done += 1;
                self.took.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            }
            Call::Refused => self.refused += 1,
            Call::Failed => self.failed += 1,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.failed += other.failed;
        self.took.extend(other.took);
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// The accepted calls a second.
    pub(super) fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let done = self.done as f64;
        done / self.elapsed.as_secs_f64()
    }

    /// The longest duration of an accepted call, in milliseconds.
    pub(super) fn longest(&self) -> f64 {
        self.took.iter().max().map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }

    /// Adds the outcomes of a later run.
    pub(super) fn add_later(&mut self, later: Self) {
        let elapsed = self.elapsed + later.elapsed;
        self.add(later);
        self.elapsed = elapsed;
    }

    /// Percentiles of the duration of accepted calls, in milliseconds. They are 0 when no call was accepted.
    pub(super) fn percentiles<const N: usize>(&self, percents: [usize; N]) -> [f64; N] {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        percents.map(|percent| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
        })
    }
}

/// Runs callers for a time. `caller` makes a caller from its number. A caller that returns `None` has finished.
pub(super) async fn drive<C, F, R>(clients: u32, time: Duration, caller: C) -> Tally
where
    C: Fn(u32) -> F,
    F: FnMut() -> R + Send + 'static,
    R: Future<Output = Option<Call>> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    let begin = Instant::now();
    for number in 0..clients {
        let (mut call, stop) = (caller(number), Arc::clone(&stop));
        callers.spawn(async move {
            let mut tally = Tally::default();
            while !stop.load(Ordering::Relaxed) {
                let sent = Instant::now();
                let Some(outcome) = call().await else { break };
                tally.count(outcome, sent.elapsed());
                if outcome == Call::Done {
                    tally.elapsed = begin.elapsed();
                }
            }
            tally
        });
    }
    let timer = tokio::spawn(async move {
        tokio::time::sleep(time).await;
        stop.store(true, Ordering::Relaxed);
    });
    let mut total = Tally::default();
    while let Some(tally) = callers.join_next().await {
        total.add(tally.expect("callers do not panic"));
    }
    timer.abort();
    total
}
