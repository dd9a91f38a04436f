//! Losses of topics that only a real broker can have. The engine creates topics over the wire, a topic is deleted, the oldest records
//! are deleted, and the broker is killed and started again. The embedded broker has neither CreateTopics nor DeleteTopics nor
//! DeleteRecords, and ends with its process.

use std::{path::PathBuf, process::Command};

use daybook_test_needs::{Need, skipped};
use futures::future::join_all;
use rdkafka::admin::{AdminOptions, ResourceSpecifier};

use crate::{
    broker::{PARTITIONS, Topics, real},
    ledger::Ledger,
    world::{World, until, world},
};

/// Skips the test where only the embedded broker is available.
macro_rules! only_on_a_real_broker {
    () => {
        if real().is_none() {
            return skipped(Need::RealBroker, "only a real broker can do this (set KAFKA_BROKERS, or see .ci/kafka)");
        }
    };
}

fn count(events: i64) -> usize {
    usize::try_from(events).expect("a small number")
}

#[tokio::test]
async fn the_first_process_creates_the_topics_and_all_can_use_them_at_once() {
    only_on_a_real_broker!();
    let topics = Topics::named(PARTITIONS).await;
    for created in join_all((0..6).map(|_| topics.settings.ensure_topics())).await {
        created.expect("the topics exist, whichever process has created them");
    }
    let world = World::with(topics).await;
    assert_eq!(world.messages().await, 0, "every partition answers");
    let topics = &world.topics;
    for topic in topics.settings.topology.topics() {
        assert_eq!(topics.partitions_of(&topic), count(i64::from(PARTITIONS)));
        let resource = ResourceSpecifier::Topic(&topic);
        let mut described =
            topics.admin().describe_configs([&resource], &AdminOptions::new()).await.expect("the broker answers");
        let config = described.pop().expect("one topic").expect("the topic exists");
        let value = |key| config.get(key).and_then(|entry| entry.value.clone()).expect("a value");
        assert_eq!((value("cleanup.policy"), value("retention.ms")), ("delete".into(), "-1".into()));
    }
}

#[tokio::test]
async fn a_deleted_topic_is_created_and_filled_again_and_the_others_are_unchanged() {
    only_on_a_real_broker!();
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    let consumer = world.consume(&Ledger::default());
    let head = world.append_many(400).await;
    world.ledger_has(count(head)).await;

    world.topics.delete(&world.kafka.topology.topic("order")).await;
    let head = world.append_many(200).await;
    world.ledger_has(count(head)).await;
    until("the topic is whole", async || world.messages_if_complete().await == Some(head)).await;
    world.published().await;
    world.assert_published_once().await;

    // The new topic is read, too, and not only written.
    let head = world.append(["order-1", "order-2", "order-3", "cart-1"]).await;
    world.ledger_has(count(head)).await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_deleted_while_no_events_come_is_created_again() {
    only_on_a_real_broker!();
    let world = world().await;
    let relay = world.relay();
    let head = world.append_many(100).await;
    world.published().await;
    for topic in [world.kafka.topology.topic("catalog"), world.kafka.topology.topic("cart")] {
        world.topics.delete(&topic).await;
    }
    until("the topics are whole", async || world.messages_if_complete().await == Some(head)).await;
    world.assert_published_once().await;

    // Another process created the topic first.
    world.topics.delete(&world.kafka.topology.topic("order")).await;
    world.kafka.ensure_topics().await.expect("the topic can be created");
    until("the topic is whole", async || world.messages_if_complete().await == Some(head)).await;
    world.assert_published_once().await;
    relay.stop().await;
}

#[tokio::test]
async fn deleted_records_are_not_published_again_and_consumers_read_their_events_from_the_book() {
    only_on_a_real_broker!();
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(400).await;
    let relay = world.relay();
    world.published().await;
    let early = world.consume(&Ledger { writer: "early", ..Ledger::default() });
    world.ledger_has(count(head)).await;
    early.stop().await;
    let head = world.append_many(400).await;
    world.published().await;
    relay.stop().await;

    // First the logs lose the records at the checkpoints of relay and consumer. Then the logs lose every record.
    for (kept, more) in [(3, 50), (0, 1)] {
        world.topics.delete_heads(kept).await;
        let left = world.messages().await;
        assert!(left <= kept * 9, "{left}");
        let relay = world.relay();
        let before = world.book.head().await.expect("the database answers").position;
        let head = world.append_many(more).await;
        world.published().await;
        assert_eq!(world.messages().await, left + head - before, "no event is published twice");
        relay.stop().await;
    }
    let consumer = world.consume(&Ledger { writer: "late", ..Ledger::default() });
    world.ledger_has(count(head) + 51).await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
}

/// A broker of the test's own, which it may kill.
struct OwnBroker {
    script: PathBuf,
    directory: PathBuf,
}

impl OwnBroker {
    /// Starts the broker, also after a kill. Returns its address.
    fn start(&self) -> String {
        let started = Command::new(&self.script).arg("start").arg(&self.directory).output().expect("a script");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        String::from_utf8_lossy(&started.stdout).trim().to_owned()
    }

    fn kill(&self) {
        let pid = std::fs::read_to_string(self.directory.join("pid")).expect("the broker runs");
        let killed = Command::new("kill").args(["-KILL", pid.trim()]).status().expect("a program");
        assert!(killed.success());
    }

    /// Sets the default of brokers: a request for a missing topic creates it, with the broker's number of partitions.
    fn create_topics_on_demand(&self) {
        let file = self.directory.join("server.properties");
        let properties = std::fs::read_to_string(&file).expect("the broker was started");
        let changed = properties.replace("auto.create.topics.enable=false", "auto.create.topics.enable=true");
        assert_ne!(changed, properties);
        std::fs::write(&file, changed).expect("the file can be written");
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        Command::new(&self.script).arg("stop").arg(&self.directory).status().ok();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

#[tokio::test]
async fn a_broker_that_is_killed_and_restarted_loses_and_repeats_no_event() {
    only_on_a_real_broker!();
    let script = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/kafka"));
    if !Command::new(&script).arg("check").status().is_ok_and(|checked| checked.success()) {
        return skipped(Need::Java, "Apache Kafka cannot be fetched");
    }
    let directory = std::env::temp_dir().join(format!("daybook-kafka-{}", std::process::id()));
    let broker = OwnBroker { script, directory };
    let topics = Topics::at(broker.start()).await;
    let world = World::with(topics).await;
    world.open_ledger().await;
    let relay = world.relay();
    let consumer = world.consume(&Ledger::default());
    let head = world.append_many(300).await;
    world.ledger_has(count(head)).await;

    broker.kill();
    world.append_many(300).await;
    broker.create_topics_on_demand();
    broker.start();
    let head = world.append_many(300).await;
    world.ledger_has(count(head)).await;
    world.published().await;
    world.assert_published_once().await;
    world.assert_ledger_is_whole().await;

    // The partition leaders now have an epoch that a new topic has not reached. A producer that requests the topic would create it with
    // another number of partitions.
    world.topics.delete(&world.kafka.topology.topic("order")).await;
    let head = world.append_many(100).await;
    world.ledger_has(count(head)).await;
    until("the topic exists again", async || world.messages_if_complete().await.is_some()).await;
    world.published().await;
    world.assert_every_event_is_published().await;
    let head = world.append(["order-1", "order-2", "order-3"]).await;
    world.ledger_has(count(head)).await;
    world.assert_ledger_is_whole().await;

    // Another process creates the topic, so fast that the clients may not notice the loss. The relay publishes some events twice: before
    // and after it notices. The consumer's client gets no error.
    world.topics.delete(&world.kafka.topology.topic("cart")).await;
    world.kafka.ensure_topics().await.expect("the topic can be created");
    let head = world.append_many(100).await;
    world.ledger_has(count(head)).await;
    world.published().await;
    world.assert_every_event_is_published().await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
    relay.stop().await;
}
