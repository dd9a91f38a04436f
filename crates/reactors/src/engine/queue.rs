//! The table of reactions: writing, claiming, and ending them.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use daybook_domain::Command;
use daybook_event_store::{Daybook, StoreError};
use daybook_event_stream::EffectError;
use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::Json;
use uuid::Uuid;

/// A reaction to be written.
pub(super) struct NewReaction {
    pub(super) id: Uuid,
    pub(super) due: DateTime<Utc>,
    pub(super) command: Command,
    pub(super) correlation_id: Uuid,
    pub(super) causation_id: Uuid,
}

/// Sets and cancels reactions of a reactor, each by its key. Returns how many were set.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    reactor: &str,
    changes: &BTreeMap<String, Option<NewReaction>>,
) -> Result<usize, EffectError> {
    let cancelled: Vec<&str> = changes.iter().filter(|(_, set)| set.is_none()).map(|(key, _)| key.as_str()).collect();
    if !cancelled.is_empty() {
        let statement =
            transaction.prepare_cached("DELETE FROM reactions WHERE reactor = $1 AND key = ANY ($2)").await?;
        transaction.execute(&statement, &[&reactor, &cancelled]).await?;
    }
    let sets: Vec<_> = changes.iter().filter_map(|(key, set)| Some((key, set.as_ref()?))).collect();
    if sets.is_empty() {
        return Ok(0);
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
            "INSERT INTO reactions (id, reactor, key, due, command, body, correlation_id, causation_id)
             SELECT s.id, $1, s.key, s.due, s.command, s.body, s.correlation_id, s.causation_id
             FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::json[], $7::uuid[], $8::uuid[])
                 AS s (id, key, due, command, body, correlation_id, causation_id)
             ON CONFLICT (reactor, key) DO UPDATE SET
                 id = excluded.id, due = excluded.due, command = excluded.command, body = excluded.body,
                 correlation_id = excluded.correlation_id, causation_id = excluded.causation_id,
                 attempts = 0, leased_until = NULL, failure = NULL",
        )
        .await?;
    transaction
        .execute(&statement, &[&reactor, &ids, &keys, &dues, &commands, &bodies, &correlations, &causations])
        .await?;
    Ok(sets.len())
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

/// Claims reactions that are due, for as long as the lease. What another worker is claiming is passed over.
pub(super) async fn claim(
    book: &Daybook,
    now: DateTime<Utc>,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let client = book.pool().get().await?;
    let leased_until = chrono::TimeDelta::from_std(lease).ok().and_then(|lease| now.checked_add_signed(lease));
    let statement = client
        .prepare_cached(
            "UPDATE reactions SET leased_until = $2, attempts = attempts + 1
             WHERE id IN (
                 SELECT id FROM reactions WHERE due <= $1 AND (leased_until IS NULL OR leased_until <= $1)
                 ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED
             )
             RETURNING id, reactor, command, body, correlation_id, causation_id, attempts",
        )
        .await?;
    let rows = client.query(&statement, &[&now, &leased_until, &limit]).await?;
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

/// What became of a claimed reaction.
pub(super) enum Ending {
    /// Its command was accepted or refused.
    Done,
    /// It waits until a time: it came too early, or failed.
    Again {
        /// When.
        due: DateTime<Utc>,
        /// Why it failed, if it did.
        failure: Option<String>,
    },
}

/// Ends a claim. A reaction that was replaced or cancelled meanwhile has another id or none, and is left alone.
pub(super) async fn end(book: &Daybook, id: Uuid, ending: &Ending) -> Result<(), StoreError> {
    let client = book.pool().get().await?;
    match ending {
        Ending::Done => {
            let statement = client.prepare_cached("DELETE FROM reactions WHERE id = $1").await?;
            client.execute(&statement, &[&id]).await?;
        }
        Ending::Again { due, failure } => {
            let statement = client
                .prepare_cached(
                    "UPDATE reactions SET due = $2, failure = $3, leased_until = NULL,
                         attempts = CASE WHEN $3::text IS NULL THEN 0 ELSE attempts END
                     WHERE id = $1",
                )
                .await?;
            client.execute(&statement, &[&id, due, failure]).await?;
        }
    }
    Ok(())
}

/// When the next reaction can be claimed, if there is one.
pub(super) async fn next_due(book: &Daybook) -> Result<Option<DateTime<Utc>>, StoreError> {
    let client = book.pool().get().await?;
    // The first reactions by time, of which some may be leased.
    let sql = "SELECT min(greatest(due, coalesce(leased_until, due)))
               FROM (SELECT due, leased_until FROM reactions ORDER BY due LIMIT 1000) AS first";
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_one(&statement, &[]).await?.try_get(0)?)
}

/// How the reactions of a reactor stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The reactor.
    pub reactor: String,
    /// How many reactions wait.
    pub waiting: i64,
    /// How many of them have failed at least once.
    pub failing: i64,
    /// When the next one is due.
    pub next_due: Option<DateTime<Utc>>,
    /// Why one of them has failed last.
    pub failure: Option<String>,
}

/// How the reactions of each reactor stand that has any.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn waiting(book: &Daybook) -> Result<Vec<Waiting>, StoreError> {
    let client = book.pool().get().await?;
    let sql = "SELECT reactor, count(*), count(failure), min(due), max(failure) FROM reactions GROUP BY reactor";
    let rows = client.query(sql, &[]).await?;
    let waiting = rows.iter().map(|row| {
        Ok(Waiting {
            reactor: row.try_get(0)?,
            waiting: row.try_get(1)?,
            failing: row.try_get(2)?,
            next_due: row.try_get(3)?,
            failure: row.try_get(4)?,
        })
    });
    Ok(waiting.collect::<Result<_, tokio_postgres::Error>>()?)
}
