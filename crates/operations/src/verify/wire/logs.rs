//! Reading every partition from its first retained message to its end.

use std::{
    collections::BTreeMap,
    fmt, mem,
    time::{Duration, Instant},
};

use anyhow::Context;
use daybook_event_stream::{
    KafkaSettings,
    envelope::{self, EnvelopeError, EventMessage},
    signature::WireKeys,
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use tokio::sync::mpsc;

/// How long a request to the broker may take, and how long it may be silent.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The number of messages that are compared at once.
const PAGE: usize = 1_000;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionId {
    pub(super) topic: String,
    pub(super) partition: i32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// A message that was read.
pub(super) struct ReadMessage {
    pub(super) partition: PartitionId,
    pub(super) offset: i64,
    pub(super) key: Option<String>,
    /// Whether the relay of this book has signed it.
    pub(super) is_genuine: bool,
    pub(super) content: Result<EventMessage, EnvelopeError>,
}

/// Reads all messages up to now. Returns the offset after the last message of every partition.
pub(super) fn read(
    kafka: &KafkaSettings,
    keys: &WireKeys,
    pages: &mpsc::Sender<Vec<ReadMessage>>,
) -> anyhow::Result<BTreeMap<PartitionId, i64>> {
    let mut config = kafka.client();
    config
        .set("group.id", "daybook-verify")
        .set("enable.auto.commit", "false")
        // Messages that retention deletes meanwhile are skipped.
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "20");
    let consumer: BaseConsumer = config.create()?;
    let ends = assign(kafka, &consumer)?;
    let mut unread: BTreeMap<_, _> = ends.clone();
    unread.retain(|_, (low, high)| low < high);
    let (mut page, mut answered) = (Vec::with_capacity(PAGE), Instant::now());
    while !unread.is_empty() {
        let message = match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => message,
            Some(Err(fatal @ KafkaError::MessageConsumptionFatal(_))) => return Err(fatal.into()),
            // The client reconnects by itself.
            Some(Err(trouble)) if answered.elapsed() > TIMEOUT => return Err(trouble.into()),
            None if answered.elapsed() > TIMEOUT => anyhow::bail!("the broker does not answer"),
            _ => continue,
        };
        answered = Instant::now();
        let partition = PartitionId { topic: message.topic().to_owned(), partition: message.partition() };
        let Some(&(_, high)) = unread.get(&partition) else { continue };
        if message.offset() + 1 >= high {
            unread.remove(&partition);
        }
        if message.offset() < high {
            let key = message.key().map(|key| String::from_utf8_lossy(key).into_owned());
            let (offset, is_genuine) = (message.offset(), keys.is_genuine(&message));
            page.push(ReadMessage { partition, offset, key, is_genuine, content: envelope::decode(&message) });
        }
        if page.len() == PAGE && pages.blocking_send(mem::take(&mut page)).is_err() {
            break;
        }
    }
    // The receiver is gone when a comparison has failed, and that failure is reported.
    pages.blocking_send(page).ok();
    Ok(ends.into_iter().map(|(partition, (_, high))| (partition, high)).collect())
}

/// Assigns every partition from its first message on. Returns the first offsets, and the offsets after the last messages.
fn assign(kafka: &KafkaSettings, consumer: &BaseConsumer) -> anyhow::Result<BTreeMap<PartitionId, (i64, i64)>> {
    let (mut wanted, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
    for topic in kafka.topology.topics() {
        for partition in 0..kafka.topology.partitions {
            let watermarks = consumer.fetch_watermarks(&topic, partition, TIMEOUT);
            let (low, high) = watermarks.with_context(|| format!("{topic}[{partition}] cannot be read"))?;
            if low < high {
                wanted.add_partition_offset(&topic, partition, Offset::Offset(low))?;
            }
            ends.insert(PartitionId { topic: topic.clone(), partition }, (low, high));
        }
    }
    consumer.assign(&wanted)?;
    Ok(ends)
}
