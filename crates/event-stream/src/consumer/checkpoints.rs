//! How far a consumer is in each partition, as it is remembered.

use std::collections::BTreeMap;

use daybook_event_store::Daybook;
use deadpool_postgres::Transaction;

use super::ConsumerError;

/// A partition of a topic.
pub(super) type Partition = (String, i32);

/// How far a consumer is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The offset of the last message that was taken in; -1 before the first.
    pub(super) offset: i64,
    /// The position of the last event that was taken in.
    pub(super) position: i64,
}

impl Checkpoint {
    const START: Self = Self { offset: -1, position: 0 };
}

/// The checkpoints of partitions; those that are new begin at the start.
pub(super) async fn load(
    book: &Daybook,
    consumer: &str,
    partitions: &[Partition],
) -> Result<BTreeMap<Partition, Checkpoint>, ConsumerError> {
    let client = book.pool().get().await?;
    let (topics, numbers): (Vec<&str>, Vec<i32>) = partitions.iter().map(|(topic, nr)| (topic.as_str(), *nr)).unzip();
    client
        .execute(
            "INSERT INTO consumer_checkpoints
             SELECT $1, p.topic, p.partition, $4, $5 FROM unnest($2::text[], $3::int[]) AS p (topic, partition)
             ON CONFLICT DO NOTHING",
            &[&consumer, &topics, &numbers, &Checkpoint::START.offset, &Checkpoint::START.position],
        )
        .await?;
    let rows = client
        .query(
            "SELECT c.topic, c.partition, c.log_offset, c.position
             FROM consumer_checkpoints c JOIN unnest($2::text[], $3::int[]) AS p (topic, partition) USING (topic, partition)
             WHERE c.consumer = $1",
            &[&consumer, &topics, &numbers],
        )
        .await?;
    let checkpoints = rows.iter().map(|row| {
        let checkpoint = Checkpoint { offset: row.try_get(2)?, position: row.try_get(3)? };
        Ok(((row.try_get(0)?, row.try_get(1)?), checkpoint))
    });
    checkpoints.collect()
}

/// Moves checkpoints on, each from what this process believes it to be: whoever else has moved one has taken it over.
pub(super) async fn advance(
    transaction: &Transaction<'_>,
    consumer: &str,
    before: &BTreeMap<Partition, Checkpoint>,
    after: &BTreeMap<Partition, Checkpoint>,
) -> Result<(), ConsumerError> {
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (partition, checkpoint) in after {
        let Some(expected) = before.get(partition) else { return Err(ConsumerError::Fenced) };
        columns.0.push(partition.0.as_str());
        columns.1.push(partition.1);
        columns.2.push(checkpoint.offset);
        columns.3.push(checkpoint.position);
        columns.4.push(expected.position);
    }
    let statement = transaction
        .prepare_cached(
            "UPDATE consumer_checkpoints c SET log_offset = n.log_offset, position = n.position
             FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[])
                  AS n (topic, partition, log_offset, position, expected)
             WHERE c.consumer = $1 AND c.topic = n.topic AND c.partition = n.partition AND c.position = n.expected",
        )
        .await?;
    let moved = transaction
        .execute(&statement, &[&consumer, &columns.0, &columns.1, &columns.2, &columns.3, &columns.4])
        .await?;
    if usize::try_from(moved) == Ok(after.len()) { Ok(()) } else { Err(ConsumerError::Fenced) }
}
