//! The relay publishes every event once and in order, also after failures.

use daybook_event_store::Daybook;
use daybook_event_stream::{RelaySettings, relay};

use crate::{
    broker::{PARTITIONS, Topics},
    world::{Running, World, book, until, world},
};

#[tokio::test]
async fn every_event_is_published_once_in_order_and_each_message_names_the_one_before() {
    let world = world().await;
    world.append_many(300).await;
    let relay = world.relay();
    world.published().await;
    let head = world.append_many(5_000).await;
    world.published().await;
    world.append(["order-1"]).await;
    world.published().await;
    let status = world.status().await;
    assert!(status.leader);
    assert_eq!((status.position, status.head, status.epoch), (head + 1, head + 1, 1));
    world.assert_published_once().await;
    relay.stop().await;
    until("no relay leads", async || !world.status().await.leader).await;
}

#[tokio::test]
async fn a_relay_killed_between_publishing_and_its_checkpoint_repeats_nothing() {
    let world = world().await;
    let head = world.append_many(50).await;
    let relay = world.relay();
    world.published().await;

    // The lock keeps every process from moving the checkpoint.
    let mut blocker = world.database.connect().await;
    let blocked = blocker.transaction().await.expect("a transaction");
    blocked.execute("SELECT FROM relay FOR UPDATE", &[]).await.expect("a lock");
    let published = world.messages().await;
    world.append_many(60).await;
    until("the events are published", async || world.messages().await == published + 60).await;
    let database = world.database.connect().await;
    let waiting = async |what: &str| {
        let sql = format!(
            "SELECT count({what}) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'"
        );
        database.query_one(&sql, &[]).await.expect("an answer").get::<_, i64>(0)
    };
    until("the relay waits to move the checkpoint", async || waiting("pid").await > 0).await;
    relay.kill().await;
    // PostgreSQL does not notice the death of a client that waits for a lock. The update would still be executed.
    until("no session waits for the lock", async || waiting("pg_terminate_backend(pid)").await == 0).await;
    blocked.rollback().await.expect("the lock is free");
    assert_eq!(world.status().await.position, head, "the checkpoint was not moved");

    world.append_many(7).await;
    let next = world.relay();
    world.published().await;
    world.assert_published_once().await;
    next.stop().await;
}

#[tokio::test]
async fn one_of_two_relays_leads_and_the_other_takes_over_after_its_death() {
    let world = world().await;
    let first = world.relay();
    until("the first relay leads", async || world.status().await.leader).await;
    let second = world.relay();
    world.append_many(100).await;
    world.published().await;
    assert_eq!(world.status().await.epoch, 1);
    first.kill().await;
    world.append_many(100).await;
    world.published().await;
    assert_eq!(world.status().await.epoch, 2);
    world.assert_published_once().await;
    second.stop().await;
}

#[tokio::test]
async fn a_leader_that_has_lost_the_lead_moves_no_checkpoint() {
    let world = world().await;
    let relay = world.relay();
    world.append_many(20).await;
    world.published().await;
    let database = world.database.connect().await;
    database.execute("UPDATE relay SET epoch = epoch + 1", &[]).await.expect("another relay leads");
    world.append_many(20).await;
    world.published().await;
    assert_eq!(world.status().await.epoch, 3, "the relay has taken the lead again");
    world.assert_published_once().await;
    relay.stop().await;
}

#[tokio::test]
async fn lost_topics_are_filled_from_the_start_of_the_book() {
    let mut world = world().await;
    let head = world.append_many(200).await;
    let relay = world.relay();
    world.published().await;
    relay.stop().await;

    world.lose_topics().await;
    assert_eq!(world.messages().await, 0);
    let relay = world.relay();
    until("the topics hold every event", async || world.messages().await == head).await;
    assert_eq!(world.status().await.position, head);
    world.append_many(50).await;
    world.published().await;
    world.assert_published_once().await;
    relay.stop().await;

    // After a restart without a loss, no event is repeated.
    let relay = world.relay();
    world.append_many(5).await;
    world.published().await;
    world.assert_published_once().await;
    relay.stop().await;
}

#[tokio::test]
async fn topics_that_are_lost_while_a_relay_leads_are_filled_again() {
    let mut world = world().await;
    let head = world.append_many(40).await;
    let relay = world.relay();
    world.published().await;
    relay.kill().await;
    let all_but_the_first_ten: Vec<i64> = (11..=head).collect();
    let all_but_the_last_ten: Vec<i64> = (1..=head - 10).collect();
    // Either the log was truncated, or another process has created the topic again, and the new topic got the last events of the leader.
    for left_out in [all_but_the_first_ten, all_but_the_last_ten] {
        world.lose_topics().await;
        world.publish_by_hand(&world.events().await, &left_out).await;
        let relay = world.relay();
        until("the topics hold every event", async || world.messages().await == head + 10).await;
        world.assert_every_event_is_published().await;
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_broker_with_short_retention_gets_only_the_end_of_the_book() {
    let mut world = world().await;
    world.append_many(400).await;
    let relay = world.relay();
    world.published().await;
    relay.stop().await;

    world.lose_topics().await;
    let relay = world.relay_with(Some(100_000));
    until("the relay has begun", async || world.messages().await > 0).await;
    let head = world.append_many(100).await;
    world.published().await;
    let start = assert_tail(&world, head).await;
    assert!((300..400).contains(&start), "{start}");
    relay.stop().await;

    // The start of an empty partition is recorded, too.
    let relay = world.relay_with(Some(100_000));
    let head = world.append_many(100).await;
    world.published().await;
    assert_eq!(assert_tail(&world, head).await, start);
    relay.stop().await;
}

/// Asserts that the topics hold every event after a position, in unbroken chains. Returns the position.
async fn assert_tail(world: &World, head: i64) -> i64 {
    let found = world.found().await;
    let start = head - world.messages().await;
    let mut positions = Vec::new();
    for messages in found.values() {
        let mut prev = start;
        for message in messages {
            assert_eq!(message.content.prev_sequence, prev);
            prev = message.content.event.position;
            positions.push(prev);
        }
    }
    positions.sort_unstable();
    assert_eq!(positions, (start + 1..=head).collect::<Vec<_>>());
    start
}

#[tokio::test]
async fn the_book_is_published_again_on_request() {
    let world = world().await;
    let head = world.append_many(50).await;
    let relay = world.relay();
    world.published().await;
    relay::republish(&world.book).await.expect("the request is recorded");
    until("the topics hold every event twice", async || world.messages().await == 2 * head).await;
    world.published().await;
    for messages in world.found().await.into_values() {
        let prev: Vec<i64> = messages.iter().map(|message| message.content.prev_sequence).collect();
        assert_eq!(prev[..prev.len() / 2], prev[prev.len() / 2..], "both chains are the same");
    }
    // The request is fulfilled once.
    relay.stop().await;
    let relay = world.relay();
    world.append_many(1).await;
    world.published().await;
    assert_eq!(world.messages().await, 2 * head + 1);
    relay.stop().await;
}

#[tokio::test]
async fn topics_of_another_book_are_not_changed() {
    let world = world().await;
    let head = world.append_many(30).await;
    let relay = world.relay();
    world.published().await;
    relay.stop().await;

    let (_database, other): (_, Daybook) = book().await;
    let relay = Running::relay(&other, RelaySettings { kafka: world.kafka.clone(), refill_bytes: None });
    let tried = async || relay::status(&other).await.expect("the database answers").epoch;
    until("the relay has tried twice", async || tried().await >= 2).await;
    relay.stop().await;
    assert_eq!(world.messages().await, head);
}

#[tokio::test]
async fn a_topic_with_another_number_of_partitions_is_refused() {
    let topics = Topics::new(PARTITIONS + 1).await;
    let mut settings = topics.settings.clone();
    settings.topology.partitions = PARTITIONS;
    let refused = settings.ensure_topics().await.expect_err("keys would be in other partitions");
    assert!(refused.to_string().contains("has 4 partitions and not 3"), "{refused}");
}

#[tokio::test]
async fn progress_survives_an_unreachable_broker() {
    let mut world = world().await;
    world.append_many(20).await;
    let relay = world.relay();
    world.published().await;
    let reachable = std::mem::replace(&mut world.kafka.brokers, "127.0.0.1:1".into());
    relay.stop().await;
    let cut_off = world.relay();
    world.append_many(20).await;
    until("no event is published", async || world.status().await.lag == 20).await;
    cut_off.stop().await;
    world.kafka.brokers = reachable;
    let relay = world.relay();
    world.published().await;
    world.assert_published_once().await;
    relay.stop().await;
}
