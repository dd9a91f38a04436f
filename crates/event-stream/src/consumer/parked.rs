//! Parked streams: what could not be taken in waits here, in order, until somebody has mended the cause.

use std::collections::{HashMap, HashSet};

use daybook_event_store::{AsOf, Daybook, RecordedEvent, StoreError};
use deadpool_postgres::Transaction;
use serde::Serialize;
use tokio_postgres::types::ToSql;

use super::{ConsumerError, Effect};

/// A parked event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParkedEvent {
    /// Who could not take it in.
    pub consumer: String,
    /// Its place in the book.
    pub position: i64,
    /// Its stream.
    pub stream_id: String,
    /// Why.
    pub reason: String,
}

/// What is parked, oldest first.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn list(book: &Daybook) -> Result<Vec<ParkedEvent>, StoreError> {
    let client = book.pool().get().await?;
    let rows = client
        .query("SELECT consumer, position, stream_id, reason FROM parked_events ORDER BY consumer, position", &[])
        .await?;
    let parked = rows.iter().map(|row| {
        Ok(ParkedEvent {
            consumer: row.try_get(0)?,
            position: row.try_get(1)?,
            stream_id: row.try_get(2)?,
            reason: row.try_get(3)?,
        })
    });
    parked.collect()
}

/// Consumers and [`retry`] keep out of each other's way: those share this lock of the consumer's name, this one has it alone.
const LOCK: i32 = 0x7061_726b;

/// Begins a consumer's transaction: nothing is un-parked while it runs, and it does not wait for the disk, since a checkpoint is
/// lost only together with its effect. Returns the streams that are parked.
pub(super) async fn begin(transaction: &Transaction<'_>, consumer: &str) -> Result<HashSet<String>, ConsumerError> {
    let lock = transaction
        .prepare_cached(
            "SELECT pg_advisory_xact_lock_shared($1, hashtext($2)), set_config('synchronous_commit', 'off', true)",
        )
        .await?;
    let parked = transaction.prepare_cached("SELECT DISTINCT stream_id FROM parked_events WHERE consumer = $1").await?;
    // One round trip; still the second statement sees what was committed before the first one had its lock.
    let (lock_parameters, parameters): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 1]) =
        ([&LOCK, &consumer], [&consumer]);
    let (_, rows) =
        futures::try_join!(transaction.query_one(&lock, &lock_parameters), transaction.query(&parked, &parameters))?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Parks events, in the transaction that moves the checkpoint past them.
pub(super) async fn park(
    transaction: &Transaction<'_>,
    consumer: &str,
    events: &[&RecordedEvent],
    poisoned: &HashMap<&str, (i64, String)>,
) -> Result<(), tokio_postgres::Error> {
    const BEHIND: &str = "an earlier event of the stream is parked";
    if events.is_empty() {
        return Ok(());
    }
    let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
    let streams: Vec<&str> = events.iter().map(|event| event.stream_id.as_str()).collect();
    let reason = |event: &&RecordedEvent| match poisoned.get(event.stream_id.as_str()) {
        Some((position, reason)) if *position == event.position => reason.as_str(),
        _ => BEHIND,
    };
    let reasons: Vec<&str> = events.iter().map(reason).collect();
    transaction
        .execute(
            "INSERT INTO parked_events (consumer, position, stream_id, reason)
             SELECT $1, p.position, p.stream_id, p.reason
             FROM unnest($2::bigint[], $3::text[], $4::text[]) AS p (position, stream_id, reason)
             ON CONFLICT DO NOTHING",
            &[&consumer, &positions, &streams, &reasons],
        )
        .await?;
    metrics::counter!("daybook_consumer_parked_total", "consumer" => consumer.to_owned())
        .increment(events.len() as u64);
    Ok(())
}

/// Takes the parked events of a stream in, in order, and un-parks it. Returns how many there were. A running consumer goes on
/// with the stream from there.
///
/// # Errors
/// [`ConsumerError`]; then the stream stays parked as it was.
pub async fn retry(
    book: &Daybook,
    consumer: &str,
    stream_id: &str,
    effect: &impl Effect,
) -> Result<usize, ConsumerError> {
    loop {
        // Read before the transaction, so that nobody holds one connection of the pool while waiting for another.
        let events = book.read_stream(stream_id, 0, AsOf::Now).await?;
        let mut client = book.pool().get().await?;
        let transaction = client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&LOCK, &consumer]).await?;
        let rows = transaction
            .query(
                "DELETE FROM parked_events WHERE consumer = $1 AND stream_id = $2 RETURNING position",
                &[&consumer, &stream_id],
            )
            .await?;
        let positions: HashSet<i64> =
            rows.iter().map(|row| row.try_get(0)).collect::<Result<_, tokio_postgres::Error>>()?;
        if positions.is_empty() {
            return Ok(0);
        }
        let events: Vec<_> = events.into_iter().filter(|event| positions.contains(&event.position)).collect();
        // One was parked since the stream was read.
        if events.len() < positions.len() {
            continue;
        }
        effect.apply(&transaction, &events).await?;
        transaction.commit().await?;
        return Ok(events.len());
    }
}
