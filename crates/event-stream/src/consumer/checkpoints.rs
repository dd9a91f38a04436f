//! How far a consumer is in each partition, as it is remembered, and whose a partition is.

use daybook_event_store::Daybook;
use deadpool_postgres::Transaction;

use super::ConsumerError;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) topic: String,
    pub(super) nr: i32,
}

/// How far a consumer is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The offset of the last message that was taken in; -1 before the first.
    pub(super) offset: i64,
    /// Every event of the partition up to this position was taken in.
    pub(super) position: i64,
    /// Raised by whoever takes the partition over.
    generation: i64,
}

/// Begins with partitions: those that are new begin at the start.
pub(super) async fn begin(
    book: &Daybook,
    consumer: &str,
    partitions: &[Partition],
) -> Result<Vec<Checkpoint>, ConsumerError> {
    let client = book.pool().get().await?;
    let (topics, numbers): (Vec<&str>, Vec<i32>) = partitions.iter().map(|p| (p.topic.as_str(), p.nr)).unzip();
    client
        .execute(
            "INSERT INTO consumer_checkpoints (consumer, topic, partition, log_offset, position)
             SELECT $1, p.topic, p.partition, -1, 0 FROM unnest($2::text[], $3::int[]) AS p (topic, partition)
             ON CONFLICT DO NOTHING",
            &[&consumer, &topics, &numbers],
        )
        .await?;
    drop(client);
    take(book, consumer, partitions).await
}

/// Takes partitions over, each from where it is: whoever had them before can commit no more. Those of a consumer that was
/// removed meanwhile are not made again: [`ConsumerError::Fenced`].
pub(super) async fn take(
    book: &Daybook,
    consumer: &str,
    partitions: &[Partition],
) -> Result<Vec<Checkpoint>, ConsumerError> {
    let client = book.pool().get().await?;
    let (topics, numbers): (Vec<&str>, Vec<i32>) = partitions.iter().map(|p| (p.topic.as_str(), p.nr)).unzip();
    let rows = client
        .query(
            "UPDATE consumer_checkpoints c SET generation = generation + 1
             FROM unnest($2::text[], $3::int[]) AS p (topic, partition)
             WHERE c.consumer = $1 AND c.topic = p.topic AND c.partition = p.partition
             RETURNING c.topic, c.partition, c.log_offset, c.position, c.generation",
            &[&consumer, &topics, &numbers],
        )
        .await?;
    let mut taken = vec![None; partitions.len()];
    for row in &rows {
        let partition = Partition { topic: row.try_get(0)?, nr: row.try_get(1)? };
        if let Some(index) = partitions.iter().position(|asked| *asked == partition) {
            let (offset, position) = (row.try_get(2)?, row.try_get(3)?);
            taken[index] = Some(Checkpoint { offset, position, generation: row.try_get(4)? });
        }
    }
    taken.into_iter().collect::<Option<_>>().ok_or(ConsumerError::Fenced)
}

/// Moves a checkpoint on from what this process believes it to be. Where somebody else has taken the partition over, or a commit
/// whose outcome was lost did take place, nothing moves and the transaction must not be committed.
pub(super) async fn advance(
    transaction: &Transaction<'_>,
    consumer: &str,
    partition: &Partition,
    from: Checkpoint,
    (offset, position): (i64, i64),
) -> Result<Checkpoint, ConsumerError> {
    let statement = transaction
        .prepare_cached(
            "UPDATE consumer_checkpoints SET log_offset = $4, position = $5
             WHERE consumer = $1 AND topic = $2 AND partition = $3 AND generation = $6 AND log_offset = $7 AND position = $8",
        )
        .await?;
    let (topic, nr) = (&partition.topic, &partition.nr);
    let moved = transaction
        .execute(
            &statement,
            &[&consumer, topic, nr, &offset, &position, &from.generation, &from.offset, &from.position],
        )
        .await?;
    if moved == 1 { Ok(Checkpoint { offset, position, ..from }) } else { Err(ConsumerError::Fenced) }
}
