//! What was published, as it is remembered. Every write is guarded by the epoch: a leader who was asleep while another one took
//! over moves nothing.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Transaction};

use super::RelayError;
use crate::topology::Shard;

/// The end of a partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// Events of the partition up to this position are not published any more.
    pub(super) position: i64,
    /// The offset of the last message; -1 where there is none.
    pub(super) offset: i64,
}

/// How far a leader is, under its epoch.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    pub(super) epoch: i64,
    /// Everything up to this position is published.
    pub(super) cursor: i64,
    /// By shard, in the order of [`crate::Topology::shards`].
    pub(super) lasts: Vec<Option<Last>>,
    /// On which cluster each shard's log was.
    pub(super) clusters: Vec<Option<String>>,
}

impl Checkpoint {
    /// Takes over: a new epoch, from where the one before it was.
    pub(super) async fn take_over(client: &Client, shards: &[Shard]) -> Result<Self, RelayError> {
        let row = client.query_one("UPDATE relay SET epoch = epoch + 1 RETURNING epoch, cursor", &[]).await?;
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
        Ok(Self { epoch: row.try_get(0)?, cursor: row.try_get(1)?, lasts, clusters })
    }

    /// Remembers how far it is, and the shards that have moved. The disk is not waited for: after a crash, the ends of the
    /// partitions tell what was published. Returns whether somebody has asked to publish everything again.
    pub(super) async fn save(
        &self,
        client: &mut Client,
        shards: &[Shard],
        moved: &[usize],
    ) -> Result<bool, RelayError> {
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare(
                "UPDATE relay SET cursor = $1, position = greatest(position, $1) WHERE epoch = $2
                 RETURNING republish, set_config('synchronous_commit', 'off', true)",
            )
            .await?;
        let Some(row) = transaction.query_opt(&statement, &[&self.cursor, &self.epoch]).await? else {
            return Err(RelayError::Fenced);
        };
        self.write(&transaction, shards, moved, true).await?;
        transaction.commit().await?;
        Ok(row.try_get(0)?)
    }

    /// Begins again at the cursor, with these shards begun anew.
    pub(super) async fn begin_again(
        &self,
        client: &mut Client,
        shards: &[Shard],
        anew: &[usize],
    ) -> Result<(), RelayError> {
        let transaction = client.transaction().await?;
        let moved = transaction
            .execute("UPDATE relay SET cursor = $1, republish = false WHERE epoch = $2", &[&self.cursor, &self.epoch])
            .await?;
        if moved == 0 {
            return Err(RelayError::Fenced);
        }
        self.write(&transaction, shards, anew, false).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether this is still the leader's epoch, and whether somebody has asked to publish everything again.
    pub(super) async fn asked_to_republish(&self, client: &Client) -> Result<bool, RelayError> {
        let row = client.query_opt("SELECT republish FROM relay WHERE epoch = $1", &[&self.epoch]).await?;
        Ok(row.ok_or(RelayError::Fenced)?.try_get(0)?)
    }

    /// Writes shards. `are_events` says whether their positions are those of events; otherwise the newest ones stay what they
    /// were, since nobody may wait for an event that never comes.
    async fn write(
        &self,
        transaction: &Transaction<'_>,
        shards: &[Shard],
        which: &[usize],
        are_events: bool,
    ) -> Result<(), RelayError> {
        let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for &index in which {
            let Some(last) = self.lasts[index] else { continue };
            columns.0.push(shards[index].topic.as_str());
            columns.1.push(shards[index].partition);
            columns.2.push(last.position);
            columns.3.push(last.offset);
            columns.4.push(self.clusters[index].as_deref());
        }
        transaction
            .execute(
                "INSERT INTO relay_partitions AS p
                     (topic, partition, last_position, log_position, last_offset, topic_identity)
                 SELECT n.topic, n.partition, CASE WHEN $6 THEN n.log_position ELSE 0 END, n.log_position, n.last_offset,
                        n.topic_identity
                 FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[])
                      AS n (topic, partition, log_position, last_offset, topic_identity)
                 ON CONFLICT (topic, partition) DO UPDATE
                 SET last_position = greatest(p.last_position, excluded.last_position),
                     log_position = excluded.log_position, last_offset = excluded.last_offset,
                     topic_identity = excluded.topic_identity",
                &[&columns.0, &columns.1, &columns.2, &columns.3, &columns.4, &are_events],
            )
            .await?;
        Ok(())
    }
}
