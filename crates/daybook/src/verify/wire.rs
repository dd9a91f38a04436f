//! Whether Kafka has what the book has: every retained message is an event of the book, in order, with an unbroken chain, up to
//! what the relay has published. What a broker has forgotten cannot be checked, and is not counted.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use daybook_event_store::{Daybook, Filter};
use daybook_event_stream::{
    KafkaSettings,
    envelope::{self, Delivery},
    relay,
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use super::Check;

/// How long a question to the broker may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What was read of a partition.
type Partitions = BTreeMap<(String, i32), Vec<Delivery>>;

pub(super) async fn check(book: &Daybook, kafka: &KafkaSettings) -> anyhow::Result<Check> {
    // What is published by now must be there; what comes later does not matter.
    let status = relay::status(book).await?;
    let settings = kafka.clone();
    let read = tokio::task::spawn_blocking(move || read(&settings)).await??;
    let mut found = Vec::new();
    let mut checked = 0;
    for deliveries in read.values() {
        checked += i64::try_from(deliveries.len())?;
        chain(deliveries, &mut found);
        in_book(book, deliveries, &mut found).await?;
    }
    for last in status.partitions.into_iter().filter(|last| last.last_position > 0) {
        let end = read.get(&(last.topic.clone(), last.partition)).and_then(|deliveries| deliveries.last());
        if end.is_none_or(|end| end.event.position < last.last_position) {
            found.push(format!("{}[{}] lacks position {}", last.topic, last.partition, last.last_position));
        }
    }
    let violations = i64::try_from(found.len())?;
    Ok(Check { name: "Kafka equals the book".to_owned(), checked, violations, first: found.into_iter().next() })
}

/// Messages of a partition, without repetitions, must go up, each naming the one before it.
fn chain(deliveries: &[Delivery], found: &mut Vec<String>) {
    let mut last: Option<i64> = None;
    for Delivery { event, prev_sequence } in deliveries {
        match last {
            Some(last) if event.position <= last => continue,
            Some(last) if *prev_sequence != last => {
                found.push(format!("position {} names {prev_sequence} before it and follows {last}", event.position));
            }
            _ => {}
        }
        last = Some(event.position);
    }
}

/// Every message must be as the event stands in the book.
async fn in_book(book: &Daybook, deliveries: &[Delivery], found: &mut Vec<String>) -> anyhow::Result<()> {
    const PAGE: usize = 5_000;
    let (Some(first), Some(last)) = (deliveries.first(), deliveries.last()) else { return Ok(()) };
    let mut by_position: BTreeMap<i64, &Delivery> = deliveries.iter().map(|d| (d.event.position, d)).collect();
    let mut after = first.event.position - 1;
    while after < last.event.position {
        let events = book.read_after(after, PAGE, &Filter::default()).await?;
        let Some(end) = events.last().map(|event| event.position) else { break };
        after = end;
        for event in events {
            if by_position.remove(&event.position).is_some_and(|delivery| delivery.event != event) {
                found.push(format!("position {} is not as in the book", event.position));
            }
        }
    }
    found.extend(by_position.keys().map(|position| format!("position {position} is not in the book")));
    Ok(())
}

/// Reads every partition from its first retained message to its end.
fn read(kafka: &KafkaSettings) -> anyhow::Result<Partitions> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("group.id", "daybook-verify")
        .set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut wanted = TopicPartitionList::new();
    let mut ends = BTreeMap::new();
    for topic in kafka.topology.topics() {
        for partition in 0..kafka.topology.partitions {
            let watermarks = consumer.fetch_watermarks(&topic, partition, TIMEOUT);
            let (low, high) = watermarks.with_context(|| format!("{topic}[{partition}] cannot be read"))?;
            if high > low {
                wanted.add_partition_offset(&topic, partition, Offset::Offset(low))?;
                ends.insert((topic.clone(), partition), high);
            }
        }
    }
    let mut read = Partitions::new();
    if ends.is_empty() {
        return Ok(read);
    }
    consumer.assign(&wanted)?;
    while !ends.is_empty() {
        let message = consumer.poll(TIMEOUT).context("the broker fell silent")??;
        let partition = (message.topic().to_owned(), message.partition());
        let Some(end) = ends.get(&partition).copied() else { continue };
        let place = || format!("{}[{}] at offset {}", message.topic(), message.partition(), message.offset());
        let delivery = envelope::decode(&message).with_context(place)?;
        if message.offset() + 1 >= end {
            ends.remove(&partition);
        }
        read.entry(partition).or_default().push(delivery);
    }
    Ok(read)
}
