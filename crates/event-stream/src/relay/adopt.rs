//! Adopting topics: after a restore they hold events that the book no longer has.
//!
//! The records are deleted and the topics stay. So offsets only grow, and no client meets another topic of the same name. A consumer finds
//! the whole book after what it has read, each event with the history that it is of.

use daybook_event_store::Daybook;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio_postgres::Client;

use super::{
    RelayError, RelaySettings,
    checkpoint::{Checkpoint, PublishedOffset},
    log_ends::{self, Watermarks},
    refill,
};
use crate::{kafka::TIMEOUT, topology::Shard};

/// Deletes the records of the topics, and begins again.
pub(super) async fn adopt(
    book: &Daybook,
    settings: &RelaySettings,
    client: &mut Client,
    shards: &[Shard],
    checkpoint: &mut Checkpoint,
) -> Result<(), RelayError> {
    let watermarks = log_ends::watermarks(&settings.kafka, shards).await?;
    match empty(settings, shards, &watermarks).await {
        Err(RelayError::Kafka(error)) if is_refused(&error) => {
            // A second request would be refused as well, and nothing would be published meanwhile.
            checkpoint.give_up_adopting(client).await?;
            return Err(RelayError::NotAdopted(error));
        }
        emptied => emptied?,
    }
    for (index, (_, high)) in watermarks.offsets.iter().enumerate() {
        checkpoint.published[index] = Some(PublishedOffset { position: 0, offset: high - 1 });
        checkpoint.clusters[index].clone_from(&watermarks.cluster);
    }
    refill::begin_again(book, settings, client, shards, checkpoint).await
}

async fn empty(settings: &RelaySettings, shards: &[Shard], watermarks: &Watermarks) -> Result<(), RelayError> {
    let mut records = TopicPartitionList::new();
    for (shard, (low, high)) in shards.iter().zip(&watermarks.offsets) {
        if low < high {
            records.add_partition_offset(&shard.topic, shard.partition, Offset::Offset(*high))?;
        }
    }
    if records.count() == 0 {
        return Ok(());
    }
    tracing::warn!(
        partitions = records.count(),
        "the topics hold another history; they are emptied and filled from the book"
    );
    let admin: AdminClient<DefaultClientContext> = settings.kafka.client().create()?;
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let deleted = admin.delete_records(&records, &options).await?;
    for partition in deleted.elements() {
        partition.error()?;
    }
    Ok(())
}

/// Whether the broker cannot delete records, or does not permit it.
fn is_refused(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnsupportedFeature
                | RDKafkaErrorCode::UnsupportedVersion
                | RDKafkaErrorCode::PolicyViolation
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
        )
    )
}
