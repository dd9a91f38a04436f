//! Parked streams: what could not be taken in waits here, in order, until somebody has mended the cause.

use std::collections::HashSet;

use daybook_event_store::{AsOf, Daybook, RecordedEvent, StoreError};
use deadpool_postgres::Transaction;
use serde::Serialize;

use super::{ConsumerError, Effect, EffectError};

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

/// The streams that are parked for a consumer.
pub(super) async fn streams(book: &Daybook, consumer: &str) -> Result<HashSet<String>, ConsumerError> {
    let client = book.pool().get().await?;
    let rows = client.query("SELECT DISTINCT stream_id FROM parked_events WHERE consumer = $1", &[&consumer]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Parks events, in the transaction that moves the checkpoint past them.
pub(super) async fn park(
    transaction: &Transaction<'_>,
    consumer: &str,
    events: &[(RecordedEvent, String)],
) -> Result<(), tokio_postgres::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let positions: Vec<i64> = events.iter().map(|(event, _)| event.position).collect();
    let streams: Vec<&str> = events.iter().map(|(event, _)| event.stream_id.as_str()).collect();
    let reasons: Vec<&str> = events.iter().map(|(_, reason)| reason.as_str()).collect();
    transaction
        .execute(
            "INSERT INTO parked_events (consumer, position, stream_id, reason)
             SELECT $1, p.position, p.stream_id, p.reason
             FROM unnest($2::bigint[], $3::text[], $4::text[]) AS p (position, stream_id, reason)
             ON CONFLICT DO NOTHING",
            &[&consumer, &positions, &streams, &reasons],
        )
        .await?;
    metrics::counter!("daybook_consumer_parked_total").increment(events.len() as u64);
    Ok(())
}

/// Takes the parked events of a stream in, in order, and un-parks it. Returns how many there were.
///
/// # Errors
/// [`ConsumerError`]; then the stream stays parked as it was.
pub async fn retry(
    book: &Daybook,
    consumer: &str,
    stream_id: &str,
    effect: &impl Effect,
) -> Result<usize, ConsumerError> {
    let mut client = book.pool().get().await?;
    let transaction = client.transaction().await?;
    let rows = transaction
        .query(
            "DELETE FROM parked_events WHERE consumer = $1 AND stream_id = $2 RETURNING position",
            &[&consumer, &stream_id],
        )
        .await?;
    let positions: HashSet<i64> =
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, tokio_postgres::Error>>()?;
    let events = book.read_stream(stream_id, 0, AsOf::Now).await?;
    let events: Vec<_> = events.into_iter().filter(|event| positions.contains(&event.position)).collect();
    effect.apply(&transaction, &events).await?;
    transaction.commit().await?;
    Ok(events.len())
}

/// Sets a poisoned event and what follows it in its stream aside.
pub(super) fn set_aside(events: &mut Vec<RecordedEvent>, error: &EffectError) -> Option<Vec<(RecordedEvent, String)>> {
    let EffectError::Poison { position, reason } = error else { return None };
    let stream = events.iter().find(|event| event.position == *position)?.stream_id.clone();
    let aside = |event: &RecordedEvent| event.stream_id == stream && event.position >= *position;
    let (parked, rest): (Vec<_>, Vec<_>) = events.drain(..).partition(aside);
    *events = rest;
    Some(parked.into_iter().map(|event| (event, reason.clone())).collect())
}
