//! The worker: claims reactions that are due, and sends their commands over the bus.

use std::{pin::pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use daybook_bus::{Bus, Clock, CommandError, Receipt, Submission};
use daybook_domain::{Actor, Command, text::stored};
use daybook_event_store::{Daybook, StoreError};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    queue::{self, Answered, Claimed, Outcome},
    reactor::Reactor,
    wake::Waker,
};

/// The pause after the first failure of a reaction. It doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause of a reaction that is itself the cause of its failures.
const LONGEST_PAUSE_PARKED: Duration = Duration::from_secs(300);
/// The shortest pause between two looks at the table.
const SHORTEST_POLL: Duration = Duration::from_millis(10);

/// For how long a reaction may be due while all is well or has just recovered. It is the lease of a worker that was killed, and the
/// longest pause after a failure.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(120);

/// How reactions are sent.
#[derive(Debug, Clone)]
pub struct ReactorSettings {
    /// How long a worker has a reaction to itself. After a crash another worker takes it then.
    pub lease: Duration,
    /// The most reactions that are sent at once.
    pub batch: usize,
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

/// What a worker does after it has looked at the table.
struct Look {
    /// The reactions to send.
    claimed: Vec<Claimed>,
    /// How many reactions may be unanswered when it looks again, unless the pause is over.
    unanswered: usize,
    pause: Duration,
}

impl Worker {
    /// Sends reactions until it is stopped. What is under way then is finished. A reaction without an answer holds up no other: each is
    /// ended when it is answered, and others are claimed meanwhile.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let names: Vec<&str> = self.reactors.iter().map(|reactor| reactor.name).collect();
        let mut sending = FuturesUnordered::new();
        while !stop.is_cancelled() {
            let look = self.look(&names, sending.len()).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the table of reactions does not answer; it is tried again");
                Look { claimed: Vec::new(), unanswered: 0, pause: FIRST_PAUSE }
            });
            sending.extend(look.claimed.into_iter().map(|claimed| self.send(claimed)));
            let mut pause = pin!(tokio::time::sleep(look.pause));
            loop {
                tokio::select! {
                    Some(answered) = sending.next() => {
                        self.end(answered, &mut sending).await;
                        if sending.len() <= look.unanswered {
                            break;
                        }
                    }
                    () = &mut pause => break,
                    () = self.waker.woken() => break,
                    () = stop.cancelled() => break,
                }
            }
        }
        while let Some(answered) = sending.next().await {
            self.end(answered, &mut sending).await;
        }
    }

    /// Claims what is due, as far as there is room for it.
    async fn look(&self, reactors: &[&str], unanswered: usize) -> Result<Look, StoreError> {
        let ReactorSettings { lease, batch, poll } = self.settings;
        let room = batch.saturating_sub(unanswered);
        let mut claimed = Vec::new();
        if room > 0 {
            let limit = i64::try_from(room).unwrap_or(i64::MAX);
            claimed = queue::claim(&self.book, reactors, self.clock.database_now(), lease, limit).await?;
        }
        // There may be more, for which there is no room yet.
        if claimed.len() == room {
            return Ok(Look { claimed, unanswered: batch / 2, pause: poll });
        }
        let pause = self.pause(reactors).await?;
        Ok(Look { claimed, unanswered: 0, pause })
    }

    /// How long nothing is due, as far as is known.
    async fn pause(&self, reactors: &[&str]) -> Result<Duration, StoreError> {
        let (upcoming, now) = (queue::upcoming(&self.book, reactors).await?, self.clock.database_now());
        for reactor in &upcoming {
            let due = reactor.planned.map(|planned| (now - planned).max(TimeDelta::zero())).unwrap_or_default();
            metrics::gauge!("daybook_reactions_due_seconds", "reactor" => reactor.reactor.clone())
                .set(due.as_seconds_f64());
        }
        let poll = self.settings.poll;
        Ok(match upcoming.iter().filter_map(|reactor| reactor.next).min() {
            None => poll,
            Some(next) => (next - now).to_std().unwrap_or_default().min(poll).max(SHORTEST_POLL),
        })
    }

    /// Ends a reaction, together with those that were answered meanwhile.
    async fn end(
        &self,
        first: Option<Answered>,
        sending: &mut FuturesUnordered<impl Future<Output = Option<Answered>>>,
    ) {
        let mut answered: Vec<Answered> = first.into_iter().collect();
        while let Some(Some(next)) = sending.next().now_or_never() {
            answered.extend(next);
        }
        if let Err(error) = queue::end(&self.book, &answered).await {
            tracing::warn!(%error, "reactions could not be ended; they are sent again, with the same ids, after their leases");
        }
    }

    /// Sends a reaction. Returns nothing where it has no answer for half of the lease. Its outcome is unknown then, and it is sent again
    /// after the lease, with the same id.
    async fn send(&self, claimed: Claimed) -> Option<Answered> {
        let Claimed { id, attempts, .. } = claimed;
        let known = self.reactors.iter().find(|reactor| reactor.name == claimed.reactor);
        let (outcome, label) = match known.map(|reactor| (reactor, submission(claimed, reactor))) {
            Some((reactor, Ok(submission))) => {
                match tokio::time::timeout(self.settings.lease / 2, self.bus.execute_patiently(submission)).await {
                    Ok(answer) => {
                        let (outcome, label) = self.outcome(reactor, id, attempts, answer);
                        (Some(outcome), label)
                    }
                    Err(_) => {
                        tracing::warn!(
                            reactor = reactor.name,
                            "a reaction has no answer; it is sent again after its lease"
                        );
                        (None, "unanswered")
                    }
                }
            }
            // Another version of this program has written it. It waits for that version.
            Some((_, Err(reason))) => (Some(self.failed(id, attempts, reason, true)), "failed"),
            // Not claimed for any other reactor.
            None => (Some(self.failed(id, attempts, "this program has no such reactor".to_owned(), true)), "failed"),
        };
        let reactor = known.map_or("unknown", |reactor| reactor.name);
        metrics::counter!("daybook_reactions_total", "reactor" => reactor, "outcome" => label).increment(1);
        outcome.map(|outcome| Answered { id, attempts, outcome })
    }

    /// Accepted and refused are done, unless the refusal says when to try again. Failed is tried again.
    fn outcome(
        &self,
        reactor: &Reactor,
        id: Uuid,
        attempts: i32,
        answer: Result<Receipt, CommandError>,
    ) -> (Outcome, &'static str) {
        match answer {
            // Only this reaction has this id. Where it was used for another command, an earlier version of this program has sent the
            // reaction in other words, and it was accepted.
            Ok(_) | Err(CommandError::KeyReused(_)) => (Outcome::Done, "accepted"),
            Err(CommandError::Refused { refusal, .. }) => match (reactor.again_at)(&refusal) {
                Some(due) => (Outcome::TooEarly(due), "too_early"),
                None => {
                    tracing::debug!(reactor = reactor.name, %refusal, "a reaction was refused");
                    (Outcome::Done, "refused")
                }
            },
            Err(error) => {
                tracing::warn!(reactor = reactor.name, %error, "a reaction failed; it is tried again");
                let parked = match &error {
                    // A newer program has written to the stream, and takes the command.
                    CommandError::Unreadable(stream) => !stream.is_newer,
                    CommandError::Unwritable(_) => true,
                    _ => false,
                };
                (self.failed(id, attempts, error.to_string(), parked), "failed")
            }
        }
    }

    fn failed(&self, id: Uuid, attempts: i32, reason: String, parked: bool) -> Outcome {
        let longest = if parked { LONGEST_PAUSE_PARKED } else { LONGEST_PAUSE };
        let again = self.clock.database_now().checked_add_signed(pause_after(attempts, id, longest));
        Outcome::Failed { again: again.unwrap_or(DateTime::<Utc>::MAX_UTC), reason, parked }
    }
}

/// The command of a reaction on its way to the bus, or why this program cannot read it.
fn submission(claimed: Claimed, reactor: &Reactor) -> Result<Submission, String> {
    let Claimed { id, command, body, correlation_id, causation_id, .. } = claimed;
    let read =
        stored(|| Command::deserialize(&command, body)).ok_or_else(|| format!("there is no command {command}"))?;
    let command = read.map_err(|error| error.to_string())?;
    let begun = Submission::new(command, id, Actor::System(reactor.name));
    Ok(Submission { correlation_id, causation_id, ..begun })
}

/// The pause after so many attempts: it doubles from one second to the longest. The id spreads it between half and the whole, so that
/// reactions that failed together do not come again together.
fn pause_after(attempts: i32, id: Uuid, longest: Duration) -> TimeDelta {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(16);
    let whole = FIRST_PAUSE.saturating_mul(1 << doublings).min(longest);
    let spread = whole.mul_f64(f64::from(id.as_bytes()[15]) / 512.0);
    TimeDelta::from_std(whole / 2 + spread).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_after_failures_doubles_up_to_a_minute_and_is_spread() {
        let (low, high) = (Uuid::from_u128(0), Uuid::from_u128(u128::MAX));
        let pause = |attempts, id| pause_after(attempts, id, LONGEST_PAUSE);
        assert_eq!(pause(1, low), TimeDelta::milliseconds(500));
        assert_eq!(pause(3, low), TimeDelta::seconds(2));
        assert!(pause(3, high) > pause(3, low) && pause(3, high) <= TimeDelta::seconds(4));
        for attempts in [20, i32::MAX] {
            assert_eq!(pause(attempts, low), TimeDelta::seconds(30));
            assert!(pause(attempts, high) <= TimeDelta::seconds(60));
        }
    }

    #[test]
    fn a_reaction_is_overdue_after_the_lease_and_the_longest_pause() {
        assert_eq!(OVERDUE_AFTER, ReactorSettings::default().lease + LONGEST_PAUSE);
    }
}
