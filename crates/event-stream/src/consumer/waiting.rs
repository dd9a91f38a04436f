//! Streams that wait for a program that knows their events.
//!
//! During an upgrade, an older program meets events of a newer one. It sets their streams to waiting, and goes on with the others. A program that
//! knows the events goes on with the streams by itself, at its start and every few seconds. Only the stream waits and not its partition: a
//! program may be rolled back for good, and the shop must not stand still because of one event that is left behind.

use daybook_event_store::{Daybook, RecordedEvent};

use super::{
    ConsumerError, Effect, EffectError,
    parked::{is_blameable, retry},
};

/// Goes on with the streams that wait for a newer program, where this program knows the first event of each that waits: it may be that program.
/// Streams that an older program has parked for an event that it did not know are among them. Returns how many events were processed.
///
/// # Errors
/// [`ConsumerError`]; then the other streams still wait.
pub(super) async fn take_up(book: &Daybook, consumer: &str, effect: &impl Effect) -> Result<usize, ConsumerError> {
    let client = book.pool().get().await?;
    let statement = client
        .prepare_cached(
            "SELECT DISTINCT ON (stream_id) position FROM parked_events
             WHERE consumer = $1 AND (waiting OR reason LIKE 'there is no event type %'
                                      OR reason LIKE 'event type % has no schema version %')
             ORDER BY stream_id, position",
        )
        .await?;
    let rows = client.query(&statement, &[&consumer]).await?;
    drop(client);
    let positions: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, tokio_postgres::Error>>()?;
    if positions.is_empty() {
        return Ok(0);
    }
    let mut processed = 0;
    for event in book.read_at(&positions).await?.iter().filter(|event| effect.knows(event)) {
        match retry(book, consumer, &event.stream_id, effect).await {
            Ok(events) => processed += events,
            // A later event of the stream holds it. The others need not wait for it.
            Err(error @ ConsumerError::Effect(EffectError::Newer { .. })) => {
                tracing::debug!(consumer, stream = event.stream_id, %error, "a stream still waits");
            }
            Err(error) if is_of_event(&error) => give_up_waiting(book, consumer, event, &error).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(processed)
}

/// Whether an error comes from an event, and not from the database.
fn is_of_event(error: &ConsumerError) -> bool {
    matches!(error, ConsumerError::Effect(EffectError::Poison { .. })) || is_blameable(error)
}

/// A stream that waited for this program cannot be processed by it either: it is parked.
async fn give_up_waiting(
    book: &Daybook,
    consumer: &str,
    event: &RecordedEvent,
    error: &ConsumerError,
) -> Result<(), ConsumerError> {
    tracing::error!(consumer, stream = event.stream_id, %error, "a stream that waited is parked");
    let sql = "UPDATE parked_events SET waiting = false, reason = CASE WHEN position = $3 THEN $4 ELSE reason END
               WHERE consumer = $1 AND stream_id = $2";
    let client = book.pool().get().await?;
    client.execute(sql, &[&consumer, &event.stream_id, &event.position, &error.to_string()]).await?;
    Ok(())
}
