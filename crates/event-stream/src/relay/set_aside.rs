//! Events that the relay sets aside: the broker refuses them for good, or no topic is for them.
//!
//! One such event must not hold up the wire. The relay notes it, and publishes a message in its place that carries no data. The chain of
//! the partition stays whole, and consumers take the event from the book. An operator sees the event by its name, and either has it tried
//! again or accepts that the wire does not have it.

use std::collections::HashSet;

use daybook_event_store::{Daybook, StoreError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Serialize;
use tokio_postgres::Client;

use super::{RelayError, checkpoint::Checkpoint};
use crate::topology::{Shard, Topology};

/// An event that the relay has set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Its position in the book.
    pub position: i64,
    /// Its stream.
    pub stream_id: String,
    /// The name of its type.
    pub event_type: String,
    /// Why it is not on the wire.
    pub reason: String,
    /// Whether an operator has accepted that.
    pub skipped: bool,
}

/// Whether the broker, or the client before it, refuses a message for good. Another attempt with the same message would fail, too.
pub(super) fn is_refusal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::MessageBatchTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::InvalidRecord
                | RDKafkaErrorCode::InvalidTimestamp
        )
    )
}

/// Notes an event as set aside.
pub(super) async fn note(book: &Daybook, position: i64, reason: &str, no_topic: bool) -> Result<(), StoreError> {
    let client = book.pool().get().await?;
    client
        .execute(
            "INSERT INTO relay_set_aside (position, stream_id, type, reason, no_topic)
             SELECT position, stream_id, type, $2, $3 FROM events WHERE position = $1
             ON CONFLICT (position) DO UPDATE SET reason = excluded.reason, no_topic = excluded.no_topic",
            &[&position, &reason, &no_topic],
        )
        .await?;
    metrics::counter!("daybook_relay_set_aside_total").increment(1);
    tracing::error!(position, reason, "the relay has set an event aside; `daybook relay status` names it");
    Ok(())
}

/// The positions of the events that are set aside.
pub(super) async fn positions(client: &Client) -> Result<HashSet<i64>, RelayError> {
    let rows = client.query("SELECT position FROM relay_set_aside", &[]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, tokio_postgres::Error>>()?)
}

/// Begins again before the events that an operator wants to be tried again, and before those whose topic this program knows. They are not set
/// aside any more. Partitions without such an event continue where they are. Consumers skip what they have processed.
pub(super) async fn begin_again(
    client: &Client,
    topology: &Topology,
    shards: &[Shard],
    checkpoint: &mut Checkpoint,
) -> Result<(), RelayError> {
    let prefixes: Vec<&str> =
        topology.slices.iter().flat_map(|slice| &slice.stream_prefixes).map(String::as_str).collect();
    let rows = client
        .query(
            "SELECT position, stream_id FROM relay_set_aside
             WHERE retry OR (no_topic AND split_part(stream_id, '-', 1) = ANY ($1)) ORDER BY position DESC",
            &[&prefixes],
        )
        .await?;
    let (mut positions, mut reset) = (Vec::new(), HashSet::new());
    for row in &rows {
        let (position, stream): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
        positions.push(position);
        // Where there is still no topic, the event is set aside again.
        let Ok(shard) = topology.shard_of(stream) else { continue };
        if let Some(last) = checkpoint.published[shard].as_mut().filter(|last| last.position >= position) {
            last.position = position - 1;
            reset.insert(shard);
        }
    }
    let Some(&first) = positions.last() else { return Ok(()) };
    tracing::info!(?positions, "events that were set aside are published again");
    checkpoint.cursor = checkpoint.cursor.min(first - 1);
    checkpoint.begin_again(client, shards, &reset.into_iter().collect::<Vec<_>>()).await?;
    client.execute("DELETE FROM relay_set_aside WHERE position = ANY ($1)", &[&positions]).await?;
    Ok(())
}

/// The events that are set aside, in the order of the book.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn list(book: &Daybook) -> Result<Vec<SetAside>, StoreError> {
    let client = book.pool().get().await?;
    let sql = "SELECT position, stream_id, type, reason, skipped FROM relay_set_aside ORDER BY position";
    let rows = client.query(sql, &[]).await?;
    let listed = rows.iter().map(|row| {
        Ok(SetAside {
            position: row.try_get(0)?,
            stream_id: row.try_get(1)?,
            event_type: row.try_get(2)?,
            reason: row.try_get(3)?,
            skipped: row.try_get(4)?,
        })
    });
    Ok(listed.collect::<Result<_, tokio_postgres::Error>>()?)
}

/// Asks the leader to publish events that are set aside: the one at a position, or all. What the broker still refuses is set aside
/// again. Returns how many there are.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn retry(book: &Daybook, position: Option<i64>) -> Result<u64, StoreError> {
    change(
        book,
        "UPDATE relay_set_aside SET retry = true, skipped = false WHERE $1::bigint IS NULL OR position = $1",
        position,
    )
    .await
}

/// Accepts that events which are set aside are not on the wire: the one at a position, or all. Consumers of this engine have them from the book.
/// Returns how many there are.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn skip(book: &Daybook, position: Option<i64>) -> Result<u64, StoreError> {
    change(
        book,
        "UPDATE relay_set_aside SET skipped = true, retry = false WHERE $1::bigint IS NULL OR position = $1",
        position,
    )
    .await
}

async fn change(book: &Daybook, sql: &str, position: Option<i64>) -> Result<u64, StoreError> {
    Ok(book.pool().get().await?.execute(sql, &[&position]).await?)
}
