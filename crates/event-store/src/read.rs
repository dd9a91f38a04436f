//! Reading: the whole book, or a stream, at present or as of a time.

use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, TryStreamExt, pin_mut, stream};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use crate::{
    Daybook, StoreError,
    record::{COLUMNS, RecordedEvent},
    sql::JsonText,
};

/// The end of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The position of the last event; 0 in an empty book.
    pub position: i64,
    /// The epoch: the id of the present history. A restored book has another one.
    pub epoch: Uuid,
}

/// Events that were read at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The events, in order.
    pub events: Vec<RecordedEvent>,
    /// Whether the end of the book was reached.
    pub is_last: bool,
}

/// Selects events of the book. The default selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of these types.
    pub types: Option<Vec<String>>,
    /// Only events of this stream.
    pub stream: Option<String>,
    /// Only events of this actor, by its text.
    pub actor: Option<String>,
    /// Only events of this causal chain.
    pub correlation_id: Option<Uuid>,
}

/// How the actors of staff begin.
const STAFF: [&str; 2] = ["admin:", "support:"];
/// The condition of the index of their events. The events of others are not indexed: an append would pay for it.
const OF_STAFF: &str = " AND (actor LIKE 'admin:%' OR actor LIKE 'support:%')";

/// What is true of every event of a chain, whose id is the parameter of this number. It lets PostgreSQL use the two indexes that find
/// them: most chains are one command, which `commands` finds, and the index holds only what others have added to a chain.
fn of_chain(parameter: usize) -> String {
    format!(
        " AND ((correlation_id = ${parameter} AND correlation_id <> causation_id) OR position = ANY (ARRAY(
            SELECT first_position + nr FROM commands, generate_series(0, events - 1) AS nr
            WHERE command_id = ${parameter})))"
    )
}

/// The condition of a filter, and its parameters.
struct Condition<'f> {
    sql: String,
    parameters: Vec<&'f (dyn ToSql + Sync)>,
}

impl<'f> Condition<'f> {
    /// The condition after the first parameters of a statement.
    fn of(filter: &'f Filter, first: [&'f (dyn ToSql + Sync); 2]) -> Self {
        let mut condition = Self { sql: String::new(), parameters: first.to_vec() };
        let Filter { types, stream, actor, correlation_id } = filter;
        if let Some(types) = types {
            condition.and("type = ANY ", types);
        }
        if let Some(stream) = stream {
            condition.and("stream_id = ", stream);
        }
        if let Some(actor) = actor {
            condition.and("actor = ", actor);
            if STAFF.iter().any(|begin| actor.starts_with(begin)) {
                condition.sql += OF_STAFF;
            }
        }
        if let Some(id) = correlation_id {
            condition.and("correlation_id = ", id);
            condition.sql += &of_chain(condition.parameters.len());
        }
        condition
    }

    fn and(&mut self, comparison: &str, parameter: &'f (dyn ToSql + Sync)) {
        self.parameters.push(parameter);
        self.sql += &format!(" AND {comparison}(${})", self.parameters.len());
    }
}

/// The point up to which a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// Up to now.
    Now,
    /// Up to and including this version of the stream.
    Version(i32),
    /// Up to and including what was recorded at this time.
    Time(DateTime<Utc>),
    /// Up to and including this position of the book.
    Position(i64),
}

impl Daybook {
    /// The end of the book.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn head(&self) -> Result<Head, StoreError> {
        let client = self.pool.get().await?;
        let row = client.query_one("SELECT position, epoch FROM head", &[]).await?;
        Ok(Head { position: row.try_get(0)?, epoch: row.try_get(1)? })
    }

    /// Begins another history with a new epoch. Other events will follow the head than followed it before. Call this once on a
    /// restored book, before its first use.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn begin_history(&self) -> Result<Head, StoreError> {
        let client = self.pool.get().await?;
        let sql = "UPDATE head SET epoch = gen_random_uuid() RETURNING position, epoch";
        let row = client.query_one(sql, &[]).await?;
        Ok(Head { position: row.try_get(0)?, epoch: row.try_get(1)? })
    }

    /// The events after a position, in order, at most `limit`. Fewer than `limit` events mean that the end was reached.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn read_after(
        &self,
        after: i64,
        limit: usize,
        filter: &Filter,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let Condition { sql, parameters } = Condition::of(filter, [&after, &limit]);
        let sql = format!("SELECT {COLUMNS} FROM events WHERE position > $1{sql} ORDER BY position LIMIT $2");
        let rows = self.query(&sql, &parameters).await?;
        rows.iter().map(|row| Ok(RecordedEvent::from_row(row)?)).collect()
    }

    /// The events after a position, in order: at most `limit`, and at most `max_bytes` of data beside the last event. So the memory for a page
    /// is bounded, whatever the book holds.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn read_page(&self, after: i64, limit: usize, max_bytes: usize) -> Result<Page, StoreError> {
        let guard = self.cancelled_on_drop().await?;
        let client = guard.client();
        let sql = format!("SELECT {COLUMNS} FROM events WHERE position > $1 ORDER BY position LIMIT $2");
        let statement = client.prepare_cached(&sql).await?;
        let parameters = [after, i64::try_from(limit).unwrap_or(i64::MAX)];
        let rows = client.query_raw(&statement, parameters).await?;
        pin_mut!(rows);
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            let event = RecordedEvent::from_row(&row)?;
            bytes += event.data.len();
            events.push(event);
            if bytes >= max_bytes {
                // The rest of the rows is cancelled with the guard.
                return Ok(Page { events, is_last: false });
            }
        }
        guard.done();
        Ok(Page { is_last: events.len() < limit, events })
    }

    /// The last events before a position, at most `limit`, in order.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn read_before(
        &self,
        before: i64,
        limit: usize,
        filter: &Filter,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let Condition { sql, parameters } = Condition::of(filter, [&before, &limit]);
        let sql = format!("SELECT {COLUMNS} FROM events WHERE position < $1{sql} ORDER BY position DESC LIMIT $2");
        let rows = self.query(&sql, &parameters).await?;
        rows.iter().rev().map(|row| Ok(RecordedEvent::from_row(row)?)).collect()
    }

    /// The events at these positions, in order. Positions that the book does not have are ignored.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn read_at(&self, positions: &[i64]) -> Result<Vec<RecordedEvent>, StoreError> {
        let client = self.pool.get().await?;
        let sql = format!("SELECT {COLUMNS} FROM events WHERE position = ANY ($1) ORDER BY position");
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&positions]).await?;
        rows.iter().map(|row| Ok(RecordedEvent::from_row(row)?)).collect()
    }

    /// The events of a stream after a version and up to a point, in order.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn read_stream(
        &self,
        stream_id: &str,
        after_version: i32,
        as_of: AsOf,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let (bound, parameter): (&str, &(dyn ToSql + Sync)) = match &as_of {
            AsOf::Now => ("$3::int = 0", &0),
            AsOf::Version(version) => ("version <= $3", version),
            AsOf::Time(time) => ("recorded_at <= $3", time),
            AsOf::Position(position) => ("position <= $3", position),
        };
        let sql =
            format!("SELECT {COLUMNS} FROM events WHERE stream_id = $1 AND version > $2 AND {bound} ORDER BY version");
        let rows = self.query(&sql, &[&stream_id, &after_version, parameter]).await?;
        rows.iter().map(|row| Ok(RecordedEvent::from_row(row)?)).collect()
    }

    /// The rows of a statement, which is cancelled when its caller goes away.
    async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        let guard = self.cancelled_on_drop().await?;
        let client = guard.client();
        let rows = async { client.query(&client.prepare_cached(sql).await?, parameters).await };
        let rows = rows.await;
        guard.done();
        Ok(rows?)
    }

    /// The events after `after` up to and including `up_to`, in order, streamed by binary COPY: the fastest way to read
    /// a large part of the book.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed, at the start or later.
    pub async fn scan(
        &self,
        after: i64,
        up_to: i64,
    ) -> Result<impl Stream<Item = Result<RecordedEvent, StoreError>> + Send + use<>, StoreError> {
        self.scan_where(after, up_to, "true").await
    }

    /// Like [`Self::scan`], for the streams whose name begins with one of these prefixes and a `-`.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed, at the start or later.
    pub async fn scan_streams(
        &self,
        after: i64,
        up_to: i64,
        prefixes: &[&str],
    ) -> Result<impl Stream<Item = Result<RecordedEvent, StoreError>> + Send + use<>, StoreError> {
        // A statement without parameters, so they are quoted here.
        let begins = |prefix: &&str| format!("starts_with(stream_id, '{}-')", prefix.replace('\'', "''"));
        let wanted = prefixes.iter().map(begins).collect::<Vec<_>>().join(" OR ");
        self.scan_where(after, up_to, if wanted.is_empty() { "false" } else { &wanted }).await
    }

    async fn scan_where(
        &self,
        after: i64,
        up_to: i64,
        wanted: &str,
    ) -> Result<impl Stream<Item = Result<RecordedEvent, StoreError>> + Send + use<>, StoreError> {
        let client = self.pool.get().await?;
        let sql = format!(
            "COPY (SELECT {COLUMNS} FROM events WHERE position > {after} AND position <= {up_to} AND ({wanted})
                   ORDER BY position)
             TO STDOUT (FORMAT binary)"
        );
        let rows = tokio_postgres::binary_copy::BinaryCopyOutStream::new(client.copy_out(&sql).await?, &COPIED);
        // The stream owns the connection, and returns it to the pool at its end.
        let rows = Box::pin(rows);
        Ok(stream::try_unfold((rows, client), |(mut rows, client)| async move {
            match rows.try_next().await? {
                Some(row) => Ok(Some((copied(&row)?, (rows, client)))),
                None => Ok(None),
            }
        })
        .boxed())
    }
}

/// The types of the columns, for COPY, which does not send them.
const COPIED: [Type; 14] = [
    Type::INT8,
    Type::TEXT,
    Type::INT4,
    Type::TEXT,
    Type::INT2,
    Type::UUID,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::UUID,
    Type::UUID,
    Type::TEXT,
    Type::TEXT,
    Type::UUID,
    Type::JSON,
];

fn copied(row: &tokio_postgres::binary_copy::BinaryCopyOutRow) -> Result<RecordedEvent, StoreError> {
    Ok(RecordedEvent {
        position: row.try_get(0)?,
        stream_id: row.try_get(1)?,
        version: row.try_get(2)?,
        event_type: row.try_get(3)?,
        schema_version: row.try_get(4)?,
        event_id: row.try_get(5)?,
        recorded_at: row.try_get(6)?,
        effective_at: row.try_get(7)?,
        correlation_id: row.try_get(8)?,
        causation_id: row.try_get(9)?,
        actor: row.try_get(10)?,
        trace: row.try_get(11)?,
        key_id: row.try_get(12)?,
        data: row.try_get::<JsonText>(13)?.0,
    })
}
