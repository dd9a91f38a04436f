//! The calls of an appender to PostgreSQL.

use chrono::{DateTime, Utc};
use futures::future::join;
use tokio_postgres::{Client, Row, Statement, error::SqlState};
use uuid::Uuid;

use super::Appender;
use crate::{
    Daybook, StoreError,
    batch::AppendUnit,
    chain,
    driver::Driver,
    is_refused_row,
    session::{KnownCommand, Session, Writing, Written},
    sql::JsonRef,
};

const APPEND: &str = "SELECT first_position, written_at, actual, duplicates FROM append_batch(\
                      $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";
const SESSION: &str = "SET synchronous_commit = on; SET jit = off; SET plan_cache_mode = force_generic_plan";
/// A process that is suspended in the middle must not keep others from writing for long.
const LOCK: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '2s'; SELECT FROM head FOR UPDATE";
const VERSIONS: &str = "
    SELECT coalesce(at.version, 0)
    FROM unnest($1::text[]) WITH ORDINALITY AS s (stream_id, nr)
    LEFT JOIN LATERAL (
        SELECT e.version FROM events e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1
    ) AS at ON true
    ORDER BY s.nr";
const COMMANDS: &str =
    "SELECT command_id, scope, fingerprint, first_position, events FROM commands WHERE command_id = ANY ($1)";

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
        let locked = false;
        Ok(Appender::over(PostgresSession { book: self.clone(), client, driver, append, versions, commands, locked }))
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
    /// Whether a transaction is open that has locked the head.
    locked: bool,
}

impl PostgresSession {
    /// Calls `append_batch`. A transaction that has locked the head ends with it, in the same round trip.
    async fn append_batch(&mut self, columns: &Columns<'_>) -> Result<Row, tokio_postgres::Error> {
        let parameters = columns.parameters();
        let append = self.client.query_one(&self.append, &parameters);
        if !std::mem::take(&mut self.locked) {
            return self.driver.run(append).await;
        }
        // The server executes them in this order. After an error of the first it rolls back.
        let (row, committed) = self.driver.run(join(append, self.client.batch_execute("COMMIT"))).await;
        let row = row?;
        committed?;
        Ok(row)
    }
}

impl Session for PostgresSession {
    async fn write(&mut self, writing: &Writing<'_>) -> Result<Written, StoreError> {
        let mut columns = Columns::of(writing.units);
        (columns.base_streams, columns.base_versions) =
            writing.streams.iter().map(|(stream, version)| (&**stream, *version)).unzip();
        (columns.checked_ids, columns.checked_scopes) = writing.commands.iter().copied().unzip();
        let row = match self.append_batch(&columns).await {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => return Ok(Written::UniqueViolation),
            Err(error) if is_refused_row(&error) => return Ok(Written::InvalidData { reason: chain(&error) }),
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
            let (command_id, scope, fingerprint) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let (first_position, events) = (row.try_get(3)?, row.try_get(4)?);
            Ok(KnownCommand { command_id, scope, fingerprint, first_position, events })
        };
        rows.iter().map(command).collect()
    }

    async fn lock(&mut self) -> Result<(), StoreError> {
        self.driver.run(self.client.batch_execute(LOCK)).await?;
        self.locked = true;
        Ok(())
    }

    async fn unlock(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.locked) {
            self.driver.run(self.client.batch_execute("ROLLBACK")).await?;
        }
        Ok(())
    }
}

/// A batch in the form of the parameters of `append_batch`: one array per column.
#[derive(Default)]
struct Columns<'a> {
    base_streams: Vec<&'a str>,
    base_versions: Vec<i32>,
    checked_ids: Vec<Uuid>,
    checked_scopes: Vec<&'a str>,
    command_ids: Vec<Uuid>,
    scopes: Vec<&'a str>,
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
        self.scopes.push(&unit.scope);
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

    fn parameters(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 21] {
        [
            &self.base_streams,
            &self.base_versions,
            &self.checked_ids,
            &self.checked_scopes,
            &self.command_ids,
            &self.scopes,
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
