//! What only a real broker can do to the topics: make them over the wire, delete one of them, lose the heads of their logs, go
//! away in the middle of things and come back. The embedded broker knows neither CreateTopics nor DeleteTopics nor DeleteRecords,
//! and is gone with its process.

use std::{path::PathBuf, process::Command};

use daybook_test_needs::{Need, skipped};
use futures::future::join_all;
use rdkafka::admin::{AdminOptions, ResourceSpecifier};

use crate::{
    broker::{PARTITIONS, Topics, real},
    ledger::Ledger,
    world::{World, until, world},
};

/// Ends the test, saying so, where there is only the embedded broker.
macro_rules! only_on_a_real_broker {
    () => {
        if real().is_none() {
            return skipped(Need::RealBroker, "only a real broker can do this (set KAFKA_BROKERS, or see .ci/kafka)");
        }
    };
}

fn count(events: i64) -> usize {
    usize::try_from(events).expect("few")
}

#[tokio::test]
async fn topics_are_made_over_the_wire_by_whoever_comes_first_and_can_be_used_at_once() {
    only_on_a_real_broker!();
    let topics = Topics::named(PARTITIONS).await;
    for made in join_all((0..6).map(|_| topics.settings.ensure_topics())).await {
        made.expect("the topics are there, whoever has made them");
    }
    let world = World::with(topics).await;
    assert_eq!(world.messages().await, 0, "every partition answers");
    let topics = &world.topics;
    for topic in topics.settings.topology.topics() {
        assert_eq!(topics.partitions_of(&topic), count(i64::from(PARTITIONS)));
        let resource = ResourceSpecifier::Topic(&topic);
        let mut described =
            topics.admin().describe_configs([&resource], &AdminOptions::new()).await.expect("the broker answers");
        let config = described.pop().expect("one topic").expect("it is there");
        let value = |key| config.get(key).and_then(|entry| entry.value.clone()).expect("a value");
        assert_eq!((value("cleanup.policy"), value("retention.ms")), ("delete".into(), "-1".into()));
    }
}

#[tokio::test]
async fn one_topic_that_is_deleted_comes_back_filled_and_the_others_stay_as_they_are() {
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
    until("the topic is whole", async || world.messages_if_all_are_there().await == Some(head)).await;
    world.published().await;
    world.assert_published_once().await;

    // And it is read from, not only written to.
    let head = world.append(["order-1", "order-2", "order-3", "cart-1"]).await;
    world.ledger_has(count(head)).await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_deleted_while_nothing_happens_comes_back_without_being_asked() {
    only_on_a_real_broker!();
    let world = world().await;
    let relay = world.relay();
    let head = world.append_many(100).await;
    world.published().await;
    for topic in [world.kafka.topology.topic("catalog"), world.kafka.topology.topic("cart")] {
        world.topics.delete(&topic).await;
    }
    until("the topics are whole", async || world.messages_if_all_are_there().await == Some(head)).await;
    world.assert_published_once().await;

    // Made anew by somebody else, who was quicker.
    world.topics.delete(&world.kafka.topology.topic("order")).await;
    world.kafka.ensure_topics().await.expect("the topic can be made");
    until("the topic is whole", async || world.messages_if_all_are_there().await == Some(head)).await;
    world.assert_published_once().await;
    relay.stop().await;
}

#[tokio::test]
async fn heads_that_were_deleted_are_not_published_again_and_consumers_find_them_in_the_book() {
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

    // The checkpoints of relay and consumer are gone from the logs; then whole logs are, and what comes next stands alone.
    for (kept, more) in [(3, 50), (0, 1)] {
        world.topics.delete_heads(kept).await;
        let left = world.messages().await;
        assert!(left <= kept * 9, "{left}");
        let relay = world.relay();
        let before = world.book.head().await.expect("the database answers").position;
        let head = world.append_many(more).await;
        world.published().await;
        assert_eq!(world.messages().await, left + head - before, "nothing is published twice");
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
    /// Starts it, or starts it again; returns its address.
    fn start(&self) -> String {
        let started = Command::new(&self.script).arg("start").arg(&self.directory).output().expect("a script");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        String::from_utf8_lossy(&started.stdout).trim().to_owned()
    }

    fn kill(&self) {
        let pid = std::fs::read_to_string(self.directory.join("pid")).expect("it runs");
        let killed = Command::new("kill").args(["-KILL", pid.trim()]).status().expect("a program");
        assert!(killed.success());
    }

    /// As brokers are set by default: whoever asks for a topic makes it, with a number of partitions of the broker's choice.
    fn makes_topics_on_demand(&self) {
        let file = self.directory.join("server.properties");
        let properties = std::fs::read_to_string(&file).expect("it was started");
        let loose = properties.replace("auto.create.topics.enable=false", "auto.create.topics.enable=true");
        assert_ne!(loose, properties);
        std::fs::write(&file, loose).expect("it can be written");
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        Command::new(&self.script).arg("stop").arg(&self.directory).status().ok();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

#[tokio::test]
async fn a_broker_that_is_killed_and_comes_back_has_lost_nothing_and_repeats_nothing() {
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
    broker.makes_topics_on_demand();
    broker.start();
    let head = world.append_many(300).await;
    world.ledger_has(count(head)).await;
    world.published().await;
    world.assert_published_once().await;
    world.assert_ledger_is_whole().await;

    // The leaders of its partitions have an epoch now that those of a topic made anew have not reached; and a producer that
    // asked for the topic would get one with another number of partitions.
    world.topics.delete(&world.kafka.topology.topic("order")).await;
    let head = world.append_many(100).await;
    world.ledger_has(count(head)).await;
    until("the topic is there again", async || world.messages_if_all_are_there().await.is_some()).await;
    world.published().await;
    world.assert_everything_is_there().await;
    let head = world.append(["order-1", "order-2", "order-3"]).await;
    world.ledger_has(count(head)).await;
    world.assert_ledger_is_whole().await;

    // By somebody else, and so fast that the clients may not have seen that it was away. What the relay had published to the new
    // topic before it noticed is there twice, and the consumer's client is told nothing at all.
    world.topics.delete(&world.kafka.topology.topic("cart")).await;
    world.kafka.ensure_topics().await.expect("the topic can be made");
    let head = world.append_many(100).await;
    world.ledger_has(count(head)).await;
    world.published().await;
    world.assert_everything_is_there().await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
    relay.stop().await;
}
