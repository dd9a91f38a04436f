//! The worker: claims reactions that are due, and sends their commands over the bus.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use daybook_bus::{Bus, Clock, CommandError, Receipt, Submission};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, StoreError};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    queue::{self, Claimed, Ended, Ending},
    reactor::Reactor,
    wake::Waker,
};

/// The pause after the first failure of a reaction. It doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The shortest pause between two looks at the table.
const SHORTEST_POLL: Duration = Duration::from_millis(10);

/// How reactions are sent.
#[derive(Debug, Clone)]
pub struct ReactorSettings {
    /// How long a worker has a reaction to itself. After a crash another worker takes it then.
    pub lease: Duration,
    /// The most reactions that are sent at once.
    pub batch: i64,
    /// The longest pause between two looks at the table. Another process may have written to it.
    pub poll: Duration,
}

impl Default for ReactorSettings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), batch: 100, poll: Duration::from_secs(5) }
    }
}

/// Sends the reactions of a process.
pub(super) struct Worker {
    pub(super) book: Daybook,
    pub(super) bus: Bus,
    pub(super) clock: Clock,
    pub(super) settings: ReactorSettings,
    pub(super) waker: Arc<Waker>,
    /// The reactors whose commands it sends.
    pub(super) reactors: Vec<&'static Reactor>,
}

impl Worker {
    /// Sends reactions until it is stopped. What is under way then is finished.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let names: Vec<&str> = self.reactors.iter().map(|reactor| reactor.name).collect();
        while !stop.is_cancelled() {
            let pause = match self.send_due(&names).await {
                // There may be more.
                Ok(sent) if sent > 0 => continue,
                Ok(_) => self.pause(&names).await,
                Err(error) => Err(error),
            };
            let pause = pause.unwrap_or_else(|error| {
                tracing::warn!(%error, "the table of reactions does not answer; it is tried again");
                FIRST_PAUSE
            });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.waker.woken() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// How long nothing is due, as far as is known.
    async fn pause(&self, reactors: &[&str]) -> Result<Duration, StoreError> {
        let poll = self.settings.poll;
        Ok(match queue::next_due(&self.book, reactors).await? {
            None => poll,
            Some(due) => (due - self.clock.now()).to_std().unwrap_or_default().min(poll).max(SHORTEST_POLL),
        })
    }

    /// Sends what is due, at most a batch. Returns how many reactions that were.
    async fn send_due(&self, reactors: &[&str]) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let claimed = queue::claim(&self.book, reactors, now, self.settings.lease, self.settings.batch).await?;
        if claimed.is_empty() {
            return Ok(0);
        }
        let ended = join_all(claimed.into_iter().map(|claimed| self.send(claimed))).await;
        // Where this fails, the leases run out, and the reactions are sent again with the same ids.
        queue::end(&self.book, &ended).await?;
        Ok(ended.len())
    }

    async fn send(&self, claimed: Claimed) -> Ended {
        let Claimed { id, attempts, .. } = claimed;
        let known = self.reactors.iter().find(|reactor| reactor.name == claimed.reactor);
        let (ending, outcome) = match known.map(|reactor| (reactor, submission(claimed, reactor))) {
            Some((reactor, Ok(submission))) => {
                let outcome = self.bus.execute_patiently(submission).await;
                self.ending(reactor, id, attempts, outcome)
            }
            // Another version of this program has written it. It waits for that version.
            Some((_, Err(reason))) => (self.failed(id, attempts, reason), "failed"),
            // Not claimed for any other reactor.
            None => (self.failed(id, attempts, "this program has no such reactor".to_owned()), "failed"),
        };
        let reactor = known.map_or("unknown", |reactor| reactor.name);
        metrics::counter!("daybook_reactions_total", "reactor" => reactor, "outcome" => outcome).increment(1);
        Ended { id, attempts, ending }
    }

    /// Accepted and refused are done, unless the refusal says when to try again. Failed is tried again.
    fn ending(
        &self,
        reactor: &Reactor,
        id: Uuid,
        attempts: i32,
        outcome: Result<Receipt, CommandError>,
    ) -> (Ending, &'static str) {
        match outcome {
            // Only this reaction has this id. Where it was used for another command, an earlier version of this program has sent the
            // reaction in other words, and it was accepted.
            Ok(_) | Err(CommandError::KeyReused(_)) => (Ending::Done, "accepted"),
            Err(CommandError::Refused { refusal, .. }) => match (reactor.again_at)(&refusal) {
                Some(due) => (Ending::Again { due, failure: None }, "too_early"),
                None => {
                    tracing::debug!(reactor = reactor.name, %refusal, "a reaction was refused");
                    (Ending::Done, "refused")
                }
            },
            Err(error) => {
                tracing::warn!(reactor = reactor.name, %error, "a reaction failed; it is tried again");
                (self.failed(id, attempts, error.to_string()), "failed")
            }
        }
    }

    fn failed(&self, id: Uuid, attempts: i32, reason: String) -> Ending {
        let due = self.clock.now().checked_add_signed(pause_after(attempts, id));
        Ending::Again { due: due.unwrap_or(DateTime::<Utc>::MAX_UTC), failure: Some(reason) }
    }
}

/// The command of a reaction on its way to the bus, or why this program cannot read it.
fn submission(claimed: Claimed, reactor: &Reactor) -> Result<Submission, String> {
    let Claimed { id, command, body, correlation_id, causation_id, .. } = claimed;
    let read = Command::deserialize(&command, body).ok_or_else(|| format!("there is no command {command}"))?;
    let command = read.map_err(|error| error.to_string())?;
    let begun = Submission::new(command, id, Actor::System(reactor.name));
    Ok(Submission { correlation_id, causation_id, ..begun })
}

/// The pause after so many attempts: it doubles from one second to five minutes. The id spreads it between half and the whole, so
/// that reactions that failed together do not come again together.
fn pause_after(attempts: i32, id: Uuid) -> TimeDelta {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(16);
    let whole = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let spread = whole.mul_f64(f64::from(id.as_bytes()[15]) / 512.0);
    TimeDelta::from_std(whole / 2 + spread).unwrap_or_default()
}

#[cfg(test)]
mod tests {
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
