//! Appending: a batch of operations, in one round trip and one transaction.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use tokio_postgres::{Client, Row, Statement, error::SqlState};
use uuid::Uuid;

use crate::{
    Daybook, StoreError,
    batch::{AppendUnit, Operation, Outcome},
    chain,
    driver::Driver,
    is_data_error,
    resolve::plan,
    session::{KnownCommand, Session, Writing, Written},
    sql::JsonRef,
};

const APPEND: &str = "SELECT first_position, written_at, actual, duplicates FROM append_batch(\
                      $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
const SESSION: &str = "SET synchronous_commit = on; SET jit = off; SET plan_cache_mode = force_generic_plan";
const VERSIONS: &str = "
    SELECT coalesce(at.version, 0)
    FROM unnest($1::text[]) WITH ORDINALITY AS s (stream_id, nr)
    LEFT JOIN LATERAL (
        SELECT e.version FROM events e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1
    ) AS at ON true
    ORDER BY s.nr";
const COMMANDS: &str =
    "SELECT command_id, fingerprint, first_position, events FROM commands WHERE command_id = ANY ($1)";

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

impl Daybook {
    /// An appender, connected and prepared.
    ///
    /// # Errors
    /// [`StoreError`] when the database is out of reach.
    pub async fn appender(&self) -> Result<Appender, StoreError> {
        let (client, mut driver) = self.connect_driven().await?;
        driver.run(client.batch_execute(SESSION)).await?;
        let append = driver.run(client.prepare(APPEND)).await?;
        let versions = driver.run(client.prepare(VERSIONS)).await?;
        let commands = driver.run(client.prepare(COMMANDS)).await?;
        Ok(Appender::over(PostgresSession { book: self.clone(), client, driver, append, versions, commands }))
    }
}

/// A connection to PostgreSQL to append over.
pub struct PostgresSession {
    book: Daybook,
    client: Client,
    driver: Driver,
    append: Statement,
    versions: Statement,
    commands: Statement,
}

impl Session for PostgresSession {
    async fn write(&mut self, writing: &Writing<'_>) -> Result<Written, StoreError> {
        let mut columns = Columns::of(writing.units);
        (columns.base_streams, columns.base_versions) =
            writing.streams.iter().map(|(stream, version)| (&**stream, *version)).unzip();
        columns.checked_ids.clone_from(&writing.commands);
        let row = match self.driver.run(self.client.query_one(&self.append, &columns.parameters())).await {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => return Ok(Written::UniqueViolation),
            Err(error) if is_data_error(&error) => return Ok(Written::InvalidData { reason: chain(&error) }),
            answer => answer?,
        };
        let Some(first_position) = row.try_get::<_, Option<i64>>(0)? else {
            let duplicates: Option<Vec<Uuid>> = row.try_get(3)?;
            return Ok(Written::Refused { actual: row.try_get(2)?, duplicates: duplicates.unwrap_or_default() });
        };
        let events = writing.units.iter().map(|unit| unit.events.len()).sum::<usize>();
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        self.book.announce(first_position + events - 1);
        Ok(Written::Committed { first_position, recorded_at: row.try_get(1)? })
    }

    async fn versions(&mut self, streams: &[&str]) -> Result<Vec<i32>, StoreError> {
        let rows = self.driver.run(self.client.query(&self.versions, &[&streams])).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    async fn commands(&mut self, ids: &[Uuid]) -> Result<Vec<KnownCommand>, StoreError> {
        let rows = self.driver.run(self.client.query(&self.commands, &[&ids])).await?;
        let command = |row: &Row| {
            let (command_id, fingerprint) = (row.try_get(0)?, row.try_get(1)?);
            let (first_position, events) = (row.try_get(2)?, row.try_get(3)?);
            Ok(KnownCommand { command_id, fingerprint, first_position, events })
        };
        rows.iter().map(command).collect()
    }
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

    /// Appends the operations that are consistent with each other and with the book. Returns an outcome for each operation, in the
    /// same order. An operation that is [`Outcome::Appended`] is durable.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed. Then the outcomes are unknown; a retry with the same command ids shows them.
    /// [`StoreError::UnreadStream`] is a mistake of the caller.
    pub async fn append(&mut self, operations: &[Operation]) -> Result<Vec<Outcome>, StoreError> {
        for operation in operations {
            check(operation)?;
        }
        let mut outcomes: Vec<Option<Outcome>> = vec![None; operations.len()];
        let mut known = HashMap::new();
        // How many operations go into one round: all of them, except during a search for invalid data.
        let mut most = usize::MAX;
        loop {
            if outcomes.iter().all(Option::is_some) {
                return Ok(outcomes.into_iter().flatten().collect());
            }
            let mut plan = plan(operations, &outcomes, &known);
            plan.accepted.truncate(most);
            for (index, conflict) in plan.conflicts {
                outcomes[index] = Some(conflict);
            }
            let accepted: Vec<_> = plan.accepted.iter().map(|&index| &operations[index]).collect();
            match self.round(&plan.base, &accepted).await? {
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
        let command_ids: Vec<Uuid> = accepted.iter().map(|operation| operation.command().0).collect();
        let actual = self.session.versions(&streams).await?;
        let known = self.session.commands(&command_ids).await?;
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
            let KnownCommand { command_id, fingerprint, first_position, events } = command;
            for (outcome, operation) in outcomes.iter_mut().zip(operations) {
                let (own_id, own_fingerprint) = operation.command();
                if outcome.is_none() && own_id == command_id {
                    let same_fingerprint = own_fingerprint == fingerprint;
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
    accepted: &[&Operation],
    units: &'a [&'a AppendUnit],
    everything: bool,
) -> Writing<'a> {
    let checked = accepted.iter().filter(|operation| everything || matches!(operation, Operation::Check { .. }));
    let commands = checked.map(|operation| operation.command().0).collect();
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

/// A batch in the form of the parameters of `append_batch`: one array per column.
#[derive(Default)]
struct Columns<'a> {
    base_streams: Vec<&'a str>,
    base_versions: Vec<i32>,
    checked_ids: Vec<Uuid>,
    command_ids: Vec<Uuid>,
    fingerprints: Vec<&'a [u8]>,
    first_events: Vec<i32>,
    event_counts: Vec<i32>,
    streams: Vec<&'a str>,
    versions: Vec<i32>,
    types: Vec<&'a str>,
    schema_versions: Vec<i16>,
    event_ids: Vec<Uuid>,
    effective: Vec<Option<DateTime<Utc>>>,
    correlation_ids: Vec<Uuid>,
    causation_ids: Vec<Uuid>,
    actors: Vec<&'a str>,
    traces: Vec<Option<&'a str>>,
    key_ids: Vec<Option<Uuid>>,
    data: Vec<JsonRef<'a>>,
}

impl<'a> Columns<'a> {
    fn of(units: &[&'a AppendUnit]) -> Self {
        let mut columns = Self::default();
        for unit in units {
            columns.push(unit);
        }
        columns
    }

    fn push(&mut self, unit: &'a AppendUnit) {
        let count = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
        self.command_ids.push(unit.command_id);
        self.fingerprints.push(&unit.fingerprint);
        self.first_events.push(count(self.types.len()));
        self.event_counts.push(count(unit.events.len()));
        self.versions.extend(unit.versions());
        for event in &unit.events {
            self.streams.push(&event.stream_id);
            self.types.push(&event.event_type);
            self.schema_versions.push(event.schema_version);
            self.event_ids.push(event.event_id);
            self.effective.push(event.effective_at);
            self.correlation_ids.push(unit.correlation_id);
            self.causation_ids.push(unit.causation_id);
            self.actors.push(&unit.actor);
            self.traces.push(unit.trace.as_deref());
            self.key_ids.push(event.key_id);
            self.data.push(JsonRef(&event.data));
        }
    }

    fn parameters(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 19] {
        [
            &self.base_streams,
            &self.base_versions,
            &self.checked_ids,
            &self.command_ids,
            &self.fingerprints,
            &self.first_events,
            &self.event_counts,
            &self.streams,
            &self.versions,
            &self.types,
            &self.schema_versions,
            &self.event_ids,
            &self.effective,
            &self.correlation_ids,
            &self.causation_ids,
            &self.actors,
            &self.traces,
            &self.key_ids,
            &self.data,
        ]
    }
}
