//! The table of reactions: writing, claiming and ending them, each with one statement for many.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use daybook_domain::Command;
use daybook_event_store::{Daybook, StoreError};
use daybook_event_stream::EffectError;
use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::{error::SqlState, types::Json};
use uuid::Uuid;

/// A reaction to be written.
pub(super) struct NewReaction {
    pub(super) id: Uuid,
    pub(super) due: DateTime<Utc>,
    pub(super) command: Command,
    pub(super) correlation_id: Uuid,
    pub(super) causation_id: Uuid,
}

/// Sets and cancels reactions of a reactor, each by its key.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    reactor: &str,
    changes: &BTreeMap<String, Option<NewReaction>>,
) -> Result<(), EffectError> {
    let cancelled: Vec<&str> = changes.iter().filter(|(_, set)| set.is_none()).map(|(key, _)| key.as_str()).collect();
    if !cancelled.is_empty() {
        // The rows that are set are locked here as well, so that all locks are taken in one order.
        let statement = transaction
            .prepare_cached(
                "WITH locked AS MATERIALIZED (
                     SELECT id, key FROM reactions WHERE reactor = $1 AND key = ANY ($2) ORDER BY key FOR UPDATE
                 )
                 DELETE FROM reactions r USING locked WHERE r.id = locked.id AND locked.key = ANY ($3)",
            )
            .await?;
        let changed: Vec<&str> = changes.keys().map(String::as_str).collect();
        transaction.execute(&statement, &[&reactor, &changed, &cancelled]).await?;
    }
    // In the order of their keys, which is that of the locks.
    let sets: Vec<_> = changes.iter().filter_map(|(key, set)| Some((key, set.as_ref()?))).collect();
    if sets.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = sets.iter().map(|(key, _)| key.as_str()).collect();
    let ids: Vec<Uuid> = sets.iter().map(|(_, set)| set.id).collect();
    let dues: Vec<DateTime<Utc>> = sets.iter().map(|(_, set)| set.due).collect();
    let commands: Vec<&str> = sets.iter().map(|(_, set)| set.command.name()).collect();
    let bodies = sets.iter().map(|(_, set)| serde_json::to_value(&set.command).map(Json));
    let bodies: Vec<Json<Value>> = bodies.collect::<Result<_, _>>()?;
    let correlations: Vec<Uuid> = sets.iter().map(|(_, set)| set.correlation_id).collect();
    let causations: Vec<Uuid> = sets.iter().map(|(_, set)| set.causation_id).collect();
    let statement = transaction
        .prepare_cached(
            "INSERT INTO reactions (id, reactor, key, planned, due, command, body, correlation_id, causation_id)
             SELECT s.id, $1, s.key, s.due, s.due, s.command, s.body, s.correlation_id, s.causation_id
             FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::json[], $7::uuid[], $8::uuid[])
                 AS s (id, key, due, command, body, correlation_id, causation_id)
             ON CONFLICT (reactor, key) DO UPDATE SET
                 id = excluded.id, planned = excluded.planned, due = excluded.due, command = excluded.command,
                 body = excluded.body, correlation_id = excluded.correlation_id, causation_id = excluded.causation_id,
                 attempts = 0, leased_until = NULL, failure = NULL, parked = false",
        )
        .await?;
    transaction
        .execute(&statement, &[&reactor, &ids, &keys, &dues, &commands, &bodies, &correlations, &causations])
        .await?;
    Ok(())
}

/// A reaction in the hands of a worker.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) id: Uuid,
    pub(super) reactor: String,
    pub(super) command: String,
    pub(super) body: Value,
    pub(super) correlation_id: Uuid,
    pub(super) causation_id: Uuid,
    /// How often it was claimed, this time included.
    pub(super) attempts: i32,
}

/// Claims reactions: the first ones by time of each reactor, and of those the first ones of all. Only rows of these reactors are read. The
/// rows are chosen once, in a query of its own: as a condition of the update, PostgreSQL may run it more than once and claim too many.
pub(super) const CLAIM: &str = "
    WITH chosen AS MATERIALIZED (
        SELECT of_one.id FROM unnest($4::text[]) AS wanted (name)
        CROSS JOIN LATERAL (
            SELECT id, due FROM reactions
            WHERE reactor = wanted.name AND due <= $1 AND (leased_until IS NULL OR leased_until <= $1)
            ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED
        ) AS of_one
        ORDER BY of_one.due LIMIT $3
    )
    UPDATE reactions r SET leased_until = $2, attempts = attempts + 1 FROM chosen WHERE r.id = chosen.id
    RETURNING r.id, r.reactor, r.command, r.body, r.correlation_id, r.causation_id, r.attempts";

/// Claims reactions of these reactors that are due, for as long as the lease. What another worker is claiming is passed over. What
/// belongs to a reactor of another version of this program waits for that program.
pub(super) async fn claim(
    book: &Daybook,
    reactors: &[&str],
    now: DateTime<Utc>,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let client = book.pool().get().await?;
    let leased_until = chrono::TimeDelta::from_std(lease).ok().and_then(|lease| now.checked_add_signed(lease));
    let statement = client.prepare_cached(CLAIM).await?;
    let rows = client.query(&statement, &[&now, &leased_until, &limit, &reactors]).await?;
    let claimed = rows.iter().map(|row| {
        Ok(Claimed {
            id: row.try_get(0)?,
            reactor: row.try_get(1)?,
            command: row.try_get(2)?,
            body: row.try_get::<_, Json<Value>>(3)?.0,
            correlation_id: row.try_get(4)?,
            causation_id: row.try_get(5)?,
            attempts: row.try_get(6)?,
        })
    });
    Ok(claimed.collect::<Result<_, tokio_postgres::Error>>()?)
}

/// The outcome of a reaction that was sent.
pub(super) enum Outcome {
    /// Its command was accepted or refused.
    Done,
    /// It came too early. It is planned for a later time.
    TooEarly(DateTime<Utc>),
    /// It failed.
    Failed {
        /// When to try it again.
        again: DateTime<Utc>,
        /// Why.
        reason: String,
        /// Whether the cause is the reaction itself.
        parked: bool,
    },
}

/// A claimed reaction with its outcome.
pub(super) struct Answered {
    pub(super) id: Uuid,
    /// As claimed. It differs where the lease has run out and another worker has claimed the reaction since.
    pub(super) attempts: i32,
    pub(super) outcome: Outcome,
}

/// How often the end of claims is tried again after a deadlock. The engine locks in one order. A transaction of another program may not.
const DEADLOCKS: u32 = 5;

/// Ends claims. A reaction that was replaced or cancelled meanwhile has another id or none, and is left alone.
pub(super) async fn end(book: &Daybook, answered: &[Answered]) -> Result<(), StoreError> {
    let mut deadlocks = 0;
    loop {
        match end_once(book, answered).await {
            Err(StoreError::Database(error))
                if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) && deadlocks < DEADLOCKS =>
            {
                deadlocks += 1;
                tracing::warn!("the end of reactions was in a deadlock; it is tried again");
            }
            ended => return ended,
        }
    }
}

async fn end_once(book: &Daybook, answered: &[Answered]) -> Result<(), StoreError> {
    let client = book.pool().get().await?;
    let (mut done, mut again) = (Vec::new(), Vec::new());
    for Answered { id, attempts, outcome } in answered {
        match outcome {
            Outcome::Done => done.push(*id),
            Outcome::TooEarly(due) => again.push((*id, *attempts, *due, None, false)),
            Outcome::Failed { again: due, reason, parked } => {
                again.push((*id, *attempts, *due, Some(reason.as_str()), *parked));
            }
        }
    }
    if !done.is_empty() {
        let statement = client
            .prepare_cached(
                "WITH locked AS MATERIALIZED (
                     SELECT id FROM reactions WHERE id = ANY ($1) ORDER BY reactor, key FOR UPDATE
                 )
                 DELETE FROM reactions r USING locked WHERE r.id = locked.id",
            )
            .await?;
        client.execute(&statement, &[&done]).await?;
    }
    if !again.is_empty() {
        let ids: Vec<Uuid> = again.iter().map(|(id, ..)| *id).collect();
        let attempts: Vec<i32> = again.iter().map(|(_, attempts, ..)| *attempts).collect();
        let dues: Vec<DateTime<Utc>> = again.iter().map(|(_, _, due, ..)| *due).collect();
        let failures: Vec<Option<&str>> = again.iter().map(|(.., failure, _)| *failure).collect();
        let parked: Vec<bool> = again.iter().map(|(.., parked)| *parked).collect();
        let statement = client
            .prepare_cached(
                "WITH locked AS MATERIALIZED (
                     SELECT id FROM reactions WHERE id = ANY ($1) ORDER BY reactor, key FOR UPDATE
                 )
                 UPDATE reactions r SET
                     planned = CASE WHEN a.failure IS NULL THEN a.due ELSE r.planned END,
                     due = a.due, leased_until = NULL, failure = a.failure, parked = a.parked
                 FROM locked JOIN unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::text[], $5::bool[])
                     AS a (id, attempts, due, failure, parked) USING (id)
                 WHERE r.id = locked.id AND r.attempts = a.attempts",
            )
            .await?;
        client.execute(&statement, &[&ids, &attempts, &dues, &failures, &parked]).await?;
    }
    Ok(())
}

/// When a reactor sends next, and what it has not sent. Both stand at the head of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// The reactor.
    pub reactor: String,
    /// When its next reaction can be claimed, if it has one.
    pub next: Option<DateTime<Utc>>,
    /// The earliest time for which one of its reactions is planned. A failure does not change it. Parked reactions do not count.
    pub planned: Option<DateTime<Utc>>,
}

/// What comes next, for each of these reactors.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn upcoming(book: &Daybook, reactors: &[&str]) -> Result<Vec<Upcoming>, StoreError> {
    let client = book.pool().get().await?;
    // Of the first reactions by time, some may be leased. Where a reaction has not failed, it is due when it was planned.
    let statement = client
        .prepare_cached(
            "SELECT wanted.name,
                    (SELECT min(greatest(due, leased_until)) FROM (
                         SELECT due, leased_until FROM reactions WHERE reactor = wanted.name ORDER BY due LIMIT 1000
                     ) AS first),
                    least(
                        (SELECT min(due) FROM reactions WHERE reactor = wanted.name AND NOT parked),
                        (SELECT min(planned) FROM reactions
                         WHERE reactor = wanted.name AND failure IS NOT NULL AND NOT parked)
                    )
             FROM unnest($1::text[]) AS wanted (name)",
        )
        .await?;
    let rows = client.query(&statement, &[&reactors]).await?;
    let upcoming = rows
        .iter()
        .map(|row| Ok(Upcoming { reactor: row.try_get(0)?, next: row.try_get(1)?, planned: row.try_get(2)? }));
    Ok(upcoming.collect::<Result<_, tokio_postgres::Error>>()?)
}

/// How the reactions of a reactor stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The reactor.
    pub reactor: String,
    /// How many reactions wait.
    pub waiting: i64,
    /// How many of them are due.
    pub due: i64,
    /// How many of them have failed at least once.
    pub failing: i64,
    /// When the next one is due.
    pub next_due: Option<DateTime<Utc>>,
    /// Why one of them has failed last.
    pub failure: Option<String>,
}

/// How the reactions of each reactor stand at a time, where it has any.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn waiting(book: &Daybook, now: DateTime<Utc>) -> Result<Vec<Waiting>, StoreError> {
    let client = book.pool().get().await?;
    let sql = "SELECT reactor, count(*), count(*) FILTER (WHERE due <= $1), count(failure), min(due), max(failure)
               FROM reactions GROUP BY reactor ORDER BY reactor";
    let rows = client.query(sql, &[&now]).await?;
    let waiting = rows.iter().map(|row| {
        Ok(Waiting {
            reactor: row.try_get(0)?,
            waiting: row.try_get(1)?,
            due: row.try_get(2)?,
            failing: row.try_get(3)?,
            next_due: row.try_get(4)?,
            failure: row.try_get(5)?,
        })
    });
    Ok(waiting.collect::<Result<_, tokio_postgres::Error>>()?)
}

#[cfg(test)]
mod tests;
