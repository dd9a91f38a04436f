//! Whether Kafka has what the book has: every retained message is an event of the book, where it belongs, with an unbroken
//! chain, and from the first retained one up to what the relay has published none is missing. What a broker has forgotten
//! cannot be checked, and is not counted.
//!
//! Both sides are read once, whatever their length: the messages as they come, a page of them compared with their events; then
//! the book, for what did not come. Of every event only one byte is remembered meanwhile.

mod logs;

use std::collections::BTreeMap;

use daybook_event_store::{Daybook, RecordedEvent};
use daybook_event_stream::{KafkaSettings, Topology, envelope::Delivery};
use daybook_projectors::audit::short;
use futures::{TryStreamExt, pin_mut};
use tokio::sync::mpsc;
use uuid::Uuid;

use self::logs::{Arrived, Place};
use super::Check;

/// How many pages of messages may wait to be compared.
const AHEAD: usize = 4;

pub(super) async fn check(book: &Daybook, kafka: &KafkaSettings) -> anyhow::Result<Check> {
    let topology = &kafka.topology;
    // What is published by now must be there; what comes later does not matter.
    let mut audit = Audit {
        check: Check::new("Kafka equals the book"),
        topology,
        history: book.head().await?.epoch,
        logs: logs(book, topology).await?,
        seen: Vec::new(),
    };
    let (pages, mut arrived) = mpsc::channel(AHEAD);
    let settings = kafka.clone();
    let reading = tokio::task::spawn_blocking(move || logs::read(&settings, &pages));
    while let Some(page) = arrived.recv().await {
        audit.compare(book, page).await?;
    }
    for (place, end) in reading.await?? {
        audit.logs.entry(place).or_default().end = end;
    }
    audit.look_for_missing(book).await?;
    Ok(audit.check)
}

/// The log of a partition.
#[derive(Debug, Default)]
struct Log {
    /// The event that the relay has published last, and the offset after it.
    published: i64,
    published_end: i64,
    /// The offset after the last message.
    end: i64,
    /// The first message says that nothing is missing after this position.
    start: Option<i64>,
    /// The last message so far, and the newest one.
    last: i64,
    newest: i64,
}

/// What the relay says that it has published.
async fn logs(book: &Daybook, topology: &Topology) -> anyhow::Result<BTreeMap<Place, Log>> {
    let client = book.pool().get().await?;
    let sql = "SELECT topic, partition, log_position, last_offset FROM relay_partitions WHERE topic = ANY ($1)";
    let mut logs = BTreeMap::new();
    for row in client.query(sql, &[&topology.topics()]).await? {
        let end = row.try_get::<_, i64>(3)? + 1;
        let log = Log { published: row.try_get(2)?, published_end: end, ..Log::default() };
        logs.insert(Place { topic: row.try_get(0)?, partition: row.try_get(1)? }, log);
    }
    Ok(logs)
}

struct Audit<'t> {
    check: Check,
    topology: &'t Topology,
    /// Of which history every message must be.
    history: Uuid,
    logs: BTreeMap<Place, Log>,
    /// Which positions have come where they belong.
    seen: Vec<bool>,
}

impl Audit<'_> {
    /// Compares a page of messages with the book.
    async fn compare(&mut self, book: &Daybook, page: Vec<Arrived>) -> anyhow::Result<()> {
        let positions: Vec<i64> =
            page.iter().filter_map(|arrived| Some(arrived.delivery.as_ref().ok()?.event.position)).collect();
        let events = book.read_at(&positions).await?;
        let events: BTreeMap<i64, RecordedEvent> = events.into_iter().map(|event| (event.position, event)).collect();
        for Arrived { place, offset, key, delivery } in page {
            self.check.checked += 1;
            match delivery {
                Ok(delivery) => {
                    self.is_in_place(&place, key.as_deref(), &delivery.event);
                    self.is_in_chain(&place, &delivery);
                    self.is_of_this_history(&place, &delivery);
                    self.is_as_in_book(&delivery.event, events.get(&delivery.event.position));
                }
                Err(error) => self.check.found(|| format!("{place} at offset {offset} is no event: {error}")),
            }
        }
        Ok(())
    }

    fn is_in_place(&mut self, place: &Place, key: Option<&str>, event: &RecordedEvent) {
        let RecordedEvent { position, stream_id, .. } = event;
        if key != Some(stream_id) {
            self.check.found(|| format!("position {position} of {stream_id} in {place} has the key {key:?}"));
        }
        if self.topology.is_in(event, &place.topic, place.partition) {
            let index = usize::try_from(*position).unwrap_or(0);
            if self.seen.len() <= index {
                self.seen.resize(index + 1, false);
            }
            self.seen[index] = true;
        } else {
            self.check.found(|| format!("position {position} of {stream_id} does not belong in {place}"));
        }
    }

    /// Positions mean other events in another history.
    fn is_of_this_history(&mut self, place: &Place, Delivery { event, history, .. }: &Delivery) {
        if *history != self.history {
            let position = event.position;
            self.check.found(|| {
                format!("position {position} in {place} is of the history {history}, which is not the book's")
            });
        }
    }

    /// A message must name the one before it. Where the log begins, or was filled once more, it names what it goes on from.
    fn is_in_chain(&mut self, place: &Place, Delivery { event, prev_sequence, .. }: &Delivery) {
        let (log, position, prev) = (self.logs.entry(place.clone()).or_default(), event.position, *prev_sequence);
        let follows = match log.start {
            None => prev < position,
            Some(_) if position <= log.last => prev < position,
            Some(_) => prev == log.last || (prev == log.newest && position > log.newest),
        };
        let last = log.last;
        log.start.get_or_insert(prev);
        (log.last, log.newest) = (position, log.newest.max(position));
        if !follows {
            self.check.found(|| format!("position {position} in {place} names {prev} before it and follows {last}"));
        }
    }

    fn is_as_in_book(&mut self, message: &RecordedEvent, event: Option<&RecordedEvent>) {
        let position = message.position;
        match event {
            Some(event) if event == message => {}
            Some(event) => self.check.found(|| difference(message, event)),
            None => self.check.found(|| format!("position {position} is on Kafka and is not in the book")),
        }
    }

    /// What was published after a log begins must have come.
    async fn look_for_missing(&mut self, book: &Daybook) -> anyhow::Result<()> {
        let last = self.logs.values().map(|log| log.published).max().unwrap_or(0);
        let events = book.scan(0, last).await?;
        pin_mut!(events);
        while let Some(event) = events.try_next().await? {
            let RecordedEvent { position, stream_id, .. } = &event;
            let Ok(slice) = self.topology.slice_of(stream_id) else { continue };
            let place = Place { topic: self.topology.topic(slice), partition: self.topology.partition_of(stream_id) };
            let Some(log) = self.logs.get(&place) else { continue };
            // A log without messages goes on from where the relay says.
            let retained = log.start.unwrap_or(log.published) < *position && *position <= log.published;
            let seen = usize::try_from(*position).ok().and_then(|index| self.seen.get(index));
            if retained && seen != Some(&true) {
                self.check.found(|| format!("{place} lacks position {position} of {stream_id}"));
            }
        }
        for (place, log) in self.logs.iter().filter(|(_, log)| log.end < log.published_end) {
            let Log { end, published_end, published, .. } = log;
            self.check.found(|| {
                format!("{place} ends at offset {end} and not at {published_end}, after position {published}")
            });
        }
        Ok(())
    }
}

/// In what a message differs from its event.
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
