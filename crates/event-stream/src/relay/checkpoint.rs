//! What was published, as PostgreSQL keeps it. Every write checks the epoch: a leader that was asleep while another one took over
//! writes nothing.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Statement};

use super::RelayError;
use crate::topology::Shard;

/// Moves the relay and its partitions on, in one round trip: a batch of few events is soon published, and saving it should not
/// take longer. `$8` is true where publishing begins again: that fulfils a request to republish. The newest positions stay as they
/// were, because a reader must not wait for an event that never comes.
const SAVE: &str = "
    WITH moved AS (
        UPDATE relay
        SET cursor = $1, position = CASE WHEN $8 THEN position ELSE greatest(position, $1) END,
            republish = republish AND NOT $8, adopt = adopt AND NOT $8
        WHERE epoch = $2
        RETURNING republish OR adopt OR EXISTS (SELECT FROM relay_set_aside WHERE retry) AS again
    ), written AS (
        INSERT INTO relay_partitions AS p (topic, partition, last_position, log_position, last_offset, topic_identity)
        SELECT n.topic, n.partition, CASE WHEN $8 THEN 0 ELSE n.log_position END, n.log_position, n.last_offset,
               n.topic_identity
        FROM unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::text[])
             AS n (topic, partition, log_position, last_offset, topic_identity)
        WHERE EXISTS (SELECT FROM moved)
        ON CONFLICT (topic, partition) DO UPDATE
        SET last_position = greatest(p.last_position, excluded.last_position), log_position = excluded.log_position,
            last_offset = excluded.last_offset, topic_identity = excluded.topic_identity
    )
    SELECT again FROM moved";

/// What an operator asks of the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// To delete the records of the topics, and publish the whole book.
    Adopt,
    /// To publish the whole book again.
    Republish,
    /// To publish events that are set aside.
    Retry,
}

/// How far a partition is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PublishedOffset {
    /// Events of the partition up to this position are not published again.
    pub(super) position: i64,
    /// The offset of the last message; -1 where there is none.
    pub(super) offset: i64,
}

/// How far a leader is, under its epoch.
pub(super) struct Checkpoint {
    pub(super) epoch: i64,
    /// Everything up to this position is published.
    pub(super) cursor: i64,
    /// By shard, in the order of [`crate::Topology::shards`].
    pub(super) published: Vec<Option<PublishedOffset>>,
    /// On which cluster each shard's log was.
    pub(super) clusters: Vec<Option<String>>,
    /// Whether the topics are to be emptied before anything is published.
    pub(super) adopt: bool,
    save: Statement,
}

impl Checkpoint {
    /// Takes over: a new epoch begins where the one before it ended. From here on the connection does not wait for the disk: after a
    /// crash, the ends of the logs show what was published.
    pub(super) async fn take_over(client: &Client, shards: &[Shard]) -> Result<Self, RelayError> {
        client.batch_execute("SET synchronous_commit = off").await?;
        let save = client.prepare(SAVE).await?;
        let row = client.query_one("UPDATE relay SET epoch = epoch + 1 RETURNING epoch, cursor, adopt", &[]).await?;
        let rows = client
            .query("SELECT topic, partition, log_position, last_offset, topic_identity FROM relay_partitions", &[])
            .await?;
        let mut known = BTreeMap::new();
        for row in &rows {
            let last = PublishedOffset { position: row.try_get(2)?, offset: row.try_get(3)? };
            known.insert((row.try_get::<_, String>(0)?, row.try_get(1)?), (last, row.try_get(4)?));
        }
        let mut find = |shard: &Shard| known.remove(&(shard.topic.clone(), shard.partition));
        let (published, clusters) = shards
            .iter()
            .map(|shard| find(shard).map_or((None, None), |(last, cluster)| (Some(last), cluster)))
            .unzip();
        Ok(Self { epoch: row.try_get(0)?, cursor: row.try_get(1)?, published, clusters, adopt: row.try_get(2)?, save })
    }

    /// Saves the cursor and the shards that have moved. Returns whether a request waits.
    pub(super) async fn save(&self, client: &Client, shards: &[Shard], moved: &[usize]) -> Result<bool, RelayError> {
        self.write(client, shards, moved, false).await
    }

    /// Begins again at the cursor, with these shards reset.
    pub(super) async fn begin_again(
        &self,
        client: &Client,
        shards: &[Shard],
        reset: &[usize],
    ) -> Result<(), RelayError> {
        self.write(client, shards, reset, true).await?;
        Ok(())
    }

    /// The request that waits. Fails where the epoch is another leader's.
    pub(super) async fn request(&self, client: &Client) -> Result<Option<Request>, RelayError> {
        let sql =
            "SELECT adopt, republish, EXISTS (SELECT FROM relay_set_aside WHERE retry) FROM relay WHERE epoch = $1";
        let row = client.query_opt(sql, &[&self.epoch]).await?.ok_or(RelayError::Fenced)?;
        let requests = [Request::Adopt, Request::Republish, Request::Retry];
        for (nr, request) in requests.into_iter().enumerate() {
            if row.try_get(nr)? {
                return Ok(Some(request));
            }
        }
        Ok(None)
    }

    /// Drops the request to adopt the topics: their records stay.
    pub(super) async fn give_up_adopting(&self, client: &Client) -> Result<(), RelayError> {
        let given_up = client.execute("UPDATE relay SET adopt = false WHERE epoch = $1", &[&self.epoch]).await?;
        if given_up == 1 { Ok(()) } else { Err(RelayError::Fenced) }
    }

    async fn write(
        &self,
        client: &Client,
        shards: &[Shard],
        which: &[usize],
        begins_again: bool,
    ) -> Result<bool, RelayError> {
        let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for &index in which {
            let Some(last) = self.published[index] else { continue };
            columns.0.push(shards[index].topic.as_str());
            columns.1.push(shards[index].partition);
            columns.2.push(last.position);
            columns.3.push(last.offset);
            columns.4.push(self.clusters[index].as_deref());
        }
        let (topics, partitions, positions, offsets, clusters) = columns;
        let row = client
            .query_opt(
                &self.save,
                &[&self.cursor, &self.epoch, &topics, &partitions, &positions, &offsets, &clusters, &begins_again],
            )
            .await?;
        Ok(row.ok_or(RelayError::Fenced)?.try_get(0)?)
    }
}
