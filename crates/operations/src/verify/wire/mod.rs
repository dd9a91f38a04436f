//! Kafka equals the book: every retained message is an event of the book, in its partition, in an unbroken chain. No event is missing
//! between the first retained message and the last published one. Messages that the broker has deleted cannot be checked.
//!
//! A message without a signature of this book's relay is no violation: anyone may have written it, and no reader of this engine believes it.
//! Where it says what the book says, a relay of an earlier program has published it.
//!
//! Both sides are read once, whatever their length: first the messages, a page of them compared with their events, then the book for
//! missing messages. Meanwhile one byte per event is kept in memory.

mod logs;

use std::collections::BTreeMap;

use daybook_event_store::{Daybook, RecordedEvent};
use daybook_event_stream::{
    KafkaSettings, Topology,
    envelope::{EnvelopeError, EventMessage},
    signature::WireKeys,
};
use daybook_projectors::audit::short;
use futures::{TryStreamExt, pin_mut};
use tokio::sync::mpsc;
use uuid::Uuid;

use self::logs::{PartitionId, ReadMessage};
use super::Check;

/// The number of pages of messages that may wait for comparison.
const PAGES_AHEAD: usize = 4;

pub(super) async fn check(book: &Daybook, kafka: &KafkaSettings) -> anyhow::Result<Check> {
    let topology = &kafka.topology;
    // What is published by now must be in Kafka. Later messages do not matter.
    let mut audit = Audit {
        check: Check::new("Kafka equals the book"),
        topology,
        history: book.head().await?.epoch,
        logs: logs(book, topology).await?,
        seen: Vec::new(),
        not_signed: 0,
    };
    let (pages, mut read) = mpsc::channel(PAGES_AHEAD);
    let (settings, keys) = (kafka.clone(), WireKeys::load(book).await?);
    let reading = tokio::task::spawn_blocking(move || logs::read(&settings, &keys, &pages));
    while let Some(page) = read.recv().await {
        audit.compare(book, page).await?;
    }
    for (partition, end) in reading.await?? {
        audit.logs.entry(partition).or_default().end = end;
    }
    audit.look_for_missing(book).await?;
    if audit.not_signed > 0 {
        tracing::warn!(
            messages = audit.not_signed,
            "the topics hold messages that the relay of this book has not written"
        );
    }
    Ok(audit.check)
}

/// The log of a partition.
#[derive(Debug, Default)]
struct Log {
    /// The position of the last published event, and the offset after it.
    published: i64,
    published_end: i64,
    /// The offset after the last message.
    end: i64,
    /// The position before the first message, by that message itself.
    start: Option<i64>,
    /// The position of the last message so far, and the highest one.
    last: i64,
    newest: i64,
}

/// The state of the relay: what it has published.
async fn logs(book: &Daybook, topology: &Topology) -> anyhow::Result<BTreeMap<PartitionId, Log>> {
    let client = book.pool().get().await?;
    let sql = "SELECT topic, partition, log_position, last_offset FROM relay_partitions WHERE topic = ANY ($1)";
    let mut logs = BTreeMap::new();
    for row in client.query(sql, &[&topology.topics()]).await? {
        let end = row.try_get::<_, i64>(3)? + 1;
        let log = Log { published: row.try_get(2)?, published_end: end, ..Log::default() };
        logs.insert(PartitionId { topic: row.try_get(0)?, partition: row.try_get(1)? }, log);
    }
    Ok(logs)
}

struct Audit<'t> {
    check: Check,
    topology: &'t Topology,
    /// The history that every message must be of.
    history: Uuid,
    logs: BTreeMap<PartitionId, Log>,
    /// The positions that were found in their partition.
    seen: Vec<bool>,
    /// How many messages are not signed and not what the book says.
    not_signed: u64,
}

impl Audit<'_> {
    /// Compares a page of messages with the book.
    async fn compare(&mut self, book: &Daybook, page: Vec<ReadMessage>) -> anyhow::Result<()> {
        let positions: Vec<i64> =
            page.iter().filter_map(|message| Some(message.content.as_ref().ok()?.event.position)).collect();
        let events = book.read_at(&positions).await?;
        let events: BTreeMap<i64, RecordedEvent> = events.into_iter().map(|event| (event.position, event)).collect();
        for ReadMessage { partition, offset, key, is_genuine, content } in page {
            self.check.checked += 1;
            if !is_genuine {
                self.note_not_signed(&partition, content, &events);
                continue;
            }
            match content {
                Ok(content) => {
                    self.is_in_place(&partition, key.as_deref(), &content.event);
                    self.is_in_chain(&partition, content.event.position, content.prev_sequence);
                    self.is_of_this_history(&partition, &content);
                    self.is_as_in_book(&content.event, events.get(&content.event.position));
                }
                // What stands for an event that was set aside is no violation of the wire; `the relay has set nothing aside` names the event.
                Err(EnvelopeError::SetAside { position, prev_sequence, .. }) => {
                    self.is_seen(position);
                    self.is_in_chain(&partition, position, prev_sequence);
                }
                Err(error) => self.check.violation(|| format!("{partition} at offset {offset} is no event: {error}")),
            }
        }
        Ok(())
    }

    /// Notes a message without a signature.
    fn note_not_signed(
        &mut self,
        partition: &PartitionId,
        content: Result<EventMessage, EnvelopeError>,
        events: &BTreeMap<i64, RecordedEvent>,
    ) {
        let PartitionId { topic, partition: nr } = partition;
        match content {
            Ok(EventMessage { event, history, .. })
                if history == self.history
                    && events.get(&event.position) == Some(&event)
                    && self.topology.is_in(&event, topic, *nr) =>
            {
                self.is_seen(event.position);
                let log = self.logs.entry(partition.clone()).or_default();
                (log.last, log.newest) = (event.position, log.newest.max(event.position));
            }
            _ => self.not_signed += 1,
        }
    }

    fn is_in_place(&mut self, partition: &PartitionId, key: Option<&str>, event: &RecordedEvent) {
        let RecordedEvent { position, stream_id, .. } = event;
        if key != Some(stream_id) {
            self.check.violation(|| format!("position {position} of {stream_id} in {partition} has the key {key:?}"));
        }
        if self.topology.is_in(event, &partition.topic, partition.partition) {
            self.is_seen(*position);
        } else {
            self.check.violation(|| format!("position {position} of {stream_id} does not belong in {partition}"));
        }
    }

    fn is_seen(&mut self, position: i64) {
        let index = usize::try_from(position).unwrap_or(0);
        if self.seen.len() <= index {
            self.seen.resize(index + 1, false);
        }
        self.seen[index] = true;
    }

    /// In another history, positions belong to other events.
    fn is_of_this_history(&mut self, partition: &PartitionId, EventMessage { event, history, .. }: &EventMessage) {
        if *history != self.history {
            let position = event.position;
            self.check.violation(|| {
                format!("position {position} in {partition} is of the history {history}, which is not the book's")
            });
        }
    }

    /// A message names the position before it. At the start of the log, and where the log was refilled, that message may be missing.
    fn is_in_chain(&mut self, partition: &PartitionId, position: i64, prev: i64) {
        let log = self.logs.entry(partition.clone()).or_default();
        let follows = match log.start {
            None => prev < position,
            Some(_) if position <= log.last => prev < position,
            Some(_) => prev == log.last || (prev == log.newest && position > log.newest),
        };
        let last = log.last;
        log.start.get_or_insert(prev);
        (log.last, log.newest) = (position, log.newest.max(position));
        if !follows {
            self.check
                .violation(|| format!("position {position} in {partition} names {prev} before it and follows {last}"));
        }
    }

    fn is_as_in_book(&mut self, message: &RecordedEvent, event: Option<&RecordedEvent>) {
        let position = message.position;
        match event {
            Some(event) if event == message => {}
            Some(event) => self.check.violation(|| difference(message, event)),
            None => self.check.violation(|| format!("position {position} is on Kafka and is not in the book")),
        }
    }

    /// Every event after the start of a log up to the last published one must have been found.
    async fn look_for_missing(&mut self, book: &Daybook) -> anyhow::Result<()> {
        let last = self.logs.values().map(|log| log.published).max().unwrap_or(0);
        let events = book.scan(0, last).await?;
        pin_mut!(events);
        while let Some(event) = events.try_next().await? {
            let RecordedEvent { position, stream_id, .. } = &event;
            let Ok(slice) = self.topology.slice_of(stream_id) else { continue };
            let partition =
                PartitionId { topic: self.topology.topic(slice), partition: self.topology.partition_of(stream_id) };
            let Some(log) = self.logs.get(&partition) else { continue };
            // A log without messages continues after the last published event.
            let retained = log.start.unwrap_or(log.published) < *position && *position <= log.published;
            let seen = usize::try_from(*position).ok().and_then(|index| self.seen.get(index));
            if retained && seen != Some(&true) {
                self.check.violation(|| format!("{partition} lacks position {position} of {stream_id}"));
            }
        }
        for (partition, log) in self.logs.iter().filter(|(_, log)| log.end < log.published_end) {
            let Log { end, published_end, published, .. } = log;
            self.check.violation(|| {
                format!("{partition} ends at offset {end} and not at {published_end}, after position {published}")
            });
        }
        Ok(())
    }
}

/// The first difference between a message and its event.
fn difference(message: &RecordedEvent, event: &RecordedEvent) -> String {
    let members = |event: &RecordedEvent| serde_json::to_value(event).unwrap_or_default();
    let (on_kafka, in_book) = (members(message), members(event));
    let different = on_kafka.as_object().into_iter().flatten().find(|(name, value)| in_book.get(name) != Some(value));
    let position = event.position;
    match different {
        Some((name, value)) => {
            let (value, book) = (short(value), in_book.get(name).map_or_else(|| "nothing".to_owned(), short));
            format!("position {position} has {name} {value} on Kafka, the book says {book}")
        }
        None => format!("position {position} is written in another way on Kafka"),
    }
}
