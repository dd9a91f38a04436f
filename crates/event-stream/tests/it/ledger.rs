//! An effect that writes every event into a table, and that a test can make fail.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use daybook_event_store::{Daybook, RecordedEvent};
use daybook_event_stream::{
    Consumer, Effect, EffectError, Feed, KafkaSettings, SharedEvent, Start,
    consumer::{
        Ended,
        feed::{ConsumerGroup, InboxLimits},
    },
};
use deadpool_postgres::Transaction;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::world::{Running, World, until};

/// Writes each event into the ledger. A second time would violate the primary key.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) fails: Arc<AtomicBool>,
    pub(crate) retired: Arc<AtomicBool>,
    pub(crate) poison: Arc<Mutex<Vec<i64>>>,
    /// Why an event is poisoned, if that matters.
    pub(crate) poison_reason: Arc<Mutex<String>>,
    /// Positions of events that a newer program has written.
    pub(crate) newer: Arc<Mutex<Vec<i64>>>,
    /// Positions of events whose statement overflows a number in PostgreSQL.
    pub(crate) overflowing: Arc<Mutex<Vec<i64>>>,
    /// How often it was called with events.
    pub(crate) calls: Arc<AtomicUsize>,
    /// The most events of one call.
    pub(crate) largest_batch: Arc<AtomicUsize>,
    /// Locked while events are applied.
    pub(crate) gate: Arc<tokio::sync::Mutex<()>>,
    /// The name of the process that writes.
    pub(crate) writer: &'static str,
}

impl Effect for Ledger {
    fn knows(&self, event: &RecordedEvent) -> bool {
        let is_in = |list: &Mutex<Vec<i64>>| list.lock().expect("no panic").contains(&event.position);
        !is_in(&self.newer) && !is_in(&self.poison)
    }

    async fn apply(&self, transaction: &Transaction<'_>, events: &[SharedEvent]) -> Result<(), EffectError> {
        self.calls.fetch_add(usize::from(!events.is_empty()), Ordering::SeqCst);
        self.largest_batch.fetch_max(events.len(), Ordering::SeqCst);
        let _open = self.gate.lock().await;
        for event in events {
            let position = event.position;
            if self.newer.lock().expect("no panic").contains(&position) {
                return Err(EffectError::Newer { position, reason: "there is no event type".into() });
            }
            if self.poison.lock().expect("no panic").contains(&position) {
                let reason = Some(self.poison_reason.lock().expect("no panic").clone());
                let reason = reason.filter(|reason| !reason.is_empty()).unwrap_or("the event is poisoned".into());
                return Err(EffectError::Poison { position, reason });
            }
        }
        let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
        let streams: Vec<&str> = events.iter().map(|event| event.stream_id.as_str()).collect();
        let versions: Vec<i32> = events.iter().map(|event| event.version).collect();
        transaction
            .execute(
                "INSERT INTO ledger (position, stream_id, version, writer)
                 SELECT *, $4 FROM unnest($1::bigint[], $2::text[], $3::int[])",
                &[&positions, &streams, &versions, &self.writer],
            )
            .await?;
        if self.fails.load(Ordering::SeqCst) {
            transaction.execute("SELECT FROM missing_table", &[]).await?;
        }
        if positions.iter().any(|position| self.overflowing.lock().expect("no panic").contains(position)) {
            transaction.execute("SELECT 9223372036854775807 + 1", &[]).await?;
        }
        if self.retired.load(Ordering::SeqCst) { Err(EffectError::Retired) } else { Ok(()) }
    }
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: i64,
    pub(crate) stream_id: String,
    pub(crate) version: i32,
    pub(crate) writer: String,
}

/// Runs a feed with one consumer that writes the ledger, as a process of its own does.
pub(crate) async fn consume(book: &Daybook, kafka: &KafkaSettings, effect: Ledger, stop: &CancellationToken) -> Ended {
    let (feed, topics) = (Feed::new(InboxLimits::default()), kafka.topology.topics());
    let group = ConsumerGroup { name: "ledgers".to_owned(), topics: topics.clone() };
    let consumer = Consumer { name: "ledger_v1".to_owned(), topics, start: Start::Beginning, effect };
    let (own_feed, own_book, own_kafka, stop_feed) = (feed.clone(), book.clone(), kafka.clone(), stop.clone());
    let receiving = tokio::spawn(async move { own_feed.run(&group, &own_book, &own_kafka, &stop_feed).await });
    let receiving = AbortOnDropHandle::new(receiving);
    let ended = consumer.run(&feed, book, &kafka.topology, stop).await;
    stop.cancel();
    receiving.await.expect("no panic");
    ended
}

impl World {
    pub(crate) async fn open_ledger(&self) {
        let database = self.database.connect().await;
        database
            .batch_execute(
                "CREATE TABLE ledger (position bigint PRIMARY KEY, stream_id text, version int, writer text, nr bigserial)",
            )
            .await
            .expect("a table");
    }

    pub(crate) fn consume(&self, ledger: &Ledger) -> Running<Ended> {
        let (book, kafka, ledger) = (self.book.clone(), self.kafka.clone(), ledger.clone());
        Running::start(|stop| async move { consume(&book, &kafka, ledger, &stop).await })
    }

    /// The ledger, in the order in which it was written.
    pub(crate) async fn ledger(&self) -> Vec<Entry> {
        let client = self.book.pool().get().await.expect("the database answers");
        let rows = client
            .query("SELECT position, stream_id, version, writer FROM ledger ORDER BY nr", &[])
            .await
            .expect("the database answers");
        rows.iter()
            .map(|row| Entry { position: row.get(0), stream_id: row.get(1), version: row.get(2), writer: row.get(3) })
            .collect()
    }

    pub(crate) async fn ledger_has(&self, count: usize) {
        let client = self.database.connect().await;
        let sql = "SELECT count(*) >= $1 FROM ledger";
        let count = i64::try_from(count).expect("a small number");
        until("the ledger has enough rows", async || client.query_one(sql, &[&count]).await.expect("an answer").get(0))
            .await;
    }

    /// Asserts that the ledger has every event up to the head once, and those of each stream in order.
    pub(crate) async fn assert_ledger_is_whole(&self) {
        let ledger = self.ledger().await;
        let mut positions: Vec<i64> = ledger.iter().map(|entry| entry.position).collect();
        positions.sort_unstable();
        let head = self.book.head().await.expect("the database answers").position;
        assert_eq!(positions, (1..=head).collect::<Vec<_>>());
        let mut versions = BTreeMap::new();
        for entry in ledger {
            let last = versions.insert(entry.stream_id.clone(), entry.version).unwrap_or(0);
            assert_eq!(entry.version, last + 1, "{} is in order", entry.stream_id);
        }
    }
}
