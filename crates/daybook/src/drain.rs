//! How a process stops: the order of its parts, and the signals that ask for it.
//!
//! 1. Readiness is off, and the seat is given up, so another process decides.
//! 2. The process serves on for the drain delay. Answers close their connections, sockets and streams end.
//! 3. The listener closes, and open requests are answered.
//! 4. The reactors finish what they have sent. The bus answers what is queued.
//! 5. The relay publishes up to the head of the book, and gives up the lead. It leads until then: what was written is published for
//!    requests that read it back, and a standby leads half a second later.
//! 6. The projectors leave their group.
//! 7. The port of operators closes.

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::AbortHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The signals that ask a process to stop: SIGTERM and Ctrl-C.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Handles the signals from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn handle() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Resolves when the process is asked to stop, by Ctrl-C or SIGTERM.
pub async fn asked_to_stop() {
    match Signals::handle() {
        Ok(mut signals) => signals.next().await,
        Err(error) => {
            tracing::error!(%error, "signals cannot be handled");
            std::future::pending::<()>().await;
        }
    }
}

/// A group of parts that stop together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// What starts the other parts.
    Start,
    /// The public port.
    Edge,
    Reactors,
    Bus,
    Relay,
    Projectors,
    /// The port of operators, and the checks behind it.
    Operations,
}

impl Stage {
    /// The order in which they stop.
    pub(crate) const ORDER: [Self; 7] =
        [Self::Start, Self::Edge, Self::Reactors, Self::Bus, Self::Relay, Self::Projectors, Self::Operations];

    /// How long the parts of a stage may take to stop. The sum, with the drain delay, is less than a grace period of 45 s.
    const fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Start | Self::Operations => 1,
            // The server itself waits for 25 s.
            Self::Edge => 26,
            // The relay itself takes 3 s at most.
            Self::Reactors | Self::Relay | Self::Projectors => 3,
            Self::Bus => 4,
        })
    }
}

/// The running parts of a process, by stage. Clones share them.
#[derive(Clone)]
pub(crate) struct Parts(Arc<Shared>);

struct Shared {
    stages: [Running; 7],
    failures: mpsc::UnboundedSender<anyhow::Error>,
    tasks: Mutex<Vec<AbortHandle>>,
}

#[derive(Default)]
struct Running {
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Parts {
    /// No parts yet, and the failures of those that will run.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<anyhow::Error>) {
        let (failures, failed) = mpsc::unbounded_channel();
        (Self(Arc::new(Shared { stages: Default::default(), failures, tasks: Mutex::default() })), failed)
    }

    fn stage(&self, stage: Stage) -> &Running {
        &self.0.stages[stage as usize]
    }

    /// What asks the parts of a stage to stop.
    pub(crate) fn stopped(&self, stage: Stage) -> CancellationToken {
        self.stage(stage).stop.clone()
    }

    /// Runs a part.
    pub(crate) fn spawn(&self, stage: Stage, part: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let task = tokio::spawn(part);
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task.abort_handle());
        let failures = self.0.failures.clone();
        self.stage(stage).tracker.spawn(async move {
            let failed = match task.await {
                Ok(ended) => ended.err(),
                Err(error) if error.is_cancelled() => None,
                Err(error) => Some(error.into()),
            };
            if let Some(error) = failed {
                // Without a receiver the process has ended.
                failures.send(error).ok();
            }
        });
    }

    /// Stops the parts of a stage, and waits for them, but not for ever.
    pub(crate) async fn stop(&self, stage: Stage) {
        let Running { stop, tracker } = self.stage(stage);
        stop.cancel();
        tracker.close();
        if timeout(stage.patience(), tracker.wait()).await.is_err() {
            tracing::warn!(?stage, "a part does not stop in time; the others are stopped all the same");
        }
    }

    /// Drops the parts that have not stopped in time.
    pub(crate) fn abort(&self) {
        let tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(AbortHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_place_in_the_order_and_all_stop_within_the_grace_period() {
        let places: Vec<_> = Stage::ORDER.iter().map(|stage| *stage as usize).collect();
        assert_eq!(places, (0..Stage::ORDER.len()).collect::<Vec<_>>());
        let all: Duration = Stage::ORDER.iter().map(|stage| stage.patience()).sum();
        assert!(all + crate::config::DRAIN_DELAY < Duration::from_secs(47), "{all:?}");
    }

    #[tokio::test]
    async fn parts_stop_by_stage_and_failures_are_reported() {
        let (parts, mut failed) = Parts::new();
        for stage in [Stage::Edge, Stage::Relay] {
            let stop = parts.stopped(stage);
            parts.spawn(stage, async move {
                stop.cancelled().await;
                if stage == Stage::Relay { anyhow::bail!("on the way out") } else { Ok(()) }
            });
        }
        parts.stop(Stage::Edge).await;
        assert!(parts.stage(Stage::Edge).tracker.is_empty() && !parts.stage(Stage::Relay).tracker.is_empty());
        assert!(failed.try_recv().is_err());
        parts.stop(Stage::Relay).await;
        assert_eq!(failed.recv().await.expect("a part has failed").to_string(), "on the way out");
    }
}
