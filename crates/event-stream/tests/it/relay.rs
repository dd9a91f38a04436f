//! The relay: everything once, in order, whatever happens.

use daybook_event_store::Daybook;
use daybook_event_stream::{RelaySettings, relay};

use crate::{
    broker::{PARTITIONS, Topics},
    world::{Running, World, book, until, world},
};

#[tokio::test]
async fn everything_is_published_once_in_order_and_each_message_names_the_one_before() {
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
    until("nobody leads", async || !world.status().await.leader).await;
}

#[tokio::test]
async fn a_relay_killed_between_publishing_and_its_checkpoint_repeats_nothing() {
    let world = world().await;
    let head = world.append_many(50).await;
    let relay = world.relay();
    world.published().await;

    // Nobody can move the checkpoint now.
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
    until("it wants to move the checkpoint", async || waiting("pid").await > 0).await;
    relay.kill().await;
    // PostgreSQL does not notice that a client is gone while it waits for a lock: its wish would still be granted.
    until("nobody waits for the lock", async || waiting("pg_terminate_backend(pid)").await == 0).await;
    blocked.rollback().await.expect("the lock is free");
    assert_eq!(world.status().await.position, head, "the checkpoint was not moved");

    world.append_many(7).await;
    let next = world.relay();
    world.published().await;
    world.assert_published_once().await;
    next.stop().await;
}

#[tokio::test]
async fn one_of_two_relays_leads_and_the_other_takes_over_when_it_is_gone() {
    let world = world().await;
    let first = world.relay();
    until("the first leads", async || world.status().await.leader).await;
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
async fn a_leader_that_was_asleep_while_another_one_led_moves_nothing() {
    let world = world().await;
    let relay = world.relay();
    world.append_many(20).await;
    world.published().await;
    let database = world.database.connect().await;
    database.execute("UPDATE relay SET epoch = epoch + 1", &[]).await.expect("another one leads");
    world.append_many(20).await;
    world.published().await;
    assert_eq!(world.status().await.epoch, 3, "it had to take over again");
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
    until("the topics are full", async || world.messages().await == head).await;
    assert_eq!(world.status().await.position, head);
    world.append_many(50).await;
    world.published().await;
    world.assert_published_once().await;
    relay.stop().await;

    // And once more, without a loss: nothing is repeated.
    let relay = world.relay();
    world.append_many(5).await;
    world.published().await;
    world.assert_published_once().await;
    relay.stop().await;
}

#[tokio::test]
async fn topics_that_are_lost_under_a_leader_are_filled_as_well() {
    let mut world = world().await;
    let head = world.append_many(40).await;
    let relay = world.relay();
    world.published().await;
    relay.kill().await;
    let all_but_the_first_ten: Vec<i64> = (11..=head).collect();
    let all_but_the_last_ten: Vec<i64> = (1..=head - 10).collect();
    // The log was cut off; or somebody else has made it anew, and what the leader had on its way when it fell went into the new one.
    for left_out in [all_but_the_first_ten, all_but_the_last_ten] {
        world.lose_topics().await;
        world.publish_by_hand(&world.events().await, &left_out).await;
        let relay = world.relay();
        until("the topics are full", async || world.messages().await == head + 10).await;
        world.assert_everything_is_there().await;
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_broker_that_keeps_little_gets_the_end_of_the_book_only() {
    let mut world = world().await;
    world.append_many(400).await;
    let relay = world.relay();
    world.published().await;
    relay.stop().await;

    world.lose_topics().await;
    let relay = world.relay_with(Some(100_000));
    until("it has begun", async || world.messages().await > 0).await;
    let head = world.append_many(100).await;
    world.published().await;
    let start = assert_tail(&world, head).await;
    assert!((300..400).contains(&start), "{start}");
    relay.stop().await;

    // A partition that has nothing yet remembers where its log began, too.
    let relay = world.relay_with(Some(100_000));
    let head = world.append_many(100).await;
    world.published().await;
    assert_eq!(assert_tail(&world, head).await, start);
    relay.stop().await;
}

/// The topics hold everything after a position up to the head, and say so. Returns the position.
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
async fn everything_is_published_again_on_demand() {
    let world = world().await;
    let head = world.append_many(50).await;
    let relay = world.relay();
    world.published().await;
    relay::republish(&world.book).await.expect("the wish is noted");
    until("everything is there twice", async || world.messages().await == 2 * head).await;
    world.published().await;
    for messages in world.found().await.into_values() {
        let prev: Vec<i64> = messages.iter().map(|message| message.content.prev_sequence).collect();
        assert_eq!(prev[..prev.len() / 2], prev[prev.len() / 2..], "the same chain twice");
    }
    // The wish is granted once.
    relay.stop().await;
    let relay = world.relay();
    world.append_many(1).await;
    world.published().await;
    assert_eq!(world.messages().await, 2 * head + 1);
    relay.stop().await;
}

#[tokio::test]
async fn topics_of_another_book_are_left_alone() {
    let world = world().await;
    let head = world.append_many(30).await;
    let relay = world.relay();
    world.published().await;
    relay.stop().await;

    let (_database, other): (_, Daybook) = book().await;
    let relay = Running::relay(&other, RelaySettings { kafka: world.kafka.clone(), refill_bytes: None });
    let tried = async || relay::status(&other).await.expect("the database answers").epoch;
    until("it has tried twice", async || tried().await >= 2).await;
    relay.stop().await;
    assert_eq!(world.messages().await, head);
}

#[tokio::test]
async fn a_topic_with_another_number_of_partitions_is_refused() {
    let topics = Topics::new(PARTITIONS + 1).await;
    let mut settings = topics.settings.clone();
    settings.topology.partitions = PARTITIONS;
    let refused = settings.ensure_topics().await.expect_err("keys would go elsewhere");
    assert!(refused.to_string().contains("has 4 partitions and not 3"), "{refused}");
}

#[tokio::test]
async fn progress_survives_a_broker_that_is_away() {
    let mut world = world().await;
    world.append_many(20).await;
    let relay = world.relay();
    world.published().await;
    let away = std::mem::replace(&mut world.kafka.brokers, "127.0.0.1:1".into());
    relay.stop().await;
    let lost = world.relay();
    world.append_many(20).await;
    until("nobody gets through", async || world.status().await.lag == 20).await;
    lost.stop().await;
    world.kafka.brokers = away;
    let relay = world.relay();
    world.published().await;
    world.assert_published_once().await;
    relay.stop().await;
}
