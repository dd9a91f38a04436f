//! The checkpoints of consumers in PostgreSQL, and which process may move them.

use std::collections::HashMap;

use daybook_event_store::Daybook;
use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::{
    ConsumerError, Start,
    contract::{AssignedPartition, Checkpoint, CheckpointMove, Partition, Published},
};

/// Gives a consumer its first checkpoints, all at once: one for each partition of the topics in which it has none. They are at the
/// beginning of the book, or at its head as it is now.
pub(super) async fn begin(
    book: &Daybook,
    consumer: &str,
    topics: &[String],
    partitions: i32,
    start: Start,
) -> Result<(), ConsumerError> {
    let client = book.pool().get().await?;
    client
        .execute(
            "INSERT INTO consumer_checkpoints (consumer, topic, partition, log_offset, position)
             SELECT $1, t.topic, p.partition, -1, CASE WHEN $4 THEN h.position ELSE 0 END
             FROM unnest($2::text[]) AS t (topic) CROSS JOIN generate_series(0, $3::int - 1) AS p (partition) CROSS JOIN head h
             ON CONFLICT DO NOTHING",
            &[&consumer, &topics, &partitions, &(start == Start::Head)],
        )
        .await?;
    Ok(())
}

/// How far consumers are, by name: those that have begun, in the partitions in which they have.
pub(super) async fn known(
    book: &Daybook,
    consumers: &[String],
) -> Result<HashMap<String, HashMap<Partition, Checkpoint>>, ConsumerError> {
    let client = book.pool().get().await?;
    let rows = client
        .query(
            "SELECT consumer, topic, partition, log_offset, position, generation FROM consumer_checkpoints
             WHERE consumer = ANY ($1)",
            &[&consumers],
        )
        .await?;
    let mut known: HashMap<String, HashMap<Partition, Checkpoint>> = HashMap::new();
    for row in &rows {
        let partition = Partition { topic: row.try_get(1)?, nr: row.try_get(2)? };
        let checkpoint = Checkpoint { offset: row.try_get(3)?, position: row.try_get(4)?, generation: row.try_get(5)? };
        known.entry(row.try_get(0)?).or_default().insert(partition, checkpoint);
    }
    Ok(known)
}

/// Takes partitions over, each from where it is: the process that had them before can commit no more. Those of a consumer that was
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

/// Takes partitions over whose checkpoints are still the given ones, and returns them with their new checkpoints.
pub(super) async fn adopt(
    book: &Daybook,
    consumer: &str,
    partitions: &[AssignedPartition],
) -> Result<Vec<AssignedPartition>, ConsumerError> {
    let client = book.pool().get().await?;
    let (topics, numbers): (Vec<&str>, Vec<i32>) =
        partitions.iter().map(|p| (p.partition.topic.as_str(), p.partition.nr)).unzip();
    let (offsets, positions): (Vec<i64>, Vec<i64>) =
        partitions.iter().map(|p| (p.checkpoint.offset, p.checkpoint.position)).unzip();
    let generations: Vec<i64> = partitions.iter().map(|p| p.checkpoint.generation).collect();
    let rows = client
        .query(
            "UPDATE consumer_checkpoints c SET generation = c.generation + 1
             FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[])
                  AS p (topic, partition, log_offset, position, generation)
             WHERE c.consumer = $1 AND c.topic = p.topic AND c.partition = p.partition AND c.log_offset = p.log_offset
               AND c.position = p.position AND c.generation = p.generation
             RETURNING c.topic, c.partition, c.log_offset, c.position, c.generation",
            &[&consumer, &topics, &numbers, &offsets, &positions, &generations],
        )
        .await?;
    rows.iter().map(assigned).collect()
}

/// What was published to each partition.
pub(super) async fn published(book: &Daybook) -> Result<HashMap<Partition, Published>, ConsumerError> {
    let client = book.pool().get().await?;
    let rows = client.query("SELECT topic, partition, last_position, log_position FROM relay_partitions", &[]).await?;
    let published = rows.iter().map(|row| {
        let partition = Partition { topic: row.try_get(0)?, nr: row.try_get(1)? };
        Ok((partition, Published { last: row.try_get(2)?, log_end: row.try_get(3)? }))
    });
    published.collect()
}

/// The partitions in which a consumer is behind what was published to them.
pub(super) async fn behind(book: &Daybook, consumer: &str) -> Result<Vec<AssignedPartition>, ConsumerError> {
    let client = book.pool().get().await?;
    let statement = client
        .prepare_cached(
            "SELECT c.topic, c.partition, c.log_offset, c.position, c.generation
             FROM consumer_checkpoints c JOIN relay_partitions p USING (topic, partition)
             WHERE c.consumer = $1 AND c.position < p.last_position",
        )
        .await?;
    let rows = client.query(&statement, &[&consumer]).await?;
    rows.iter().map(assigned).collect()
}

/// A partition and its checkpoint, from a row of both.
fn assigned(row: &Row) -> Result<AssignedPartition, ConsumerError> {
    let partition = Partition { topic: row.try_get(0)?, nr: row.try_get(1)? };
    let (offset, position) = (row.try_get(2)?, row.try_get(3)?);
    Ok(AssignedPartition { partition, checkpoint: Checkpoint { offset, position, generation: row.try_get(4)? } })
}

/// Moves checkpoints on. [`ConsumerError::Fenced`] means that another process has taken one of the partitions over, or that a commit
/// whose outcome was lost did take place. The transaction must not be committed then.
pub(super) async fn advance(
    transaction: &Transaction<'_>,
    consumer: &str,
    moves: &[CheckpointMove<'_>],
) -> Result<Vec<Checkpoint>, ConsumerError> {
    let statement = transaction
        .prepare_cached(
            "UPDATE consumer_checkpoints c SET log_offset = s.to_offset, position = s.to_position
             FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
                  AS s (topic, partition, to_offset, to_position, generation, from_offset, from_position)
             WHERE c.consumer = $1 AND c.topic = s.topic AND c.partition = s.partition AND c.generation = s.generation
               AND c.log_offset = s.from_offset AND c.position = s.from_position",
        )
        .await?;
    let (topics, numbers): (Vec<&str>, Vec<i32>) = moves.iter().map(|(p, ..)| (p.topic.as_str(), p.nr)).unzip();
    let (offsets, positions): (Vec<i64>, Vec<i64>) = moves.iter().map(|(.., to)| *to).unzip();
    let generations: Vec<i64> = moves.iter().map(|(_, from, _)| from.generation).collect();
    let (from_offsets, from_positions): (Vec<i64>, Vec<i64>) =
        moves.iter().map(|(_, from, _)| (from.offset, from.position)).unzip();
    let moved = transaction
        .execute(
            &statement,
            &[&consumer, &topics, &numbers, &offsets, &positions, &generations, &from_offsets, &from_positions],
        )
        .await?;
    if usize::try_from(moved) != Ok(moves.len()) {
        return Err(ConsumerError::Fenced);
    }
    Ok(moves
        .iter()
        .map(|(_, from, (offset, position))| Checkpoint { offset: *offset, position: *position, ..*from })
        .collect())
}

#[cfg(test)]
mod tests {
    use daybook_event_store::StoreSettings;
    use daybook_test_postgres::TestDatabase;

    use super::*;

    const VIEW: &str = "order_v1";

    /// A book, and the two partitions in which a consumer has begun.
    async fn begun() -> (TestDatabase, Daybook, Vec<AssignedPartition>) {
        let database = daybook_test_postgres::database().await;
        let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
        let book = Daybook::open(&settings).expect("the URL is one");
        book.migrate().await.expect("the tables of the book");
        crate::migrate(&book).await.expect("the tables of the stream");
        begin(&book, VIEW, &["daybook.order".to_owned()], 2, Start::Beginning).await.expect("the consumer begins");
        let mut known = known(&book, &[VIEW.to_owned()]).await.expect("the checkpoints");
        let known = known.remove(VIEW).expect("the consumer has begun").into_iter();
        let mut assigned: Vec<_> =
            known.map(|(partition, checkpoint)| AssignedPartition { partition, checkpoint }).collect();
        assigned.sort_by_key(|assigned| assigned.partition.nr);
        (database, book, assigned)
    }

    #[tokio::test]
    async fn one_of_two_processes_adopts_a_partition() {
        let (_database, book, found) = begun().await;
        let (one, other) = tokio::join!(adopt(&book, VIEW, &found[..1]), adopt(&book, VIEW, &found[..1]));
        let mut adopted = one.expect("an answer");
        adopted.extend(other.expect("an answer"));
        let [AssignedPartition { partition, checkpoint }] = &adopted[..] else { panic!("{adopted:?}") };
        assert_eq!(*partition, found[0].partition);
        assert_eq!(*checkpoint, Checkpoint { generation: 1, ..found[0].checkpoint });
    }

    #[tokio::test]
    async fn a_partition_that_was_moved_or_taken_over_is_not_adopted() {
        let (database, book, found) = begun().await;
        take(&book, VIEW, &[found[0].partition.clone()]).await.expect("it is taken over");
        let adopted = adopt(&book, VIEW, &found).await.expect("an answer");
        let checkpoint = Checkpoint { generation: 1, ..found[1].checkpoint };
        assert_eq!(adopted, [AssignedPartition { checkpoint, ..found[1].clone() }], "only the other one");
        let moved = "UPDATE consumer_checkpoints SET position = position + 1";
        assert_eq!(database.connect().await.execute(moved, &[]).await.expect("they are moved"), 2);
        assert_eq!(adopt(&book, VIEW, &adopted).await.expect("an answer"), []);
    }
}
