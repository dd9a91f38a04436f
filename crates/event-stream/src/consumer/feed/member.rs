//! Membership of a Kafka consumer group: which partitions are this process's, and their messages.
//!
//! An assignment is accepted only after the checkpoints of the subscribers were read, so that every partition begins where it is
//! needed and nothing is fetched twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use daybook_event_store::Daybook;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, StreamConsumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use tokio::sync::mpsc;

use super::{Feed, Log};
use crate::{
    bounds::TOPIC_BYTES,
    consumer::{
        ConsumerError,
        contract::{Partition, ReceivedMessage},
    },
    envelope::EnvelopeError,
    kafka::{KafkaSettings, TIMEOUT},
    signature::WireKeys,
};

/// How long to wait after the broker has reported an error that librdkafka mends by itself.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// How often messages without a signature are named in the log.
const NAME_EVERY: Duration = Duration::from_secs(10);
/// After so many messages in a row other tasks get the thread.
const TURN: usize = 256;

/// A consumer group: its members share the partitions of its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// Its name. All members of a group have the same subscribers: an event reaches those of one member.
    pub name: String,
    /// The topics.
    pub topics: Vec<String>,
}

/// What has happened to this member.
pub(super) enum Change {
    /// It has these partitions now, once it has [accepted](Member::accept) them.
    Assigned(Vec<Partition>),
    /// It has none any more.
    Revoked,
}

/// What librdkafka says of the membership.
struct Membership {
    changes: mpsc::UnboundedSender<Change>,
    leaving: Arc<AtomicBool>,
}

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let assigned = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let change = if assigned && !self.leaving.load(Ordering::Acquire) {
            let partition = |(topic, nr): &(String, i32)| Partition { topic: topic.clone(), nr: *nr };
            Change::Assigned(partitions.to_topic_map().keys().map(partition).collect())
        } else {
            // At once: the next owner must not wait. What is under way here cannot be committed after that.
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "partitions were not given back");
            }
            Change::Revoked
        };
        // While the member leaves, the receiver is gone.
        self.changes.send(change).ok();
    }
}

/// A member of a group.
pub(super) struct Member {
    consumer: Arc<StreamConsumer<Membership>>,
    changes: mpsc::UnboundedReceiver<Change>,
    leaving: Arc<AtomicBool>,
    keys: WireKeys,
    /// Whether a message has named a key that is not known.
    lacks_key: bool,
    forged: Forged,
}

impl Member {
    pub(super) fn join(kafka: &KafkaSettings, group: &ConsumerGroup, keys: WireKeys) -> Result<Self, ConsumerError> {
        let (sender, changes) = mpsc::unbounded_channel();
        let leaving = Arc::new(AtomicBool::new(false));
        let consumer: StreamConsumer<Membership> = kafka
            .client()
            .set("group.id", kafka.group(&group.name))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "range")
            .set("fetch.wait.max.ms", kafka.fetch_wait.as_millis().to_string())
            .set("fetch.queue.backoff.ms", "50")
            .set("fetch.message.max.bytes", TOPIC_BYTES.to_string())
            .set("queued.max.messages.kbytes", "16384")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .create_with_context(Membership { changes: sender, leaving: Arc::clone(&leaving) })?;
        let topics: Vec<&str> = group.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        let (lacks_key, forged) = (false, Forged::default());
        Ok(Self { consumer: Arc::new(consumer), changes, leaving, keys, lacks_key, forged })
    }

    /// Hands over what comes, until the assignment changes. When the wait is given up, nothing is lost.
    pub(super) async fn receive(&mut self, feed: &Feed, book: &Daybook) -> Result<Change, ConsumerError> {
        for received in 1_usize.. {
            if self.lacks_key && self.keys.may_be_old() {
                self.keys = WireKeys::load(book).await?;
                self.lacks_key = false;
            }
            tokio::select! {
                biased;
                Some(change) = self.changes.recv() => return Ok(change),
                message = self.consumer.recv() => match message {
                    Ok(message) => {
                        let content = self.keys.decode(&message).map(Into::into);
                        if matches!(content, Err(EnvelopeError::NotSigned { .. })) {
                            self.lacks_key |= self.keys.lacks_key_of(&message);
                            self.forged.note(&message);
                        }
                        let received = ReceivedMessage { offset: message.offset(), content };
                        feed.hand_over(message.topic(), message.partition(), &received);
                    }
                    Err(error) => endure(error).await?,
                },
            }
            if received % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(Change::Revoked)
    }

    /// Where the logs of partitions begin and end: the first offset, and the one after the last message.
    pub(super) async fn ends(&self, partitions: Vec<Partition>) -> Result<Vec<(Partition, (i64, i64))>, ConsumerError> {
        let consumer = Arc::clone(&self.consumer);
        let ask = move || {
            let ends = partitions.into_iter().map(|partition| {
                let ends = consumer.fetch_watermarks(&partition.topic, partition.nr, TIMEOUT)?;
                Ok((partition, ends))
            });
            ends.collect::<KafkaResult<_>>()
        };
        Ok(tokio::task::spawn_blocking(ask).await.map_err(|_| KafkaError::Canceled)??)
    }

    /// Accepts an assignment.
    pub(super) fn accept(&self, partitions: &[(Partition, Log)]) -> Result<(), ConsumerError> {
        let mut list = TopicPartitionList::new();
        for (Partition { topic, nr }, log) in partitions {
            list.add_partition_offset(topic, *nr, Offset::Offset(log.start))?;
        }
        Ok(self.consumer.assign(&list)?)
    }

    /// Reports the offsets of the last messages that were processed, for lag monitors only.
    pub(super) fn report(&self, offsets: &[(Partition, i64)]) {
        if offsets.is_empty() {
            return;
        }
        let committed: KafkaResult<()> = (|| {
            let mut list = TopicPartitionList::new();
            for (Partition { topic, nr }, offset) in offsets {
                list.add_partition_offset(topic, *nr, Offset::Offset(offset + 1))?;
            }
            self.consumer.commit(&list, CommitMode::Async)
        })();
        if let Err(error) = committed {
            tracing::debug!(%error, "offsets were not reported");
        }
    }

    /// Leaves, and returns when the broker knows.
    pub(super) async fn leave(self) {
        if tokio::task::spawn_blocking(move || drop(self)).await.is_err() {
            tracing::warn!("leaving a consumer group was interrupted");
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Release);
        // An assignment that was not accepted yet would be waited for.
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "nothing to give back");
        }
    }
}

/// The messages that have no signature. They are counted, and named once in a while.
#[derive(Default)]
struct Forged {
    /// When one was named last, and how many have come since.
    named: Option<Instant>,
    since: u64,
}

impl Forged {
    fn note(&mut self, message: &impl Message) {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        metrics::counter!("daybook_messages_not_signed_total", "topic" => topic.to_owned()).increment(1);
        self.since += 1;
        if self.named.is_none_or(|named| named.elapsed() >= NAME_EVERY) {
            let messages = std::mem::take(&mut self.since);
            self.named = Some(Instant::now());
            tracing::warn!(
                topic,
                partition,
                offset,
                messages,
                "messages without a signature of this book are left out"
            );
        }
    }
}

/// librdkafka recovers from most errors by itself. The others are returned, such as the loss of a topic: when a topic of that name
/// exists again, the old client takes its leaders for outdated, and waits.
async fn endure(error: KafkaError) -> Result<(), ConsumerError> {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicId, UnknownTopicOrPartition};
    let lost = matches!(
        error.rdkafka_error_code(),
        Some(UnknownPartition | UnknownTopic | UnknownTopicId | UnknownTopicOrPartition)
    );
    if lost || matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return Err(error.into());
    }
    tracing::warn!(%error, "the broker is disturbed");
    tokio::time::sleep(ERROR_PAUSE).await;
    Ok(())
}
