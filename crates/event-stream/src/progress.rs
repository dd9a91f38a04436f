//! Progress: how far consumers are, and whether one has passed a position of the book.
//!
//! What "passed" means is written once, in the SQL function `consumer_position`, because readers of the tables need it too.

use daybook_event_store::{Daybook, StoreError};
use serde::Serialize;

/// How far a consumer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerProgress {
    /// The consumer.
    pub consumer: String,
    /// Everything up to this position has been processed.
    pub position: i64,
    /// How many positions the book is ahead.
    pub lag: i64,
    /// How many events are parked.
    pub parked: i64,
    /// How many events wait for a newer program.
    pub waiting: i64,
}

/// Whether a consumer has processed everything up to a position.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn passed(book: &Daybook, consumer: &str, position: i64) -> Result<bool, StoreError> {
    let client = book.pool().get().await?;
    let statement = client.prepare_cached("SELECT consumer_position($1) >= $2").await?;
    Ok(client.query_one(&statement, &[&consumer, &position]).await?.try_get(0)?)
}

/// How far every consumer is that has ever begun.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn list(book: &Daybook) -> Result<Vec<ConsumerProgress>, StoreError> {
    let client = book.pool().get().await?;
    let rows = client
        .query(
            "SELECT c.consumer, p.position, greatest(h.position - p.position, 0), e.parked, e.waiting
             FROM (SELECT DISTINCT consumer FROM consumer_checkpoints) AS c
             CROSS JOIN LATERAL consumer_position(c.consumer) AS p (position)
             CROSS JOIN LATERAL (
                 SELECT count(*) FILTER (WHERE NOT waiting) AS parked, count(*) FILTER (WHERE waiting) AS waiting
                 FROM parked_events WHERE consumer = c.consumer
             ) AS e
             CROSS JOIN head h
             ORDER BY c.consumer",
            &[],
        )
        .await?;
    let progress = rows.iter().map(|row| {
        Ok(ConsumerProgress {
            consumer: row.try_get(0)?,
            position: row.try_get(1)?,
            lag: row.try_get(2)?,
            parked: row.try_get(3)?,
            waiting: row.try_get(4)?,
        })
    });
    progress.collect()
}
