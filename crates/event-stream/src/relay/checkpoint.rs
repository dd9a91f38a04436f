//! What was published, as it is remembered. Every write is guarded by the epoch: a leader who was asleep while another one took
//! over moves nothing.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Statement};

use super::RelayError;
use crate::topology::Shard;

/// Moves the relay and its partitions on, in one round trip: a batch of few events is soon published, and saving it should not
/// take longer. `$8` is whether this is a new beginning: then a wish for it is fulfilled, and the newest positions stay what they
/// were, since nobody may wait for an event that never comes.
const SAVE: &str = "
    WITH moved AS (
        UPDATE relay
        SET cursor = $1, position = CASE WHEN $8 THEN position ELSE greatest(position, $1) END,
            republish = republish AND NOT $8, adopt = adopt AND NOT $8
        WHERE epoch = $2
        RETURNING republish OR adopt AS again
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

/// The end of a partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// Events of the partition up to this position are not published any more.
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
    pub(super) lasts: Vec<Option<Last>>,
    /// On which cluster each shard's log was.
    pub(super) clusters: Vec<Option<String>>,
    /// Whether the topics are to be emptied before anything is published.
    pub(super) adopt: bool,
    save: Statement,
}

impl Checkpoint {
    /// Takes over: a new epoch, from where the one before it was. From here on the connection does not wait for the disk: after a
    /// crash, the ends of the partitions tell what was published.
    pub(super) async fn take_over(client: &Client, shards: &[Shard]) -> Result<Self, RelayError> {
        client.batch_execute("SET synchronous_commit = off").await?;
        let save = client.prepare(SAVE).await?;
        let row = client.query_one("UPDATE relay SET epoch = epoch + 1 RETURNING epoch, cursor, adopt", &[]).await?;
        let rows = client
            .query("SELECT topic, partition, log_position, last_offset, topic_identity FROM relay_partitions", &[])
            .await?;
        let mut known = BTreeMap::new();
        for row in &rows {
            let last = Last { position: row.try_get(2)?, offset: row.try_get(3)? };
            known.insert((row.try_get::<_, String>(0)?, row.try_get(1)?), (last, row.try_get(4)?));
        }
        let mut find = |shard: &Shard| known.remove(&(shard.topic.clone(), shard.partition));
        let (lasts, clusters) = shards
            .iter()
            .map(|shard| find(shard).map_or((None, None), |(last, cluster)| (Some(last), cluster)))
            .unzip();
        Ok(Self { epoch: row.try_get(0)?, cursor: row.try_get(1)?, lasts, clusters, adopt: row.try_get(2)?, save })
    }

    /// Remembers how far it is, and the shards that have moved. Returns whether somebody has asked to publish everything again.
    pub(super) async fn save(&self, client: &Client, shards: &[Shard], moved: &[usize]) -> Result<bool, RelayError> {
        self.write(client, shards, moved, false).await
    }

    /// Begins again at the cursor, with these shards begun anew.
    pub(super) async fn begin_again(
        &self,
        client: &Client,
        shards: &[Shard],
        anew: &[usize],
    ) -> Result<(), RelayError> {
        self.write(client, shards, anew, true).await?;
        Ok(())
    }

    /// Whether this is still the leader's epoch, and whether somebody has asked to publish everything again.
    pub(super) async fn asked_to_republish(&self, client: &Client) -> Result<bool, RelayError> {
        let row = client.query_opt("SELECT republish OR adopt FROM relay WHERE epoch = $1", &[&self.epoch]).await?;
        Ok(row.ok_or(RelayError::Fenced)?.try_get(0)?)
    }

    /// Whether what is there is to be removed before everything is published again.
    pub(super) async fn asked_to_adopt(&self, client: &Client) -> Result<bool, RelayError> {
        let row = client.query_opt("SELECT adopt FROM relay WHERE epoch = $1", &[&self.epoch]).await?;
        Ok(row.ok_or(RelayError::Fenced)?.try_get(0)?)
    }

    /// What is in the topics stays.
    pub(super) async fn give_up_adopting(&self, client: &Client) -> Result<(), RelayError> {
        let given_up = client.execute("UPDATE relay SET adopt = false WHERE epoch = $1", &[&self.epoch]).await?;
        if given_up == 1 { Ok(()) } else { Err(RelayError::Fenced) }
    }

    async fn write(&self, client: &Client, shards: &[Shard], which: &[usize], anew: bool) -> Result<bool, RelayError> {
        let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for &index in which {
            let Some(last) = self.lasts[index] else { continue };
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
                &[&self.cursor, &self.epoch, &topics, &partitions, &positions, &offsets, &clusters, &anew],
            )
            .await?;
        Ok(row.ok_or(RelayError::Fenced)?.try_get(0)?)
    }
}
