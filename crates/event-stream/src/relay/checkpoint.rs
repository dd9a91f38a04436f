//! What was published, as it is remembered.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::RelayError;

/// A partition of a topic.
pub(super) type Partition = (String, i32);

/// The last event of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) position: i64,
    pub(super) offset: i64,
}

/// How far a leader is, under its epoch.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    pub(super) epoch: i64,
    pub(super) position: i64,
    pub(super) partitions: BTreeMap<Partition, Last>,
}

impl Checkpoint {
    /// Takes over: a new epoch, from where the one before it was.
    pub(super) async fn take_over(client: &Client) -> Result<Self, RelayError> {
        let row = client.query_one("UPDATE relay SET epoch = epoch + 1 RETURNING epoch, position", &[]).await?;
        let rows =
            client.query("SELECT topic, partition, last_position, last_offset FROM relay_partitions", &[]).await?;
        let partitions = rows.iter().map(|row| {
            let last = Last { position: row.try_get(2)?, offset: row.try_get(3)? };
            Ok(((row.try_get(0)?, row.try_get(1)?), last))
        });
        Ok(Self {
            epoch: row.try_get(0)?,
            position: row.try_get(1)?,
            partitions: partitions.collect::<Result<_, tokio_postgres::Error>>()?,
        })
    }

    /// Remembers it. The disk is not waited for: after a crash, the ends of the partitions tell what was published. Returns
    /// whether somebody has asked to publish everything again.
    pub(super) async fn save(&self, client: &mut Client) -> Result<bool, RelayError> {
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL synchronous_commit = off").await?;
        let moved = transaction
            .query_opt(
                "UPDATE relay SET position = $1 WHERE epoch = $2 RETURNING republish",
                &[&self.position, &self.epoch],
            )
            .await?;
        let Some(row) = moved else { return Err(RelayError::Fenced) };
        let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for ((topic, partition), last) in &self.partitions {
            columns.0.push(topic.as_str());
            columns.1.push(*partition);
            columns.2.push(last.position);
            columns.3.push(last.offset);
        }
        transaction
            .execute(
                "INSERT INTO relay_partitions SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[])
                 ON CONFLICT (topic, partition) DO UPDATE
                 SET last_position = excluded.last_position, last_offset = excluded.last_offset",
                &[&columns.0, &columns.1, &columns.2, &columns.3],
            )
            .await?;
        transaction.commit().await?;
        Ok(row.try_get(0)?)
    }

    /// Forgets everything, to begin again after `position`.
    pub(super) async fn reset(&mut self, client: &mut Client, position: i64) -> Result<(), RelayError> {
        self.position = position;
        self.partitions.clear();
        let transaction = client.transaction().await?;
        let reset = transaction
            .execute(
                "UPDATE relay SET position = $1, republish = false WHERE epoch = $2",
                &[&self.position, &self.epoch],
            )
            .await?;
        if reset == 0 {
            return Err(RelayError::Fenced);
        }
        transaction.execute("DELETE FROM relay_partitions", &[]).await?;
        transaction.commit().await?;
        Ok(())
    }
}
