//! Callers that never stop: each has one command under way, and sends the next one when it is answered.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

/// What became of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// It was done.
    Done,
    /// A rule said no.
    Refused,
    /// It failed.
    Failed,
}

/// What many callers have seen.
#[derive(Debug)]
pub(super) struct Tally {
    /// Calls that were done.
    pub(super) done: u64,
    /// Calls that were refused.
    pub(super) refused: u64,
    /// Calls that failed.
    pub(super) failed: u64,
    /// How long calls that were done took, in microseconds.
    pub(super) latency: Histogram<u64>,
    /// For how long it was measured: up to the last call that was done.
    pub(super) elapsed: Duration,
}

impl Tally {
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are valid");
        Self { done: 0, refused: 0, failed: 0, latency, elapsed: Duration::ZERO }
    }

    pub(super) fn count(&mut self, call: Call, took: Duration) {
        match call {
            Call::Done => {
                self.done += 1;
                self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            }
            Call::Refused => self.refused += 1,
            Call::Failed => self.failed += 1,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.failed += other.failed;
        self.latency += &other.latency;
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// Calls that were done, a second.
    pub(super) fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let done = self.done as f64;
        done / self.elapsed.as_secs_f64()
    }

    /// A quantile of the latency, in milliseconds.
    pub(super) fn milliseconds(&self, quantile: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a time for people")]
        let micros = self.latency.value_at_quantile(quantile) as f64;
        micros / 1000.0
    }
}

/// Lets callers call for a time. `caller` makes a caller from its number; a caller that says `None` has nothing left to do.
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
            let mut tally = Tally::new();
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
    let mut total = Tally::new();
    while let Some(tally) = callers.join_next().await {
        total.add(&tally.expect("callers do not panic"));
    }
    timer.abort();
    total
}
