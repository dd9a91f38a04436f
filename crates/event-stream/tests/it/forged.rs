//! Messages that the relay of the book has not written: anyone who reaches the broker can write to the topics, and commit offsets.

use std::time::{Duration, Instant};

use daybook_event_store::RecordedEvent;
use daybook_event_stream::{
    envelope,
    signature::{self, SIGNATURE, WireKeys},
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::{BorrowedHeaders, Header, Headers, OwnedHeaders, ToBytes},
    producer::{FutureProducer, FutureRecord},
};
use uuid::Uuid;

use crate::{
    broker::PARTITIONS,
    ledger::Ledger,
    world::{PATIENCE, World, until, world},
};

/// What a message of another program claims: an event after the head of the book, in a stream of the book.
async fn claimed(world: &World, position: i64) -> RecordedEvent {
    let mut event = world.events().await.pop().expect("the book has an event");
    (event.position, event.version, event.event_id) = (position, 1_000, Uuid::from_u128(1 << 90));
    event.data = r#"{"n": 1000, "text": "forged"}"#.to_owned();
    event
}

impl World {
    /// Writes one kind of forgery into every partition of every topic.
    async fn forge(&self, producer: &FutureProducer, event: &RecordedEvent, prev: i64, header: Option<(&str, &str)>) {
        let history = self.book.head().await.expect("the database answers").epoch;
        for (topic, partition) in self.partitions() {
            let (mut headers, value) = envelope::encode(event, "order", prev, history).expect("it is an object");
            if let Some((key, value)) = header {
                headers = headers.insert(Header { key, value: Some(value) });
            }
            let record = FutureRecord::to(&topic).partition(partition).key(&event.stream_id);
            send(producer, record.payload(&value).headers(headers)).await;
        }
    }

    /// Writes every kind of forgery.
    async fn forge_everything(&self) -> i64 {
        let (before, producer) = (self.messages().await, self.producer());
        let head = self.book.head().await.expect("the database answers").position;
        for (position, prev) in
            [(head + 1, head), (head + 1, 0), (head, head - 1), (1, 0), (i64::MAX, i64::MAX - 1), (i64::MAX, head)]
        {
            self.forge(&producer, &claimed(self, position).await, prev, None).await;
        }
        let code = format!("1.{}", "0".repeat(64));
        self.forge(&producer, &claimed(self, head + 1).await, head, Some((SIGNATURE, &code))).await;
        self.forge(&producer, &claimed(self, head + 1).await, head, Some((SIGNATURE, "9223372036854775807.00"))).await;
        self.forge(&producer, &claimed(self, i64::MAX).await, head, Some(("ce_setaside", "true"))).await;
        for (topic, partition) in self.partitions() {
            let record = FutureRecord::to(&topic).partition(partition).key("order-1");
            send(&producer, record.payload("\u{0}garbage \u{fffd}")).await;
            let odd = OwnedHeaders::new().insert(Header { key: "ce_sequence", value: Some("-1") });
            send(&producer, FutureRecord::to(&topic).partition(partition).key("").payload("").headers(odd)).await;
        }
        self.messages().await - before
    }

    /// Copies all messages of the topics into every partition but their own, with their signatures.
    async fn copy_into_other_partitions(&self) {
        let mut config = self.client();
        config.set("group.id", "copies").set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.partitions() {
            list.add_partition_offset(&topic, partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&list).expect("partitions");
        let producer = self.producer();
        for _ in 0..self.messages().await {
            let message = consumer.poll(PATIENCE).expect("a message comes").expect("the broker answers");
            let (headers, value) = (message.headers().map(BorrowedHeaders::detach), message.payload_view::<str>());
            let (Some(headers), Some(Ok(value))) = (headers, value) else { continue };
            for partition in (0..PARTITIONS).filter(|nr| *nr != message.partition()) {
                let (topic, value) = (message.topic().to_owned(), value.to_owned());
                let record = FutureRecord::to(&topic).partition(partition).key("order-1");
                send(&producer, record.payload(&value).headers(headers.clone())).await;
            }
        }
    }
}

async fn send<K: ToBytes + ?Sized, V: ToBytes + ?Sized>(producer: &FutureProducer, record: FutureRecord<'_, K, V>) {
    producer.send(record, PATIENCE).await.expect("the broker acknowledges the message");
}

fn many(position: i64) -> usize {
    usize::try_from(position).expect("a small number")
}

#[tokio::test]
async fn forged_messages_are_left_out_and_nothing_is_missing() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    world.append_many(60).await;
    world.published().await;
    world.forge_everything().await;
    let consumer = world.consume(&Ledger::default());
    world.ledger_has(60).await;
    // A consumer that runs, and one that begins after the forgeries.
    world.forge_everything().await;
    world.copy_into_other_partitions().await;
    let head = world.append_many(60).await;
    world.ledger_has(many(head)).await;
    world.forge_everything().await;
    consumer.kill().await;
    let consumer = world.consume(&Ledger::default());
    let head = world.append_many(40).await;
    world.ledger_is_whole_up_to(head).await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_begins_after_forgeries_publishes_what_is_missing_and_nothing_twice() {
    let world = world().await;
    world.open_ledger().await;
    world.append_many(60).await;
    let relay = world.relay();
    world.published().await;
    relay.stop().await;
    let forged = world.forge_everything().await;
    let before = world.status().await.epoch;
    let relay = world.relay();
    let head = world.append_many(60).await;
    world.published().await;
    assert_eq!(world.messages().await, head + forged, "each event is published once");
    assert_eq!(world.status().await.epoch, before + 1, "the relay leads at its first attempt");
    let consumer = world.consume(&Ledger::default());
    world.ledger_is_whole_up_to(head).await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn messages_of_a_program_that_does_not_sign_are_taken_from_the_book() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(60).await;
    let consumer = world.consume(&Ledger::default());
    world.publish_unsigned(&world.events().await).await;
    world.ledger_is_whole_up_to(head).await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_key_can_be_changed_while_messages_are_on_their_way() {
    let world = world().await;
    world.open_ledger().await;
    let (relay, consumer) = (world.relay(), world.consume(&Ledger::default()));
    world.append_many(30).await;
    world.ledger_has(30).await;
    let new = signature::rotate(&world.book).await.expect("the database answers");
    until("the relay signs with the new key", async || {
        world.append_many(1).await;
        world.published().await;
        world.newest_signature().await.starts_with(&format!("{new}."))
    })
    .await;
    let head = world.append_many(30).await;
    world.ledger_has(many(head)).await;
    signature::rotate(&world.book).await.expect("the database answers");
    let keys =
        world.database.connect().await.query("SELECT id FROM wire_keys ORDER BY id", &[]).await.expect("an answer");
    assert_eq!(keys.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(), [new, new + 1]);
    // A consumer that begins now has no key of the first messages, and has their events from the book.
    world
        .database
        .connect()
        .await
        .batch_execute("TRUNCATE ledger; DELETE FROM consumer_checkpoints")
        .await
        .expect("tables");
    consumer.kill().await;
    let consumer = world.consume(&Ledger::default());
    world.ledger_is_whole_up_to(head).await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn offsets_that_another_client_commits_make_a_consumer_skip_nothing() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    let head = world.append_many(60).await;
    world.published().await;
    let commit = |to: Offset| {
        let mut config = world.client();
        config.set("group.id", world.kafka.group("ledgers")).set("enable.auto.commit", "false");
        let stranger: BaseConsumer = config.create().expect("a consumer");
        let topics = world.kafka.topology.topics();
        stranger.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>()).expect("it may join");
        let begun = Instant::now();
        while stranger.assignment().expect("an answer").count() == 0 {
            assert!(begun.elapsed() < PATIENCE, "the stranger gets no partition");
            drop(stranger.poll(Duration::from_millis(50)));
        }
        let mut list = TopicPartitionList::new();
        for (topic, partition) in world.partitions() {
            list.add_partition_offset(&topic, partition, to).expect("an offset");
        }
        stranger.commit(&list, CommitMode::Sync).expect("the broker takes it");
    };
    commit(Offset::Offset(1_000_000));
    let consumer = world.consume(&Ledger::default());
    world.ledger_has(many(head)).await;
    consumer.stop().await;
    commit(Offset::Offset(0));
    let consumer = world.consume(&Ledger::default());
    let head = world.append_many(30).await;
    world.ledger_is_whole_up_to(head).await;
    consumer.stop().await;
    relay.stop().await;
}

impl World {
    /// Waits until the ledger has as many events as the book up to a position, and compares them.
    async fn ledger_is_whole_up_to(&self, position: i64) {
        self.ledger_has(many(position)).await;
        self.assert_ledger_is_whole().await;
    }

    /// The signature of the newest event on the wire.
    async fn newest_signature(&self) -> String {
        let mut config = self.client();
        config.set("group.id", "signatures").set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.partitions() {
            list.add_partition_offset(&topic, partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&list).expect("partitions");
        let (keys, mut newest) = (WireKeys::load(&self.book).await.expect("the database answers"), (0, String::new()));
        for _ in 0..self.messages().await {
            let message = consumer.poll(PATIENCE).expect("a message comes").expect("the broker answers");
            let Ok(content) = keys.decode(&message) else { continue };
            let headers = message.headers().expect("headers");
            let signature = headers.iter().find(|header| header.key == SIGNATURE).and_then(|header| header.value);
            if content.event.position > newest.0 {
                newest =
                    (content.event.position, String::from_utf8_lossy(signature.expect("a signature")).into_owned());
            }
        }
        newest.1
    }
}
