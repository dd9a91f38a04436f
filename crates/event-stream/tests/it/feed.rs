//! A feed with several consumers: each gets every event, at its own pace, and an event is decoded once for all of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use daybook_event_stream::{
    Consumer, Effect, EffectError, Feed, SharedEvent, Start,
    consumer::{
        Ended,
        feed::{ConsumerGroup, InboxLimits},
    },
};
use deadpool_postgres::Transaction;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::sync::Mutex;

use crate::{
    broker::PARTITIONS,
    world::{PATIENCE, Running, World, until, world},
};

/// Writes each position that it gets. A second time would violate the primary key.
#[derive(Clone)]
struct Notes {
    consumer: &'static str,
    /// Locked while events are processed.
    gate: Arc<Mutex<()>>,
    /// The number of decoded events, of all consumers.
    decoded: Arc<AtomicUsize>,
}

impl Effect for Notes {
    async fn apply(&self, transaction: &Transaction<'_>, events: &[SharedEvent]) -> Result<(), EffectError> {
        let _open = self.gate.lock().await;
        for event in events {
            event.decoded(|_| self.decoded.fetch_add(1, Ordering::SeqCst));
        }
        let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
        let sql = "INSERT INTO notes SELECT $1, position FROM unnest($2::bigint[]) AS position";
        transaction.execute(sql, &[&self.consumer, &positions]).await?;
        Ok(())
    }
}

/// A process with a feed.
struct Process<'w> {
    world: &'w World,
    feed: Feed,
    decoded: Arc<AtomicUsize>,
}

impl<'w> Process<'w> {
    async fn of(world: &'w World, limits: InboxLimits) -> Self {
        let table =
            "CREATE TABLE IF NOT EXISTS notes (consumer text, position bigint, PRIMARY KEY (consumer, position))";
        world.database.connect().await.batch_execute(table).await.expect("a table");
        Self { world, feed: Feed::new(limits), decoded: Arc::default() }
    }

    /// Receives from Kafka.
    fn receive(&self) -> Running {
        let (feed, book, kafka) = (self.feed.clone(), self.world.book.clone(), self.world.kafka.clone());
        let group = ConsumerGroup { name: "notes".to_owned(), topics: kafka.topology.topics() };
        Running::start(|stop| async move { feed.run(&group, &book, &kafka, &stop).await })
    }

    /// Runs a consumer. It processes nothing while its gate is locked.
    fn consume(&self, consumer: &'static str, start: Start) -> (Running<Ended>, Arc<Mutex<()>>) {
        let gate = Arc::new(Mutex::new(()));
        let effect = Notes { consumer, gate: Arc::clone(&gate), decoded: Arc::clone(&self.decoded) };
        let (feed, book, topology) = (self.feed.clone(), self.world.book.clone(), self.world.kafka.topology.clone());
        let consumer = Consumer { name: consumer.to_owned(), topics: topology.topics(), start, effect };
        (Running::start(|stop| async move { consumer.run(&feed, &book, &topology, &stop).await }), gate)
    }

    async fn noted(&self, consumer: &str) -> Vec<i64> {
        let sql = "SELECT position FROM notes WHERE consumer = $1 ORDER BY position";
        let rows = self.world.database.connect().await.query(sql, &[&consumer]).await.expect("an answer");
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn has_noted(&self, consumer: &str, expected: impl IntoIterator<Item = i64>) {
        let expected: Vec<i64> = expected.into_iter().collect();
        until(&format!("{consumer} has noted everything"), async || self.noted(consumer).await == expected).await;
    }

    /// By topic and partition: the offset after the last message that a consumer has processed.
    async fn processed(&self, consumer: &str) -> BTreeMap<(String, i32), i64> {
        let sql = "SELECT topic, partition, log_offset + 1 FROM consumer_checkpoints WHERE consumer = $1";
        let rows = self.world.database.connect().await.query(sql, &[&consumer]).await.expect("an answer");
        rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect()
    }

    /// By topic and partition: the offset after the last message.
    fn ends(&self) -> BTreeMap<(String, i32), i64> {
        let client: BaseConsumer = self.world.client().create().expect("a client");
        let end = |(topic, partition): (String, i32)| {
            let (_, high) = client.fetch_watermarks(&topic, partition, PATIENCE).expect("the broker answers");
            ((topic, partition), high)
        };
        self.world.partitions().map(end).collect()
    }

    /// By topic and partition: the offset that was committed to the broker, or 0.
    fn reported(&self) -> BTreeMap<(String, i32), i64> {
        let mut config = self.world.client();
        config.set("group.id", format!("{}.notes", self.world.kafka.topology.prefix));
        let client: BaseConsumer = config.create().expect("a client");
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.world.partitions() {
            list.add_partition(&topic, partition);
        }
        let reported = client.committed_offsets(list, PATIENCE).expect("the broker answers");
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        reported.to_topic_map().into_iter().map(|(partition, reported)| (partition, offset(reported))).collect()
    }
}

#[tokio::test]
async fn consumers_of_one_process_get_every_event_and_it_is_decoded_once() {
    let world = world().await;
    let relay = world.relay();
    let process = Process::of(&world, InboxLimits::default()).await;
    let (one, _) = process.consume("one", Start::Beginning);
    let (other, _) = process.consume("other", Start::Beginning);
    let receiving = process.receive();
    let first = world.append(["order-1"]).await;
    for consumer in ["one", "other"] {
        process.has_noted(consumer, 1..=first).await;
    }
    // From here on both consumers get every event from the feed, and none from the book.
    process.decoded.store(0, Ordering::SeqCst);
    let head = world.append_many(300).await;
    for consumer in ["one", "other"] {
        process.has_noted(consumer, 1..=head).await;
    }
    assert_eq!(process.decoded.load(Ordering::SeqCst), 300);
    one.stop().await;
    other.stop().await;
    receiving.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_stalled_consumer_holds_up_no_other_and_reads_dropped_messages_from_the_book() {
    let world = world().await;
    let relay = world.relay();
    let process = Process::of(&world, InboxLimits { messages: 5, bytes: 1 << 20 }).await;
    let (quick, _) = process.consume("quick", Start::Beginning);
    let (slow, gate) = process.consume("slow", Start::Beginning);
    let receiving = process.receive();
    let head = world.append_many(20).await;
    process.has_noted("slow", 1..=head).await;
    process.has_noted("quick", 1..=head).await;
    let locked = gate.lock().await;
    let before = process.processed("slow").await;
    let last = world.append_many(400).await;
    process.has_noted("quick", 1..=last).await;
    assert_eq!(process.noted("slow").await.len(), 20, "the slow consumer is stalled");
    for (partition, reported) in process.reported() {
        assert!(reported <= before[&partition], "the offset of the slowest consumer is reported");
    }
    drop(locked);
    // No later message shows the gap.
    process.has_noted("slow", 1..=last).await;
    // Events from the book have no offsets. The next message of each partition has one.
    let mut nr = 0;
    until("both consumers are at the ends of the logs", async || {
        let head = world.append(["order", "cart", "sku"].map(|kind| format!("{kind}-{nr}"))).await;
        nr += 1;
        for consumer in ["quick", "slow"] {
            process.has_noted(consumer, 1..=head).await;
        }
        let ends = process.ends();
        process.processed("slow").await == ends && process.processed("quick").await == ends
    })
    .await;
    until("the ends are reported", async || process.reported() == process.ends()).await;
    quick.stop().await;
    slow.stop().await;
    receiving.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_consumer_that_subscribes_while_the_feed_runs_misses_no_event() {
    let world = world().await;
    let relay = world.relay();
    let process = Process::of(&world, InboxLimits::default()).await;
    let (early, _) = process.consume("early", Start::Beginning);
    let receiving = process.receive();
    let head = world.append_many(60).await;
    process.has_noted("early", 1..=head).await;
    let (late, _) = process.consume("late", Start::Beginning);
    process.has_noted("late", 1..=head).await;
    let head = world.append_many(60).await;
    for consumer in ["early", "late"] {
        process.has_noted(consumer, 1..=head).await;
    }
    // The late consumer ends its subscription and subscribes again. The early one is not affected.
    late.stop().await;
    let head = world.append_many(60).await;
    process.has_noted("early", 1..=head).await;
    let (late, _) = process.consume("late", Start::Beginning);
    process.has_noted("late", 1..=head).await;
    early.stop().await;
    late.stop().await;
    receiving.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_consumer_that_begins_at_the_head_gets_only_later_events() {
    let world = world().await;
    let relay = world.relay();
    let past = world.append_many(50).await;
    world.published().await;
    let process = Process::of(&world, InboxLimits::default()).await;
    let (consumer, _) = process.consume("from the head", Start::Head);
    let receiving = process.receive();
    let all = usize::try_from(PARTITIONS).expect("a small number") * world.kafka.topology.topics().len();
    until("the consumer has a checkpoint in every partition", async || {
        process.processed("from the head").await.len() == all
    })
    .await;
    let head = world.append_many(40).await;
    process.has_noted("from the head", past + 1..=head).await;
    consumer.stop().await;
    let head = world.append_many(40).await;
    let (consumer, _) = process.consume("from the head", Start::Head);
    process.has_noted("from the head", past + 1..=head).await;
    consumer.stop().await;
    receiving.stop().await;
    relay.stop().await;
}
