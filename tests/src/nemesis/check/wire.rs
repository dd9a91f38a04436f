//! Compares Kafka with the book. Every event is once and in order in its partition, and names the event before it. Where topics were
//! filled again, repeated messages are skipped, as consumers do.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::ensure;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};
use serde_json::Value;

use super::Check;
use crate::nemesis::book::Book;

const TIMEOUT: Duration = Duration::from_secs(60);

/// The checked parts of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its topic and partition.
    pub place: (String, i32),
    /// The stream.
    pub key: String,
    /// The position.
    pub sequence: i64,
    /// The position of the event before it.
    pub previous: i64,
    /// The id of the event.
    pub id: String,
    /// The data of the event, without `_meta`.
    pub data: Value,
}

/// Reads all messages that the broker still holds, partition by partition.
///
/// # Errors
/// When the broker fails.
pub fn read(brokers: &str, topics: &[String], partitions: i32) -> anyhow::Result<Vec<Message>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "nemesis")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    let (mut wanted, mut unread) = (TopicPartitionList::new(), BTreeMap::new());
    for topic in topics {
        for partition in 0..partitions {
            let (low, high) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
            if low < high {
                wanted.add_partition_offset(topic, partition, Offset::Offset(low))?;
                unread.insert((topic.clone(), partition), high);
            }
        }
    }
    consumer.assign(&wanted)?;
    let (mut messages, mut heard) = (Vec::new(), Instant::now());
    while !unread.is_empty() {
        let message = match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => message,
            Some(Err(fatal @ KafkaError::MessageConsumptionFatal(_))) => return Err(fatal.into()),
            // The client reconnects by itself after a lost connection.
            _ => {
                ensure!(heard.elapsed() < TIMEOUT, "the broker does not answer");
                continue;
            }
        };
        heard = Instant::now();
        let place = (message.topic().to_owned(), message.partition());
        if unread.get(&place).is_some_and(|high| message.offset() + 1 >= *high) {
            unread.remove(&place);
        }
        messages.push(taken(&message, place)?);
    }
    Ok(messages)
}

fn taken(message: &BorrowedMessage<'_>, place: (String, i32)) -> anyhow::Result<Message> {
    let header = |name: &str| {
        let headers = message.headers()?;
        let found = headers.iter().find(|header| header.key == name)?.value?;
        Some(String::from_utf8_lossy(found).into_owned())
    };
    let mut data: Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
    if let Some(data) = data.as_object_mut() {
        data.remove("_meta");
    }
    Ok(Message {
        place,
        key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
        sequence: header("ce_sequence").unwrap_or_default().parse()?,
        previous: header("ce_prevsequence").unwrap_or_default().parse()?,
        id: header("ce_id").unwrap_or_default(),
        data,
    })
}

/// The state of a partition after the messages so far.
struct Log {
    /// No event after this position is missing.
    start: i64,
    last: i64,
}

/// Compares the messages of each partition, in order, with the book. With `keeps_all` the broker never loses a message. Then every
/// partition begins with its first event, even after it was lost and filled again. `head` is the end of the book after the messages were
/// read: commands without an outcome may be committed after `book` was read.
#[must_use]
pub fn checks(book: &Book, messages: &[Message], keeps_all: bool, head: i64) -> Vec<Check> {
    let mut same = Check::new("every message on Kafka is an event of the book");
    let mut chain = Check::new("messages are in order, and each names the one before it");
    let mut logs: BTreeMap<&(String, i32), Log> = BTreeMap::new();
    let mut places: HashMap<&str, &(String, i32)> = HashMap::new();
    let mut there = HashSet::new();
    for message in messages {
        let Message { place, key, sequence, previous, .. } = message;
        if (book.head() + 1..=head).contains(sequence) {
            continue;
        }
        let event = usize::try_from(sequence - 1).ok().and_then(|index| book.events.get(index));
        let is_same = event.is_some_and(|event| {
            (&event.stream, event.event_id.to_string(), &event.data) == (key, message.id.clone(), &message.data)
        });
        let at_home = *places.entry(key).or_insert(place) == place;
        same.holds(is_same && at_home, || format!("{place:?} has something else at position {sequence} of {key}"));
        let log = logs.entry(place).or_insert_with(|| {
            let is_first = *previous == 0 || !keeps_all;
            chain.holds(is_first, || format!("{place:?} begins with {sequence}, which names {previous} before it"));
            Log { start: *previous, last: *previous }
        });
        if *sequence <= log.last {
            // The partition was filled again, and had this message before.
            chain.holds(previous < sequence, || format!("{place:?}: {sequence} names {previous} before it"));
            continue;
        }
        let last = log.last;
        chain.holds(*previous == last, || format!("{place:?}: {sequence} names {previous} and follows {last}"));
        log.last = *sequence;
        there.insert(*sequence);
    }
    vec![same.done(), chain.done(), complete(book, &logs, &places, &there).done()]
}

/// Checks that no event is missing after the first message that a partition still has.
fn complete(
    book: &Book,
    logs: &BTreeMap<&(String, i32), Log>,
    places: &HashMap<&str, &(String, i32)>,
    there: &HashSet<i64>,
) -> Check {
    let mut check = Check::new("every event of the book is on Kafka once");
    // The partition of a stream without messages is unknown. Then its events must be after the start of all partitions.
    let latest = logs.values().map(|log| log.start).max().unwrap_or(0);
    for event in &book.events {
        let place = places.get(event.stream.as_str());
        let start = place.and_then(|place| logs.get(*place)).map_or(latest, |log| log.start);
        if event.position > start {
            let wrong = || format!("position {} of {} is missing", event.position, event.stream);
            check.holds(there.contains(&event.position), wrong);
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::nemesis::{book::Event, check::forged::Story};

    /// The messages of the book in one partition.
    fn published(book: &Book) -> Vec<Message> {
        let message = |event: &Event| Message {
            place: ("topic".to_owned(), 0),
            key: event.stream.clone(),
            sequence: event.position,
            previous: event.position - 1,
            id: event.event_id.to_string(),
            data: event.data.clone(),
        };
        book.events.iter().map(message).collect()
    }

    #[test]
    fn lost_doubled_disordered_and_foreign_messages_are_found() {
        let book = Story::true_one().book;
        let violations = |messages: &[Message], keeps_all| -> u64 {
            checks(&book, messages, keeps_all, book.head() + 1).iter().map(|check| check.violations).sum()
        };
        let found = |messages: &[Message]| violations(messages, false);
        let whole = published(&book);
        assert_eq!(found(&whole), 0);
        let again: Vec<_> = whole.iter().chain(&whole).cloned().collect();
        assert_eq!(found(&again), 0, "a topic that was filled again");
        assert_eq!(found(&whole[2..]), 0, "a broker that has forgotten the beginning");
        assert_eq!(violations(&whole[2..], true), 1, "one that does not forget");
        let end_first: Vec<_> = whole[2..].iter().chain(&whole).cloned().collect();
        assert_eq!(violations(&end_first, true), 1, "a message in flight came first in a topic that was created again");
        let mut lost = whole.clone();
        lost.remove(3);
        assert_eq!(found(&lost), 2, "the event is missing, and the chain is broken");
        assert_eq!(found(&whole[..whole.len() - 1]), 1, "the last one is missing");
        let mut swapped = whole.clone();
        swapped.swap(2, 3);
        assert!(found(&swapped) > 0);
        let mut foreign = whole.clone();
        foreign[1].data = json!({});
        assert_eq!(found(&foreign), 1);
        let beyond = |by| {
            let after = Message { sequence: book.head() + by, previous: book.head(), ..whole[0].clone() };
            found(&whole.iter().cloned().chain([after]).collect::<Vec<_>>())
        };
        assert_eq!(beyond(1), 0, "the event was written after the book was read");
        assert_eq!(beyond(2), 1, "the event is after the end of the book");
        let mut elsewhere = whole;
        elsewhere[6].place.1 = 1;
        assert!(found(&elsewhere) > 0, "a stream is in one partition");
        assert!(found(&[]) > 0, "no messages are a violation");
    }
}
