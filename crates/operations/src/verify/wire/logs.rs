//! Reading every partition from its first retained message to its end.

use std::{
    collections::BTreeMap,
    fmt, mem,
    time::{Duration, Instant},
};

use anyhow::Context;
use daybook_event_stream::{
    KafkaSettings,
    envelope::{self, Delivery, EnvelopeError},
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use tokio::sync::mpsc;

/// How long a question to the broker may take, and how long it may say nothing.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How many messages are compared at once.
const PAGE: usize = 1_000;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// A message.
pub(super) struct Arrived {
    pub(super) place: Place,
    pub(super) offset: i64,
    pub(super) key: Option<String>,
    pub(super) delivery: Result<Delivery, EnvelopeError>,
}

/// Reads all that is there by now, and returns the offset after the last message of every partition.
pub(super) fn read(kafka: &KafkaSettings, pages: &mpsc::Sender<Vec<Arrived>>) -> anyhow::Result<BTreeMap<Place, i64>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("group.id", "daybook-verify")
        .set("enable.auto.commit", "false")
        // What retention deletes meanwhile is passed over.
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "20");
    let consumer: BaseConsumer = config.create()?;
    let ends = assign(kafka, &consumer)?;
    let mut unread: BTreeMap<_, _> = ends.clone();
    unread.retain(|_, (low, high)| low < high);
    let (mut page, mut heard) = (Vec::with_capacity(PAGE), Instant::now());
    while !unread.is_empty() {
        let message = match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => message,
            Some(Err(fatal @ KafkaError::MessageConsumptionFatal(_))) => return Err(fatal.into()),
            // The client connects again by itself where a connection is lost.
            Some(Err(trouble)) if heard.elapsed() > TIMEOUT => return Err(trouble.into()),
            None if heard.elapsed() > TIMEOUT => anyhow::bail!("the broker fell silent"),
            _ => continue,
        };
        heard = Instant::now();
        let place = Place { topic: message.topic().to_owned(), partition: message.partition() };
        let Some(&(_, high)) = unread.get(&place) else { continue };
        if message.offset() + 1 >= high {
            unread.remove(&place);
        }
        if message.offset() < high {
            let key = message.key().map(|key| String::from_utf8_lossy(key).into_owned());
            page.push(Arrived { place, offset: message.offset(), key, delivery: envelope::decode(&message) });
        }
        if page.len() == PAGE && pages.blocking_send(mem::take(&mut page)).is_err() {
            break;
        }
    }
    // Nobody listens any more when comparing has failed; the failure says so.
    pages.blocking_send(page).ok();
    Ok(ends.into_iter().map(|(place, (_, high))| (place, high)).collect())
}

/// Has every partition read from its first message on. Returns the first offsets, and those after the last.
fn assign(kafka: &KafkaSettings, consumer: &BaseConsumer) -> anyhow::Result<BTreeMap<Place, (i64, i64)>> {
    let (mut wanted, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
    for topic in kafka.topology.topics() {
        for partition in 0..kafka.topology.partitions {
            let watermarks = consumer.fetch_watermarks(&topic, partition, TIMEOUT);
            let (low, high) = watermarks.with_context(|| format!("{topic}[{partition}] cannot be read"))?;
            if low < high {
                wanted.add_partition_offset(&topic, partition, Offset::Offset(low))?;
            }
            ends.insert(Place { topic: topic.clone(), partition }, (low, high));
        }
    }
    consumer.assign(&wanted)?;
    Ok(ends)
}
