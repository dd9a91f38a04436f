//! The worker: claims reactions that are due, and sends their commands over the bus.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use daybook_bus::{Bus, Clock, CommandError, Submission};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, StoreError};
use futures::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    ReactorSettings,
    queue::{self, Claimed, Ending},
};

/// The actor of commands that the engine sends by itself.
const ENGINE: Actor = Actor::System("reactor");
/// The pause after the first failure of a reaction. It doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

pub(super) struct Worker {
    pub(super) book: Daybook,
    pub(super) bus: Bus,
    pub(super) clock: Clock,
    pub(super) settings: ReactorSettings,
    /// Notified when this process has written reactions.
    pub(super) due: Arc<Notify>,
}

impl Worker {
    /// Sends reactions until it is stopped. What is under way then is finished.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.send_due().await {
                // There may be more.
                Ok(sent) if sent > 0 => continue,
                Ok(_) => self.pause().await,
                Err(error) => {
                    tracing::warn!(%error, "reactions cannot be read; it is tried again");
                    FIRST_PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.due.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// How long nothing is due, as far as is known.
    async fn pause(&self) -> Duration {
        match queue::next_due(&self.book).await {
            Ok(None) => self.settings.poll,
            Ok(Some(due)) => {
                let left = (due - self.clock.now()).to_std().unwrap_or_default();
                left.clamp(Duration::from_millis(10), self.settings.poll)
            }
            Err(_) => FIRST_PAUSE,
        }
    }

    /// Sends what is due, at most a batch. Returns how many reactions it had in hand.
    async fn send_due(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let claimed = queue::claim(&self.book, now, self.settings.lease, self.settings.batch).await?;
        let sent = claimed.len();
        for outcome in join_all(claimed.into_iter().map(|claimed| self.send(claimed))).await {
            // The lease runs out, and the reaction is sent again with the same id.
            if let Err(error) = outcome {
                tracing::warn!(%error, "a reaction could not be ended");
            }
        }
        Ok(sent)
    }

    async fn send(&self, claimed: Claimed) -> Result<(), StoreError> {
        let Claimed { id, reactor, command, body, correlation_id, causation_id, attempts } = claimed;
        let (ending, outcome) = match Command::deserialize(&command, body) {
            Some(Ok(command)) => {
                let mut submission = Submission::new(command, id, ENGINE);
                (submission.correlation_id, submission.causation_id) = (correlation_id, causation_id);
                self.ending(&reactor, id, attempts, self.bus.execute_patiently(submission).await)
            }
            // A newer program has written it. It waits for that program.
            Some(Err(error)) => (self.failed(id, attempts, &error), "failed"),
            None => (self.failed(id, attempts, &format!("there is no command {command}")), "failed"),
        };
        metrics::counter!("daybook_reactions_total", "reactor" => reactor, "outcome" => outcome).increment(1);
        queue::end(&self.book, id, &ending).await
    }

    /// Accepted and refused are done, unless the refusal says when to try again. Failed is tried again.
    fn ending(
        &self,
        reactor: &str,
        id: uuid::Uuid,
        attempts: i32,
        outcome: Result<daybook_bus::Receipt, CommandError>,
    ) -> (Ending, &'static str) {
        match outcome {
            Ok(_) => (Ending::Done, "accepted"),
            Err(CommandError::Refused { refusal, .. }) => {
                let again_at = crate::named(reactor).and_then(|reactor| (reactor.again_at)(&refusal));
                match again_at {
                    Some(due) => (Ending::Again { due, failure: None }, "too_early"),
                    None => {
                        tracing::debug!(reactor, %refusal, "a reaction was refused");
                        (Ending::Done, "refused")
                    }
                }
            }
            Err(error) => {
                tracing::warn!(reactor, %error, "a reaction failed; it is tried again");
                (self.failed(id, attempts, &error), "failed")
            }
        }
    }

    fn failed(&self, id: uuid::Uuid, attempts: i32, error: &impl ToString) -> Ending {
        let due = self.clock.now().checked_add_signed(pause_after(attempts, id));
        Ending::Again { due: due.unwrap_or(DateTime::<Utc>::MAX_UTC), failure: Some(error.to_string()) }
    }
}

/// The pause after so many attempts: it doubles from one second to five minutes. The id spreads it between half and the whole, so
/// that reactions that failed together do not come again together.
fn pause_after(attempts: i32, id: uuid::Uuid) -> TimeDelta {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(16);
    let whole = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let spread = whole.mul_f64(f64::from(id.as_bytes()[15]) / 512.0);
    TimeDelta::from_std(whole / 2 + spread).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_pause_after_failures_doubles_up_to_five_minutes_and_is_spread() {
        let (low, high) = (Uuid::from_u128(0), Uuid::from_u128(u128::MAX));
        assert_eq!(pause_after(1, low), TimeDelta::milliseconds(500));
        assert_eq!(pause_after(3, low), TimeDelta::seconds(2));
        assert!(pause_after(3, high) > pause_after(3, low) && pause_after(3, high) <= TimeDelta::seconds(4));
        for attempts in [20, i32::MAX] {
            assert_eq!(pause_after(attempts, low), TimeDelta::seconds(150));
            assert!(pause_after(attempts, high) <= TimeDelta::seconds(300));
        }
    }
}
