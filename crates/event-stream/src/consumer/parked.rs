//! Parked streams: events that a consumer cannot process wait here, in order, until the cause is mended.
//!
//! A stream with an event of a newer program is [waiting](super::waiting) and not parked: nothing is wrong with it.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use daybook_event_store::{AsOf, Daybook, Head, StoreError};
use deadpool_postgres::{GenericClient, Transaction};
use serde::Serialize;
use tokio_postgres::types::ToSql;

use super::{ConsumerError, Effect, EffectError};
use crate::SharedEvent;

/// The reason of an event that is parked because of an earlier one.
pub const BEHIND: &str = "an earlier event of the stream is parked";

/// A parked event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParkedEvent {
    /// The consumer that cannot process it.
    pub consumer: String,
    /// Its place in the book.
    pub position: i64,
    /// Its stream.
    pub stream_id: String,
    /// Why.
    pub reason: String,
    /// Whether the stream waits for a newer program.
    pub waiting: bool,
}

/// The parked events and those that wait for a newer program, by consumer, oldest first.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn list(book: &Daybook) -> Result<Vec<ParkedEvent>, StoreError> {
    let client = book.pool().get().await?;
    let rows = client
        .query(
            "SELECT consumer, position, stream_id, reason, waiting FROM parked_events ORDER BY consumer, position",
            &[],
        )
        .await?;
    let parked = rows.iter().map(|row| {
        Ok(ParkedEvent {
            consumer: row.try_get(0)?,
            position: row.try_get(1)?,
            stream_id: row.try_get(2)?,
            reason: row.try_get(3)?,
            waiting: row.try_get(4)?,
        })
    });
    parked.collect()
}

/// The lock of a consumer's name. The consumer's transactions share it, and [`retry`] takes it alone.
const LOCK: i32 = 0x7061_726b;

/// The poisoned streams of a batch, and those with an event of a newer program.
#[derive(Debug, Clone, Default)]
pub struct Poisoned(HashMap<String, Cause>);

/// Why a stream cannot be processed.
#[derive(Debug, Clone)]
struct Cause {
    /// From which position on.
    position: i64,
    reason: String,
    /// Whether a newer program has written the event.
    is_newer: bool,
}

impl Poisoned {
    /// Notes an event that cannot be processed, so that the next attempt parks its stream. Any other error is returned.
    pub(super) fn note(
        &mut self,
        consumer: &str,
        events: &[SharedEvent],
        error: ConsumerError,
    ) -> Result<(), ConsumerError> {
        let cause = match &error {
            ConsumerError::Effect(EffectError::Poison { position, reason }) => {
                Cause { position: *position, reason: reason.clone(), is_newer: false }
            }
            ConsumerError::Effect(EffectError::Newer { position, reason }) => {
                Cause { position: *position, reason: reason.clone(), is_newer: true }
            }
            _ => return Err(error),
        };
        let Cause { position, reason, is_newer } = &cause;
        let event = events.iter().find(|event| event.position == *position);
        // An earlier event of a stream may turn out to be poisoned as well, after the stream was divided.
        let is_earlier =
            |event: &&SharedEvent| self.0.get(&event.stream_id).is_none_or(|known| known.position > *position);
        let Some(event) = event.filter(is_earlier) else { return Err(error) };
        let stream = &event.stream_id;
        if *is_newer {
            tracing::warn!(consumer, stream, position, reason, "a stream waits for a newer program");
        } else {
            tracing::error!(consumer, stream, position, reason, "a stream is parked");
        }
        self.0.insert(stream.clone(), cause);
        Ok(())
    }

    /// An event that is to be parked, with the reason.
    fn parked(&self, consumer: &str, event: &SharedEvent, waiting: &HashSet<String>) -> ParkedEvent {
        let cause = self.0.get(&event.stream_id);
        let reason = cause.filter(|cause| cause.position == event.position).map(|cause| cause.reason.as_str());
        ParkedEvent {
            consumer: consumer.to_owned(),
            position: event.position,
            stream_id: event.stream_id.clone(),
            reason: reason.unwrap_or(BEHIND).to_owned(),
            waiting: cause.map_or_else(|| waiting.contains(&event.stream_id), |cause| cause.is_newer),
        }
    }
}

/// Applies an effect to events, in a transaction that the caller commits. Poisoned streams are parked.
///
/// # Errors
/// [`ConsumerError`]; then nothing was processed.
pub async fn process(
    transaction: &mut Transaction<'_>,
    consumer: &str,
    effect: &impl Effect,
    events: &[SharedEvent],
) -> Result<(), ConsumerError> {
    let mut poisoned = Poisoned::default();
    loop {
        let part = transaction.transaction().await?;
        match attempt(&part, consumer, effect, events, &poisoned).await {
            Ok(()) => return Ok(part.commit().await?),
            Err(error) => {
                // On a broken connection nothing can be rolled back. The error that broke it is returned.
                if part.rollback().await.is_err() {
                    return Err(error);
                }
                let error = if is_blameable(&error) {
                    let mut trial = transaction.transaction().await?;
                    let blamed = blame(&mut trial, consumer, effect, events, &poisoned, error).await;
                    trial.rollback().await?;
                    blamed
                } else {
                    error
                };
                poisoned.note(consumer, events, error)?;
            }
        }
    }
}

/// Whether one event may be to blame for an error: the database has [refused a row](daybook_event_store::is_refused_row), or a row cannot be
/// written or read back.
pub(super) fn is_blameable(error: &ConsumerError) -> bool {
    match error {
        ConsumerError::Effect(EffectError::Database(error)) => daybook_event_store::is_refused_row(error),
        ConsumerError::Effect(EffectError::Row(_)) => true,
        _ => false,
    }
}

/// Finds the event that an error [may be blamed on](is_blameable), and returns it as poison. The events are processed one by one, in a
/// transaction that is rolled back. The error is returned as it is when none of them fails alone.
pub(super) async fn blame<E: Effect>(
    transaction: &mut Transaction<'_>,
    consumer: &str,
    effect: &E,
    events: &[SharedEvent],
    poisoned: &Poisoned,
    failure: ConsumerError,
) -> ConsumerError {
    for event in events {
        let one = std::slice::from_ref(event);
        let tried = async {
            let part = transaction.transaction().await?;
            attempt(&part, consumer, effect, one, poisoned).await?;
            Ok::<_, ConsumerError>(part.commit().await?)
        };
        if let Err(error) = tried.await
            && is_blameable(&error)
        {
            return EffectError::Poison { position: event.position, reason: error.to_string() }.into();
        }
    }
    failure
}

/// Applies an effect to events. Those of parked and poisoned streams are parked instead. After an error the transaction must not be
/// committed.
async fn attempt(
    transaction: &Transaction<'_>,
    consumer: &str,
    effect: &impl Effect,
    events: &[SharedEvent],
    poisoned: &Poisoned,
) -> Result<(), ConsumerError> {
    begin(transaction, consumer).await?.apply(effect, events, poisoned).await
}

/// A consumer's transaction, and what it read when it began.
pub(super) struct ConsumerTransaction<'t> {
    transaction: &'t Transaction<'t>,
    consumer: &'t str,
    /// How far the book goes, and which history it is.
    pub(super) head: Head,
    /// The streams that are parked or wait for a newer program.
    streams: HashSet<String>,
    /// Those that wait.
    waiting: HashSet<String>,
}

impl ConsumerTransaction<'_> {
    /// Applies an effect to events, as [`attempt`] does.
    pub(super) async fn apply(
        self,
        effect: &impl Effect,
        events: &[SharedEvent],
        poisoned: &Poisoned,
    ) -> Result<(), ConsumerError> {
        let (parked, processed) = divide(events, &self.streams, poisoned);
        effect.apply(self.transaction, &processed).await?;
        if !parked.is_empty() {
            let parked = parked.into_iter().map(|event| poisoned.parked(self.consumer, event, &self.waiting));
            let parked: Vec<_> = parked.collect();
            park(self.transaction, self.consumer, &parked).await?;
        }
        Ok(())
    }
}

/// Divides a batch: into the events to park, whose stream is parked or is poisoned from there on, and the events to process.
#[must_use]
pub fn divide<'e>(
    events: &'e [SharedEvent],
    streams: &HashSet<String>,
    poisoned: &Poisoned,
) -> (Vec<&'e SharedEvent>, Cow<'e, [SharedEvent]>) {
    if streams.is_empty() && poisoned.0.is_empty() {
        return (Vec::new(), Cow::Borrowed(events));
    }
    let (parked, rest): (Vec<_>, Vec<_>) = events.iter().partition(|event| {
        let poison = poisoned.0.get(&event.stream_id);
        streams.contains(&event.stream_id) || poison.is_some_and(|cause| event.position >= cause.position)
    });
    (parked, Cow::Owned(rest.into_iter().cloned().collect()))
}

/// Begins a consumer's transaction. Nothing is un-parked while it runs. Its commit does not wait for the disk, because a checkpoint is
/// lost only together with its effect.
pub(super) async fn begin<'t>(
    transaction: &'t Transaction<'t>,
    consumer: &'t str,
) -> Result<ConsumerTransaction<'t>, ConsumerError> {
    let lock = transaction
        .prepare_cached(
            "SELECT pg_advisory_xact_lock_shared($1, hashtext($2)), set_config('synchronous_commit', 'off', true)",
        )
        .await?;
    let found = transaction
        .prepare_cached(
            "SELECT position, epoch, ARRAY(SELECT DISTINCT stream_id FROM parked_events WHERE consumer = $1),
                    ARRAY(SELECT DISTINCT stream_id FROM parked_events WHERE consumer = $1 AND waiting)
             FROM head",
        )
        .await?;
    // One round trip. The second statement still sees what was committed before the first one had its lock.
    let (lock_parameters, parameters): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 1]) =
        ([&LOCK, &consumer], [&consumer]);
    let (_, row) =
        futures::try_join!(transaction.query_one(&lock, &lock_parameters), transaction.query_one(&found, &parameters))?;
    let head = Head { position: row.try_get(0)?, epoch: row.try_get(1)? };
    let streams = row.try_get::<_, Vec<String>>(2)?.into_iter().collect();
    let waiting = row.try_get::<_, Vec<String>>(3)?.into_iter().collect();
    Ok(ConsumerTransaction { transaction, consumer, head, streams, waiting })
}

/// Parks events of a consumer that has processed neither them nor later events of their streams.
///
/// # Errors
/// When the database failed.
pub async fn park(
    client: &impl GenericClient,
    consumer: &str,
    events: &[ParkedEvent],
) -> Result<(), tokio_postgres::Error> {
    let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
    let streams: Vec<&str> = events.iter().map(|event| event.stream_id.as_str()).collect();
    let reasons: Vec<&str> = events.iter().map(|event| event.reason.as_str()).collect();
    let waiting: Vec<bool> = events.iter().map(|event| event.waiting).collect();
    client
        .execute(
            "INSERT INTO parked_events (consumer, position, stream_id, reason, waiting)
             SELECT $1, p.position, p.stream_id, p.reason, p.waiting
             FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bool[]) AS p (position, stream_id, reason, waiting)
             ON CONFLICT DO NOTHING",
            &[&consumer, &positions, &streams, &reasons, &waiting],
        )
        .await?;
    let parked = waiting.iter().filter(|waiting| !**waiting).count();
    metrics::counter!("daybook_consumer_parked_total", "consumer" => consumer.to_owned()).increment(parked as u64);
    Ok(())
}

/// Processes the parked events of a stream, in order, and un-parks the stream. Returns how many events that were. A running consumer
/// continues with the stream from there.
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
        // Read before the transaction, so that this task does not hold one connection of the pool while it waits for another.
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
        let events = events.into_iter().filter(|event| positions.contains(&event.position));
        let events: Vec<SharedEvent> = events.map(Into::into).collect();
        // Another event was parked after the stream was read.
        if events.len() < positions.len() {
            continue;
        }
        effect.apply(&transaction, &events).await?;
        transaction.commit().await?;
        return Ok(events.len());
    }
}
