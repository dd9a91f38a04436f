//! A restored book: positions after the restored one are used again, and the topics still hold the earlier events.

use daybook_event_stream::relay;
use daybook_test_needs::{Need, skipped};
use uuid::Uuid;

use crate::{
    broker::real,
    ledger::Ledger,
    world::{until, world},
};

#[tokio::test]
async fn messages_of_another_history_are_not_applied() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(60).await;
    let events = world.events().await;
    world.publish_by_hand(&events[..40], &[]).await;
    let consumer = world.consume(&Ledger::default());
    world.ledger_has(40).await;

    // These messages were published before the book was restored to position 40.
    let mut abandoned = events[..20].to_vec();
    for (event, position) in abandoned.iter_mut().zip(41..) {
        (event.position, event.version, event.event_id) = (position, event.version + 1_000, Uuid::from_u128(1 << 90));
    }
    world.publish_by_hand_as(&abandoned, &[], Uuid::from_u128(1)).await;
    let published: Vec<i64> = (1..=40).collect();
    world.publish_by_hand(&events, &published).await;
    world.ledger_has(usize::try_from(head).expect("a small number")).await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
}

#[tokio::test]
async fn topics_of_another_history_are_not_changed_until_they_are_adopted() {
    let mut world = world().await;
    world.open_ledger().await;
    let head = world.append_many(90).await;
    let relay = world.relay();
    world.published().await;
    relay.stop().await;

    world.book.begin_history().await.expect("the database answers");
    let before = world.status().await.epoch;
    let relay = world.relay();
    let consumer = world.consume(&Ledger::default());
    until("the relay has tried twice", async || world.status().await.epoch >= before + 2).await;
    assert_eq!(
        (world.messages().await, world.ledger().await.len()),
        (head, 0),
        "the relay and the consumer ignore the topics"
    );
    if real().is_none() {
        // The embedded broker cannot delete records. Its topics are empty after every restore of a book.
        relay.stop().await;
        consumer.stop().await;
        world.lose_topics().await;
        relay::adopt(&world.book).await.expect("the database answers");
        let (relay, consumer) = (world.relay(), world.consume(&Ledger::default()));
        world.ledger_has(usize::try_from(head).expect("a small number")).await;
        until("the topics hold every event", async || world.messages().await == head).await;
        world.assert_published_once().await;
        world.assert_ledger_is_whole().await;
        relay.stop().await;
        consumer.stop().await;
        return;
    }
    relay::adopt(&world.book).await.expect("the database answers");
    world.ledger_has(usize::try_from(head).expect("a small number")).await;
    until("the topics hold every event", async || world.messages().await == head).await;
    let head = world.append_many(30).await;
    world.ledger_has(usize::try_from(head).expect("a small number")).await;
    world.published().await;
    world.assert_published_once().await;
    world.assert_ledger_is_whole().await;

    // The topics are adopted again, although they are of this history.
    relay::adopt(&world.book).await.expect("the database answers");
    let client = world.database.connect().await;
    until("the topics are adopted", async || {
        !client.query_one("SELECT adopt FROM relay", &[]).await.expect("an answer").get::<_, bool>(0)
    })
    .await;
    world.published().await;
    world.assert_published_once().await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_request_to_adopt_topics_that_cannot_be_emptied_is_dropped_and_publishing_continues() {
    if real().is_some() {
        return skipped(Need::EmbeddedBroker, "this broker can delete records");
    }
    let world = world().await;
    world.append_many(30).await;
    let relay = world.relay();
    world.published().await;
    relay::adopt(&world.book).await.expect("the database answers");
    let database = world.database.connect().await;
    let requested =
        async || database.query_one("SELECT adopt FROM relay", &[]).await.expect("an answer").get::<_, bool>(0);
    until("the request is dropped", async || !requested().await).await;
    world.append_many(30).await;
    world.published().await;
    world.assert_published_once().await;
    relay.stop().await;
}
