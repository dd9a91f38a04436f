//! Emptying partitions before they are filled from the book, so that whoever reads one from its start finds the events in order.
//!
//! The records are deleted and the topics stay: offsets only ever grow, and nobody's client is confused by a topic of the same name.

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::RelayError;
use crate::{
    kafka::{KafkaSettings, TIMEOUT},
    topology::Shard,
};

/// Deletes what is in these partitions, each given with its first offset and the one after its last as they were; what has come since
/// is deleted as well. Those that were empty are nothing to ask the broker for.
pub(super) async fn empty<'a>(
    kafka: &KafkaSettings,
    partitions: impl Iterator<Item = (&'a Shard, (i64, i64))>,
) -> Result<(), RelayError> {
    let mut records = TopicPartitionList::new();
    for (shard, (low, high)) in partitions {
        if low < high {
            records.add_partition_offset(&shard.topic, shard.partition, Offset::End)?;
        }
    }
    if records.count() == 0 {
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> = kafka.client().create()?;
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let deleted = admin.delete_records(&records, &options).await?;
    for partition in deleted.elements() {
        partition.error()?;
    }
    Ok(())
}

/// Whether the broker cannot delete records, or does not let us: asking again would not help.
pub(super) fn is_refused(error: &KafkaError) -> bool {
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
