//! Progress: how far consumers are, and whether one has passed a position of the book.

use std::collections::BTreeMap;

use daybook_event_store::{Daybook, StoreError};
use serde::Serialize;

/// How far a consumer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerProgress {
    /// The consumer.
    pub consumer: String,
    /// Everything up to this position has been taken in.
    pub position: i64,
    /// How many positions the book is ahead.
    pub lag: i64,
    /// How many events are parked.
    pub parked: i64,
}

/// Everything up to which position a consumer of some topics has taken in: the relay's position where it is up to date with
/// every partition, otherwise what the partition that is furthest behind has come to. Parameters: `$1` the consumer, `$2` its
/// topics.
pub const POSITION_SQL: &str = "
    SELECT least(r.position, coalesce(min(coalesce(c.position, 0)) FILTER (WHERE coalesce(c.position, 0) < p.last_position), r.position))
    FROM relay r
    LEFT JOIN relay_partitions p ON p.topic = ANY ($2)
    LEFT JOIN consumer_checkpoints c ON c.consumer = $1 AND c.topic = p.topic AND c.partition = p.partition
    GROUP BY r.position";

/// Everything up to which position a consumer of some topics has taken in.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn position(book: &Daybook, consumer: &str, topics: &[String]) -> Result<i64, StoreError> {
    let client = book.pool().get().await?;
    let statement = client.prepare_cached(POSITION_SQL).await?;
    Ok(client.query_one(&statement, &[&consumer, &topics]).await?.try_get(0)?)
}

/// How far consumers are, each with its topics.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn progress(
    book: &Daybook,
    consumers: &[(String, Vec<String>)],
) -> Result<Vec<ConsumerProgress>, StoreError> {
    let head = book.head().await?.position;
    let parked = parked_counts(book).await?;
    let mut all = Vec::with_capacity(consumers.len());
    for (consumer, topics) in consumers {
        let position = position(book, consumer, topics).await?;
        let parked = parked.get(consumer).copied().unwrap_or(0);
        all.push(ConsumerProgress { consumer: consumer.clone(), position, lag: (head - position).max(0), parked });
    }
    Ok(all)
}

async fn parked_counts(book: &Daybook) -> Result<BTreeMap<String, i64>, StoreError> {
    let client = book.pool().get().await?;
    let rows = client.query("SELECT consumer, count(*) FROM parked_events GROUP BY consumer", &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
