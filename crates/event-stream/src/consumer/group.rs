//! Membership of a Kafka consumer group: which partitions are this process's, and a queue of messages for each.
//!
//! The assignment is accepted only after the checkpoints were read, so that every partition begins at its checkpoint and nothing
//! is fetched twice.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{
        BaseConsumer, CommitMode, Consumer, ConsumerContext, StreamConsumer, stream_consumer::StreamPartitionQueue,
    },
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use tokio::sync::mpsc;

use super::{
    ConsumerError,
    contract::{Checkpoint, Messages, Partition, Received},
};
use crate::{
    envelope,
    kafka::{KafkaSettings, TIMEOUT},
};

/// How long to wait after the broker has reported an error that librdkafka mends by itself.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// What has happened to this member.
pub(super) enum Change {
    /// It has these partitions now, once it has [begun](Group::begin) with them.
    Assigned(Vec<Partition>),
    /// It has none any more.
    Revoked,
}

/// What librdkafka tells about the membership.
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
            // At once: whoever gets them next must not wait. What is under way here cannot be committed after that.
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "partitions were not given back");
            }
            Change::Revoked
        };
        // Nobody listens any more while the member leaves.
        self.changes.send(change).ok();
    }
}

/// A member of a group.
pub(super) struct Group {
    consumer: Arc<StreamConsumer<Membership>>,
    changes: mpsc::UnboundedReceiver<Change>,
    leaving: Arc<AtomicBool>,
}

impl Group {
    pub(super) fn join(kafka: &KafkaSettings, name: &str, topics: &[String]) -> Result<Self, ConsumerError> {
        let (sender, changes) = mpsc::unbounded_channel();
        let leaving = Arc::new(AtomicBool::new(false));
        let consumer: StreamConsumer<Membership> = kafka
            .client()
            .set("group.id", format!("{}.{name}", kafka.topology.prefix))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "range")
            .set("fetch.wait.max.ms", kafka.fetch_wait.as_millis().to_string())
            .set("fetch.queue.backoff.ms", "50")
            .set("queued.max.messages.kbytes", "16384")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .create_with_context(Membership { changes: sender, leaving: Arc::clone(&leaving) })?;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        Ok(Self { consumer: Arc::new(consumer), changes, leaving })
    }

    /// Waits for a change of the assignment. Must be waited for all the time, since it also serves librdkafka's events.
    pub(super) async fn change(&mut self) -> Result<Change, ConsumerError> {
        loop {
            tokio::select! {
                biased;
                Some(change) = self.changes.recv() => return Ok(change),
                message = self.consumer.recv() => match message {
                    // Every partition has a queue of its own. Were one to come here, its partition would notice the gap.
                    Ok(message) => tracing::debug!(topic = message.topic(), offset = message.offset(), "a stray message"),
                    Err(error) => endure(error).await?,
                },
            }
        }
    }

    /// Accepts partitions, each from its checkpoint on, and returns their queues.
    pub(super) async fn begin(
        &self,
        partitions: Vec<Partition>,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<Queue>, ConsumerError> {
        let (consumer, starts) = (Arc::clone(&self.consumer), checkpoints.to_vec());
        let begin = move || {
            let mut list = TopicPartitionList::new();
            let mut queues = Vec::with_capacity(partitions.len());
            for (partition, checkpoint) in partitions.into_iter().zip(starts) {
                let Partition { topic, nr } = &partition;
                let (low, high) = consumer.fetch_watermarks(topic, *nr, TIMEOUT)?;
                let start = checkpoint.start(low, high);
                list.add_partition_offset(topic, *nr, start.offset.map_or(Offset::Beginning, Offset::Offset))?;
                let messages = consumer.split_partition_queue(topic, *nr).ok_or(KafkaError::Canceled)?;
                queues.push(Queue { consumer: Arc::clone(&consumer), messages, partition, began_at_end: start.at_end });
            }
            consumer.assign(&list)?;
            Ok::<_, KafkaError>(queues)
        };
        Ok(tokio::task::spawn_blocking(begin).await.map_err(|_| KafkaError::Canceled)??)
    }

    /// Leaves, and returns when the broker knows. The queues must be gone.
    pub(super) async fn leave(self) {
        if tokio::task::spawn_blocking(move || drop(self)).await.is_err() {
            tracing::warn!("leaving a consumer group was interrupted");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Release);
        // An assignment that was not accepted yet would be waited for.
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "nothing to give back");
        }
    }
}

/// The messages of a partition.
pub(super) struct Queue {
    consumer: Arc<StreamConsumer<Membership>>,
    messages: StreamPartitionQueue<Membership>,
    partition: Partition,
    began_at_end: bool,
}

impl Messages for Queue {
    fn partition(&self) -> &Partition {
        &self.partition
    }

    fn began_at_end(&self) -> bool {
        self.began_at_end
    }

    async fn next(&self) -> Result<Received, ConsumerError> {
        loop {
            match self.messages.recv().await {
                Ok(message) => return Ok(read(&message)),
                Err(error) => endure(error).await?,
            }
        }
    }

    async fn drain(&self, limit: usize, received: &mut Vec<Received>) -> Result<usize, ConsumerError> {
        let mut taken = 0;
        while taken < limit {
            match pin!(self.messages.recv()).now_or_never() {
                Some(Ok(message)) => received.push(read(&message)),
                Some(Err(error)) => {
                    endure(error).await?;
                    break;
                }
                None => break,
            }
            taken += 1;
        }
        Ok(taken)
    }

    fn report(&self, offset: i64) {
        let committed: KafkaResult<()> = (|| {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&self.partition.topic, self.partition.nr, Offset::Offset(offset + 1))?;
            self.consumer.commit(&list, CommitMode::Async)
        })();
        if let Err(error) = committed {
            tracing::debug!(%error, "an offset was not reported");
        }
    }
}

/// librdkafka goes on by itself after most errors; what it cannot mend is returned. A topic that was lost is such a thing: when
/// there is one of that name again, the old client takes its leaders for outdated, and waits.
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

fn read(message: &impl Message) -> Received {
    Received { offset: message.offset(), delivery: envelope::decode(message) }
}
