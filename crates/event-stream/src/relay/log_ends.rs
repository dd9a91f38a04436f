//! The ends of the logs: what was published, as the broker has it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{RelayError, checkpoint::PublishedOffset};
use crate::{
    envelope::{self, Identity},
    kafka::{KafkaSettings, TIMEOUT},
    signature::WireKeys,
    topology::Shard,
};

/// The last event that a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastEvent {
    pub(super) published: PublishedOffset,
    pub(super) identity: Identity,
}

/// The end of a partition's log, from the checkpoint on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogEnd {
    /// The first offset of the log.
    low: i64,
    /// The offset after its last message.
    pub(super) high: i64,
    /// The position of the event in the message at the checkpointed offset.
    at_checkpoint: Option<i64>,
    /// The last event.
    pub(super) last: Option<LastEvent>,
}

/// The ends of all logs, by shard.
#[derive(Debug)]
pub(super) struct LogEnds {
    pub(super) cluster: Option<String>,
    pub(super) ends: Vec<LogEnd>,
}

/// The watermarks of all logs.
#[derive(Debug)]
pub(super) struct Watermarks {
    pub(super) cluster: Option<String>,
    /// By shard: the first offset, and the offset after the last message.
    pub(super) offsets: Vec<(i64, i64)>,
}

/// Asks the broker for the watermarks.
pub(super) async fn watermarks(kafka: &KafkaSettings, shards: &[Shard]) -> Result<Watermarks, RelayError> {
    let (kafka, shards) = (kafka.clone(), shards.to_vec());
    let ask = move || {
        let consumer: BaseConsumer = kafka.client().create()?;
        let mut offsets = Vec::with_capacity(shards.len());
        for shard in &shards {
            offsets.push(consumer.fetch_watermarks(&shard.topic, shard.partition, TIMEOUT)?);
        }
        Ok(Watermarks { cluster: consumer.client().fetch_cluster_id(TIMEOUT), offsets })
    };
    tokio::task::spawn_blocking(ask).await.map_err(|_| RelayError::Interrupted)?
}

/// Reads every partition from its checkpoint on. Of a partition without a checkpoint, only the last message is read.
///
/// Messages without a signature of this book count as absent: anyone may have written them. But where this book has published nothing at all
/// yet, they are a sign that the topics belong to another book.
pub(super) async fn read(
    kafka: &KafkaSettings,
    shards: &[Shard],
    published: &[Option<PublishedOffset>],
    keys: &WireKeys,
) -> Result<LogEnds, RelayError> {
    let (kafka, shards, published, keys) = (kafka.clone(), shards.to_vec(), published.to_vec(), keys.clone());
    let read = tokio::task::spawn_blocking(move || read_blocking(&kafka, &shards, &published, &keys));
    read.await.map_err(|_| RelayError::Interrupted)?
}

fn read_blocking(
    kafka: &KafkaSettings,
    shards: &[Shard],
    published: &[Option<PublishedOffset>],
    keys: &WireKeys,
) -> Result<LogEnds, RelayError> {
    let is_new = published.iter().all(Option::is_none);
    let mut config = kafka.client();
    config.set("group.id", "daybook-relay-tails").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "20");
    let consumer: BaseConsumer = config.create()?;
    let mut ends = Vec::with_capacity(shards.len());
    let mut wanted = TopicPartitionList::new();
    let mut unread = BTreeMap::new();
    for (index, (shard, last)) in shards.iter().zip(published).enumerate() {
        let (low, high) = consumer.fetch_watermarks(&shard.topic, shard.partition, TIMEOUT)?;
        if high > low {
            // Where the log is shorter than it was, its last message is all there is to see.
            let from = last.map_or(high - 1, |last| last.offset).clamp(low, high - 1);
            wanted.add_partition_offset(&shard.topic, shard.partition, Offset::Offset(from))?;
            unread.insert((shard.topic.clone(), shard.partition), index);
        }
        ends.push(LogEnd { low, high, ..LogEnd::default() });
    }
    consumer.assign(&wanted)?;
    let mut received = Instant::now();
    while !unread.is_empty() {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            if received.elapsed() > TIMEOUT {
                return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut).into());
            }
            continue;
        };
        let message = message?;
        received = Instant::now();
        let place = (message.topic().to_owned(), message.partition());
        let Some(&index) = unread.get(&place) else { continue };
        ends[index].note(published[index], &message, is_new || keys.is_genuine(&message));
        if message.offset() >= ends[index].high - 1 {
            unread.remove(&place);
        }
    }
    Ok(LogEnds { cluster: consumer.client().fetch_cluster_id(TIMEOUT), ends })
}

impl LogEnd {
    /// Notes a message of the log. One that is not genuine only shows whether the log is the one that was checkpointed: what a log holds at
    /// an offset cannot be changed.
    fn note(&mut self, checkpoint: Option<PublishedOffset>, message: &impl Message, is_genuine: bool) {
        let offset = message.offset();
        match envelope::identity(message) {
            Ok(identity) => {
                let position = identity.position;
                if checkpoint.is_some_and(|last| last.offset == offset) {
                    self.at_checkpoint = Some(position);
                }
                if !is_genuine {
                    return tracing::warn!(
                        topic = message.topic(),
                        partition = message.partition(),
                        offset,
                        "a message without a signature of this book is not counted"
                    );
                }
                // In a log that continues, a message of an earlier event is a copy.
                let continues = checkpoint.is_some_and(|last| self.at_checkpoint == Some(last.position));
                if self.last.is_none_or(|last| !continues || position >= last.published.position) {
                    self.last = Some(LastEvent { published: PublishedOffset { position, offset }, identity });
                }
            }
            Err(error) => {
                let (topic, partition) = (message.topic(), message.partition());
                tracing::error!(topic, partition, offset, %error, "a foreign message");
            }
        }
    }

    /// Whether the log continues what was checkpointed. Otherwise the topic was lost, truncated or created again.
    pub(super) fn continues(&self, checkpoint: PublishedOffset, same_cluster: bool) -> bool {
        if self.high <= checkpoint.offset {
            return false;
        }
        let shown = self.at_checkpoint.map(|position| position == checkpoint.position);
        // Retention may have deleted the message at the checkpoint. Then the same cluster is proof enough.
        let expired = self.low > checkpoint.offset || checkpoint.offset < 0;
        shown.unwrap_or(expired && same_cluster)
            && self.last.is_none_or(|last| last.published.position >= checkpoint.position)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn end(low: i64, at_checkpoint: Option<i64>, position: i64, offset: i64) -> LogEnd {
        let identity = Identity { position, event_id: Uuid::nil(), history: Uuid::nil() };
        let last = Some(LastEvent { published: PublishedOffset { position, offset }, identity });
        LogEnd { low, high: offset + 1, at_checkpoint, last }
    }

    #[test]
    fn a_log_continues_its_checkpoint_unless_the_topic_was_lost_truncated_or_created_again() {
        let checkpoint = PublishedOffset { position: 10, offset: 5 };
        assert!(end(0, Some(10), 10, 5).continues(checkpoint, true));
        assert!(end(0, Some(10), 10, 5).continues(checkpoint, false), "the events are proof enough");
        assert!(end(0, Some(10), 12, 6).continues(checkpoint, true), "published after the checkpoint");
        assert!(end(6, None, 12, 6).continues(checkpoint, true), "expired up to the checkpoint");
        assert!(LogEnd { low: 6, high: 6, ..LogEnd::default() }.continues(checkpoint, true), "all has expired");
        assert!(!end(6, None, 12, 6).continues(checkpoint, false), "another cluster, and nothing to compare");
        assert!(!LogEnd::default().continues(checkpoint, true), "lost");
        assert!(!end(0, None, 4, 2).continues(checkpoint, true), "truncated");
        assert!(!end(0, Some(11), 11, 5).continues(checkpoint, true), "created again");
        assert!(!end(0, None, 12, 6).continues(checkpoint, true), "a foreign message where the last event was");
        let nothing_yet = PublishedOffset { position: 7, offset: -1 };
        assert!(LogEnd::default().continues(nothing_yet, true));
        assert!(!LogEnd::default().continues(nothing_yet, false));
    }
}
