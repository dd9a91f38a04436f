//! Receiving: a Kafka consumer that tells when its assignment has changed.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::FutureExt;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer},
};

use super::{
    ConsumerError,
    checkpoints::{Checkpoint, Partition},
};
use crate::{
    envelope::{self, Delivery, EnvelopeError},
    kafka::{KafkaSettings, TIMEOUT},
};

/// A message, and what it says.
pub(super) struct Received {
    pub(super) partition: Partition,
    pub(super) offset: i64,
    pub(super) delivery: Result<Delivery, EnvelopeError>,
}

/// Counts rebalances.
#[derive(Clone, Default)]
struct Assignments(Arc<AtomicU64>);

impl ClientContext for Assignments {}

impl ConsumerContext for Assignments {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Assign(_)) {
            self.0.fetch_add(1, Ordering::Release);
        }
    }
}

/// The messages of a consumer group.
pub(super) struct Messages {
    consumer: StreamConsumer<Assignments>,
    assignments: Assignments,
    seen: u64,
}

impl Messages {
    pub(super) fn subscribe(kafka: &KafkaSettings, group: &str, topics: &[String]) -> Result<Self, ConsumerError> {
        let assignments = Assignments::default();
        let consumer: StreamConsumer<Assignments> = kafka
            .client()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "range")
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", "16384")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .create_with_context(assignments.clone())?;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        Ok(Self { consumer, assignments, seen: 0 })
    }

    /// At least one message, and as many more as are there, up to `limit`.
    pub(super) async fn receive(&self, limit: usize) -> Result<Vec<Received>, ConsumerError> {
        let mut received = vec![read(&self.consumer.recv().await?)];
        while received.len() < limit {
            match pin!(self.consumer.recv()).now_or_never() {
                Some(message) => received.push(read(&message?)),
                None => break,
            }
        }
        Ok(received)
    }

    /// The partitions of this process, if they have changed since the last time they were asked for.
    pub(super) fn reassigned(&mut self) -> Result<Option<Vec<Partition>>, ConsumerError> {
        let now = self.assignments.0.load(Ordering::Acquire);
        if now == self.seen {
            return Ok(None);
        }
        self.seen = now;
        let assigned = self.consumer.assignment()?;
        Ok(Some(assigned.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect()))
    }

    /// Goes to the message after each checkpoint. Where there is none any more, the broker begins at the earliest.
    pub(super) fn seek<'a>(
        &self,
        checkpoints: impl IntoIterator<Item = (&'a Partition, &'a Checkpoint)>,
    ) -> Result<(), ConsumerError> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), checkpoint) in checkpoints {
            list.add_partition_offset(topic, *partition, Offset::Offset(checkpoint.offset + 1))?;
        }
        self.consumer.seek_partitions(list, TIMEOUT)?;
        Ok(())
    }

    /// Tells Kafka how far it is, for lag monitors only.
    pub(super) fn report<'a>(&self, checkpoints: impl IntoIterator<Item = (&'a Partition, &'a Checkpoint)>) {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), checkpoint) in checkpoints {
            if let Err(error) = list.add_partition_offset(topic, *partition, Offset::Offset(checkpoint.offset + 1)) {
                tracing::debug!(%error, "an offset was not reported");
            }
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "offsets were not reported");
        }
    }
}

fn read(message: &impl Message) -> Received {
    Received {
        partition: (message.topic().to_owned(), message.partition()),
        offset: message.offset(),
        delivery: envelope::decode(message),
    }
}
