//! Appending: a batch of operations, in one round trip and one transaction.

mod postgres;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use self::postgres::PostgresSession;
use crate::{
    StoreError,
    batch::{AppendUnit, Operation, Outcome},
    resolve::plan,
    session::{KnownCommand, Session, Writing, Written},
};

/// Appends to the book over a connection of its own, one batch at a time. Parallel appends gain nothing, since positions are assigned
/// to one batch after the other.
pub struct Appender<S = PostgresSession> {
    session: S,
    /// For how many rounds all versions and commands are looked up before the write. Normally the unique keys of the book find a
    /// conflict, and only streams that are read and not written are looked up. After a violation the round is repeated with all.
    pessimistic: u8,
}

/// For how many rounds all versions are looked up after a violation of a unique key. While other processes write, the next violation
/// is likely soon.
const PESSIMISTIC_ROUNDS: u8 = 16;

/// The outcome of a round.
enum Round {
    /// The round is committed. Its first event has this position.
    Committed { first_position: i64, recorded_at: DateTime<Utc> },
    /// Nothing was written: these are the versions of the streams, and these commands are in the book already.
    Refused { actual: Vec<(Arc<str>, i32)>, duplicates: Vec<Uuid> },
    /// Nothing was written: one of the append units holds data that the store cannot keep.
    InvalidData { reason: String },
}

impl<S: Session> Appender<S> {
    /// An appender over a session of its own.
    pub const fn over(session: S) -> Self {
        Self { session, pessimistic: 0 }
    }

    /// The session, for calls outside the rounds of a batch.
    pub fn into_session(self) -> S {
        self.session
    }

    /// Locks the head of the book until the end of the next [`append`](Self::append). Nothing that is loaded meanwhile becomes stale.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn lock(&mut self) -> Result<(), StoreError> {
        self.session.lock().await
    }

    /// Unlocks the head, if it is locked.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn unlock(&mut self) -> Result<(), StoreError> {
        self.session.unlock().await
    }

    /// The streams that operations have read at another version than the book's, each with its version in the book. Under the
    /// [lock](Self::lock) an append of operations without such streams has no conflict.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn stale(&mut self, operations: &[Operation]) -> Result<Vec<(Arc<str>, i32)>, StoreError> {
        let none = vec![None; operations.len()];
        let base = plan(operations, &none, &HashMap::new()).base;
        let streams: Vec<&str> = base.iter().map(|(stream, _)| &**stream).collect();
        let actual = self.session.versions(&streams).await?;
        let stale = base.iter().zip(actual).filter(|((_, expected), actual)| expected != actual);
        Ok(stale.map(|((stream, _), actual)| (Arc::clone(stream), actual)).collect())
    }

    /// Appends the operations that are consistent with each other and with the book. Returns an outcome for each operation, in the
    /// same order. An operation that is [`Outcome::Appended`] is durable.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed. Then the outcomes are unknown; a retry with the same command ids shows them. A database
    /// that refuses to write and lives on is an outcome ([`Outcome::NotWritten`]). [`StoreError::UnreadStream`] is a mistake of the caller.
    pub async fn append(&mut self, operations: &[Operation]) -> Result<Vec<Outcome>, StoreError> {
        for operation in operations {
            check(operation)?;
        }
        let mut outcomes: Vec<Option<Outcome>> = operations.iter().map(Operation::too_large).collect();
        let mut known = HashMap::new();
        // How many operations go into one round: all of them, except during a search for invalid data.
        let mut most = usize::MAX;
        loop {
            if outcomes.iter().all(Option::is_some) {
                self.session.unlock().await?;
                return Ok(outcomes.into_iter().flatten().collect());
            }
            let mut plan = plan(operations, &outcomes, &known);
            plan.accepted.truncate(most);
            for (index, conflict) in plan.conflicts {
                outcomes[index] = Some(conflict);
            }
            let accepted: Vec<_> = plan.accepted.iter().map(|&index| &operations[index]).collect();
            let round = match self.round(&plan.base, &accepted).await {
                Err(error) if error.nothing_was_written() => {
                    let refused = || Outcome::NotWritten { reason: error.to_string() };
                    return Ok(outcomes.into_iter().map(|known| known.unwrap_or_else(refused)).collect());
                }
                round => round?,
            };
            match round {
                Round::Committed { first_position, recorded_at } => {
                    fill(&mut outcomes, &plan.accepted, &accepted, first_position, recorded_at);
                    known.clear();
                }
                Round::Refused { actual, duplicates } => {
                    known.extend(actual);
                    self.fill_duplicates(&mut outcomes, operations, &duplicates).await?;
                }
                // Halves are written in order until the invalid operation is alone. So it fails alone, with the operations that rest on it.
                Round::InvalidData { reason } => match plan.accepted[..] {
                    [culprit] => {
                        outcomes[culprit] = Some(Outcome::InvalidData { reason });
                        most = usize::MAX;
                    }
                    _ => most = plan.accepted.len().div_ceil(2),
                },
            }
        }
    }

    async fn round(&mut self, base: &[(Arc<str>, i32)], accepted: &[&Operation]) -> Result<Round, StoreError> {
        let units: Vec<&AppendUnit> = accepted
            .iter()
            .filter_map(|operation| match operation {
                Operation::Write(unit) => Some(unit),
                Operation::Check { .. } => None,
            })
            .collect();
        if units.is_empty() {
            return self.check_only(base, accepted).await;
        }
        let mut everything = self.pessimistic > 0;
        self.pessimistic = self.pessimistic.saturating_sub(1);
        let mut written = self.session.write(&writing(base, accepted, &units, everything)).await?;
        if !everything && written == Written::UniqueViolation {
            everything = true;
            self.pessimistic = PESSIMISTIC_ROUNDS;
            written = self.session.write(&writing(base, accepted, &units, everything)).await?;
        }
        match written {
            Written::Committed { first_position, recorded_at } => Ok(Round::Committed { first_position, recorded_at }),
            Written::Refused { actual: versions, duplicates } => {
                let looked_up = looked_up(base, &units, everything);
                let actual = looked_up.map(|(stream, _)| Arc::clone(stream)).zip(versions).collect();
                Ok(Round::Refused { actual, duplicates })
            }
            Written::UniqueViolation => Err(StoreError::UniqueViolation),
            Written::InvalidData { reason } => Ok(Round::InvalidData { reason }),
        }
    }

    /// A round that writes nothing: it only reads, and takes no lock. The commands are looked up after the versions, so that a command
    /// that was committed in between is found and reported as a duplicate.
    async fn check_only(&mut self, base: &[(Arc<str>, i32)], accepted: &[&Operation]) -> Result<Round, StoreError> {
        let streams: Vec<&str> = base.iter().map(|(stream, _)| &**stream).collect();
        let commands: Vec<(Uuid, &str)> = accepted.iter().map(|operation| operation.command()).collect();
        let ids: Vec<Uuid> = commands.iter().map(|(id, _)| *id).collect();
        let actual = self.session.versions(&streams).await?;
        let mut known = self.session.commands(&ids).await?;
        known.retain(|known| commands.contains(&(known.command_id, &known.scope)));
        let duplicates: Vec<Uuid> = known.into_iter().map(|command| command.command_id).collect();
        if duplicates.is_empty() && actual.iter().eq(base.iter().map(|(_, version)| version)) {
            return Ok(Round::Committed { first_position: 0, recorded_at: DateTime::UNIX_EPOCH });
        }
        let actual = base.iter().map(|(stream, _)| Arc::clone(stream)).zip(actual).collect();
        Ok(Round::Refused { actual, duplicates })
    }

    async fn fill_duplicates(
        &mut self,
        outcomes: &mut [Option<Outcome>],
        operations: &[Operation],
        duplicates: &[Uuid],
    ) -> Result<(), StoreError> {
        if duplicates.is_empty() {
            return Ok(());
        }
        for command in self.session.commands(duplicates).await? {
            let KnownCommand { command_id, scope, fingerprint, first_position, events } = command;
            for (outcome, operation) in outcomes.iter_mut().zip(operations) {
                if outcome.is_none() && operation.command() == (command_id, scope.as_str()) {
                    let same_fingerprint = operation.fingerprint() == fingerprint;
                    *outcome = Some(Outcome::Duplicate { first_position, events, same_fingerprint });
                }
            }
        }
        Ok(())
    }
}

/// What the store has to look up and to write in a round.
fn writing<'a>(
    base: &'a [(Arc<str>, i32)],
    accepted: &[&'a Operation],
    units: &'a [&'a AppendUnit],
    everything: bool,
) -> Writing<'a> {
    let checked = accepted.iter().filter(|operation| everything || matches!(operation, Operation::Check { .. }));
    let commands = checked.map(|operation| operation.command()).collect();
    Writing { streams: looked_up(base, units, everything).collect(), commands, units }
}

/// The streams of the base that are looked up before the write: all of them, or those that no append unit writes to.
fn looked_up<'a>(
    base: &'a [(Arc<str>, i32)],
    units: &[&AppendUnit],
    everything: bool,
) -> impl Iterator<Item = &'a (Arc<str>, i32)> {
    let written: HashSet<Arc<str>> = if everything {
        HashSet::new()
    } else {
        units.iter().flat_map(|unit| &unit.events).map(|event| Arc::clone(&event.stream_id)).collect()
    };
    base.iter().filter(move |(stream, _)| !written.contains(stream))
}

fn check(operation: &Operation) -> Result<(), StoreError> {
    let Operation::Write(unit) = operation else { return Ok(()) };
    let command_id = unit.command_id;
    let unread = unit.events.iter().find(|event| unit.reads.iter().all(|(stream, _)| *stream != event.stream_id));
    match unread {
        Some(event) => Err(StoreError::UnreadStream { command_id, stream_id: event.stream_id.to_string() }),
        None => Ok(()),
    }
}

fn fill(
    outcomes: &mut [Option<Outcome>],
    indices: &[usize],
    accepted: &[&Operation],
    first_position: i64,
    recorded_at: DateTime<Utc>,
) {
    let mut next = first_position;
    for (&index, operation) in indices.iter().zip(accepted) {
        outcomes[index] = Some(match operation {
            Operation::Check { .. } => Outcome::Confirmed,
            Operation::Write(unit) => {
                let first_position = next;
                next += i64::try_from(unit.events.len()).unwrap_or(i64::MAX);
                Outcome::Appended { first_position, versions: last_versions(unit), recorded_at }
            }
        });
    }
}

fn last_versions(unit: &AppendUnit) -> Vec<(Arc<str>, i32)> {
    let mut last: Vec<(Arc<str>, i32)> = Vec::new();
    for (event, version) in unit.events.iter().zip(unit.versions()) {
        match last.iter_mut().find(|(stream, _)| *stream == event.stream_id) {
            Some(entry) => entry.1 = version,
            None => last.push((Arc::clone(&event.stream_id), version)),
        }
    }
    last
}
