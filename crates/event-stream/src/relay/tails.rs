//! The ends of the partitions: what was published, as the broker has it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{RelayError, checkpoint::Last};
use crate::{
    envelope::{self, Identity},
    kafka::{KafkaSettings, TIMEOUT},
    topology::Shard,
};

/// An event that a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) last: Last,
    pub(super) identity: Identity,
}

/// The end of a partition's log, from the checkpoint on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// The first offset that is there.
    low: i64,
    /// The offset after the last one.
    pub(super) high: i64,
    /// The position that the message at the checkpointed offset carries.
    at_checkpoint: Option<i64>,
    /// The last event.
    pub(super) published: Option<Published>,
}

/// The ends of all partitions.
#[derive(Debug)]
pub(super) struct Tails {
    pub(super) cluster: Option<String>,
    pub(super) tails: Vec<Tail>,
}

/// Where the logs begin and end.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) cluster: Option<String>,
    /// By shard: the first offset that is there, and the one after the last.
    pub(super) watermarks: Vec<(i64, i64)>,
}

/// Asks where the logs begin and end.
pub(super) async fn ends(kafka: &KafkaSettings, shards: &[Shard]) -> Result<Ends, RelayError> {
    let (kafka, shards) = (kafka.clone(), shards.to_vec());
    let ask = move || {
        let consumer: BaseConsumer = kafka.client().create()?;
        let mut watermarks = Vec::with_capacity(shards.len());
        for shard in &shards {
            watermarks.push(consumer.fetch_watermarks(&shard.topic, shard.partition, TIMEOUT)?);
        }
        Ok(Ends { cluster: consumer.client().fetch_cluster_id(TIMEOUT), watermarks })
    };
    tokio::task::spawn_blocking(ask).await.map_err(|_| RelayError::Interrupted)?
}

/// Reads every partition from its checkpoint on; of those without one, the last message.
pub(super) async fn read(kafka: &KafkaSettings, shards: &[Shard], lasts: &[Option<Last>]) -> Result<Tails, RelayError> {
    let (kafka, shards, lasts) = (kafka.clone(), shards.to_vec(), lasts.to_vec());
    let read = tokio::task::spawn_blocking(move || read_blocking(&kafka, &shards, &lasts));
    read.await.map_err(|_| RelayError::Interrupted)?
}

fn read_blocking(kafka: &KafkaSettings, shards: &[Shard], lasts: &[Option<Last>]) -> Result<Tails, RelayError> {
    let mut config = kafka.client();
    config.set("group.id", "daybook-relay-tails").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "20");
    let consumer: BaseConsumer = config.create()?;
    let mut tails = Vec::with_capacity(shards.len());
    let mut wanted = TopicPartitionList::new();
    let mut unread = BTreeMap::new();
    for (index, (shard, last)) in shards.iter().zip(lasts).enumerate() {
        let (low, high) = consumer.fetch_watermarks(&shard.topic, shard.partition, TIMEOUT)?;
        if high > low {
            // Where the log is shorter than it was, its last message is all there is to see.
            let from = last.map_or(high - 1, |last| last.offset).clamp(low, high - 1);
            wanted.add_partition_offset(&shard.topic, shard.partition, Offset::Offset(from))?;
            unread.insert((shard.topic.clone(), shard.partition), index);
        }
        tails.push(Tail { low, high, ..Tail::default() });
    }
    consumer.assign(&wanted)?;
    let mut heard = Instant::now();
    while !unread.is_empty() {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            if heard.elapsed() > TIMEOUT {
                return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut).into());
            }
            continue;
        };
        let message = message?;
        heard = Instant::now();
        let place = (message.topic().to_owned(), message.partition());
        let Some(&index) = unread.get(&place) else { continue };
        take_note(&mut tails[index], lasts[index], &message);
        if message.offset() >= tails[index].high - 1 {
            unread.remove(&place);
        }
    }
    Ok(Tails { cluster: consumer.client().fetch_cluster_id(TIMEOUT), tails })
}

fn take_note(tail: &mut Tail, checkpoint: Option<Last>, message: &impl Message) {
    let offset = message.offset();
    match envelope::identity(message) {
        Ok(identity) => {
            let position = identity.position;
            tail.published = Some(Published { last: Last { position, offset }, identity });
            if checkpoint.is_some_and(|last| last.offset == offset) {
                tail.at_checkpoint = Some(position);
            }
        }
        Err(error) => {
            tracing::error!(topic = message.topic(), partition = message.partition(), offset, %error, "a foreign message");
        }
    }
}

impl Tail {
    /// Whether it goes on from what was checkpointed. If not, the topic was lost, cut off or made anew.
    pub(super) fn fits(&self, checkpoint: Last, same_cluster: bool) -> bool {
        if self.high <= checkpoint.offset {
            return false;
        }
        let shown = self.at_checkpoint.map(|position| position == checkpoint.position);
        // What retention has deleted cannot be looked at any more; then the cluster being the same must do.
        let expired = self.low > checkpoint.offset || checkpoint.offset < 0;
        shown.unwrap_or(expired && same_cluster)
            && self.published.is_none_or(|published| published.last.position >= checkpoint.position)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tail(low: i64, at_checkpoint: Option<i64>, position: i64, offset: i64) -> Tail {
        let identity = Identity { position, event_id: Uuid::nil(), history: Uuid::nil() };
        let published = Published { last: Last { position, offset }, identity };
        Tail { low, high: offset + 1, at_checkpoint, published: Some(published) }
    }

    #[test]
    fn a_topic_that_goes_on_fits_and_one_made_anew_does_not() {
        let checkpoint = Last { position: 10, offset: 5 };
        assert!(tail(0, Some(10), 10, 5).fits(checkpoint, true));
        assert!(tail(0, Some(10), 10, 5).fits(checkpoint, false), "the events are proof enough");
        assert!(tail(0, Some(10), 12, 6).fits(checkpoint, true), "published after the checkpoint");
        assert!(tail(6, None, 12, 6).fits(checkpoint, true), "expired up to the checkpoint");
        assert!(Tail { low: 6, high: 6, ..Tail::default() }.fits(checkpoint, true), "expired altogether");
        assert!(!tail(6, None, 12, 6).fits(checkpoint, false), "another cluster, and nothing to compare");
        assert!(!Tail::default().fits(checkpoint, true), "lost");
        assert!(!tail(0, None, 4, 2).fits(checkpoint, true), "cut off");
        assert!(!tail(0, Some(11), 11, 5).fits(checkpoint, true), "made anew");
        assert!(!tail(0, None, 12, 6).fits(checkpoint, true), "a foreign message where the last event was");
        let nothing_yet = Last { position: 7, offset: -1 };
        assert!(Tail::default().fits(nothing_yet, true));
        assert!(!Tail::default().fits(nothing_yet, false));
    }
}
