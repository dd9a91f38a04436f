//! A consumer: effect and checkpoint together, nothing missed, nothing twice, poison set aside.

use std::sync::atomic::Ordering;

use daybook_event_store::RecordedEvent;
use daybook_event_stream::{
    EffectError,
    consumer::{ConsumerError, Ended, parked},
    progress::{self, ConsumerProgress},
    relay,
};
use rdkafka::producer::FutureRecord;

use crate::{
    broker::PARTITIONS,
    ledger::Ledger,
    world::{PATIENCE, World, until, world},
};

/// How many partitions were moved on.
async fn checkpoints(world: &World) -> i64 {
    let client = world.book.pool().get().await.expect("the database answers");
    client
        .query_one("SELECT count(*) FROM consumer_checkpoints WHERE position > 0 OR log_offset >= 0", &[])
        .await
        .expect("the database answers")
        .get(0)
}

#[tokio::test]
async fn when_the_effect_fails_nothing_has_moved() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(50).await;
    world.publish_by_hand(&world.events().await, &[]).await;
    let ledger = Ledger::default();
    ledger.fails.store(true, Ordering::SeqCst);
    let consumer = world.consume(&ledger);
    until("it was tried again", async || ledger.asked.load(Ordering::SeqCst) > 3).await;
    assert_eq!((world.ledger().await.len(), checkpoints(&world).await), (0, 0));
    ledger.fails.store(false, Ordering::SeqCst);
    world.ledger_has(usize::try_from(head).expect("few")).await;
    world.assert_ledger_is_whole().await;
    assert_eq!(consumer.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn an_event_that_postgresql_cannot_count_parks_its_stream_and_the_others_go_on() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(30).await;
    let events = world.events().await;
    world.publish_by_hand(&events, &[]).await;
    let culprit = &events[4];
    let ledger = Ledger::default();
    ledger.uncountable.lock().expect("no panic").push(culprit.position);
    let consumer = world.consume(&ledger);
    let behind =
        events.iter().filter(|event| event.stream_id == culprit.stream_id && event.position >= culprit.position);
    let behind: Vec<i64> = behind.map(|event| event.position).collect();
    world.ledger_has(usize::try_from(head).expect("few") - behind.len()).await;
    until("the rest of the stream is parked", async || {
        let parked = parked::list(&world.book).await.expect("the database answers");
        parked.iter().map(|event| event.position).collect::<Vec<_>>() == behind
    })
    .await;
    let parked = parked::list(&world.book).await.expect("the database answers");
    assert!(parked[0].reason.contains("22003"), "{}", parked[0].reason);
    consumer.stop().await;
}

#[tokio::test]
async fn what_kafka_lost_is_filled_from_the_book_and_what_it_repeats_is_skipped() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(100).await;
    let events = world.events().await;
    // Holes at the start, alone and in a row; then everything once more; then something that is no event.
    world.publish_by_hand(&events[..97], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 40, 60, 61]).await;
    world.publish_by_hand(&events, &[]).await;
    for (topic, partition) in world.kafka.topology.topics().iter().zip(0..PARTITIONS) {
        let (key, value) = ("order-1".to_owned(), "not an event".to_owned());
        world.produce(FutureRecord::to(topic).partition(partition).key(&key).payload(&value)).await;
    }
    let ledger = Ledger::default();
    let consumer = world.consume(&ledger);
    world.ledger_has(usize::try_from(head).expect("few")).await;
    world.assert_ledger_is_whole().await;

    // It goes on behind that, and a second run begins where the first has ended.
    consumer.stop().await;
    let asked = ledger.asked.load(Ordering::SeqCst);
    let consumer = world.consume(&ledger);
    let head = world.append(["order-1", "cart-1"]).await;
    let events = world.events().await;
    let published: Vec<i64> = (1..=head - 2).collect();
    world.publish_by_hand(&events, &published).await;
    world.ledger_has(usize::try_from(head).expect("few")).await;
    world.assert_ledger_is_whole().await;
    assert!(ledger.asked.load(Ordering::SeqCst) - asked <= 4, "nothing was taken in again");
    consumer.stop().await;
}

#[tokio::test]
async fn what_claims_to_come_from_beyond_the_book_is_not_believed() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(20).await;
    let events = world.events().await;
    world.publish_by_hand(&events[..10], &[]).await;
    // As the relay writes them, but of a future that the book does not know: the first without a gap, the second after one.
    for distance in [1_000, i64::MAX - head] {
        let forged = events.iter().map(|event| RecordedEvent { position: event.position + distance, ..event.clone() });
        world.publish_by_hand(&forged.collect::<Vec<_>>(), &[]).await;
    }
    world.publish_by_hand(&events, &[]).await;
    let ledger = Ledger::default();
    let consumer = world.consume(&ledger);
    world.ledger_has(usize::try_from(head).expect("few")).await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_consumer_finds_the_whole_book_on_a_broker_that_keeps_its_end_only() {
    let mut world = world().await;
    world.open_ledger().await;
    world.append_many(200).await;
    let relay = world.relay();
    world.published().await;
    let ledger = Ledger::default();
    let consumer = world.consume(&ledger);
    world.ledger_has(200).await;
    consumer.stop().await;
    world.append_many(300).await;
    world.published().await;
    relay.stop().await;

    world.lose_topics().await;
    let relay = world.relay_with(Some(60_000));
    let consumer = world.consume(&ledger);
    until("it leads", async || world.status().await.leader).await;
    world.append_many(100).await;
    world.published().await;
    assert!(world.messages().await < 200, "the broker has the end only");
    world.ledger_has(600).await;
    world.assert_ledger_is_whole().await;

    relay::republish(&world.book).await.expect("the wish is noted");
    let messages = world.messages().await;
    until("it is published again", async || world.messages().await > messages).await;
    world.published().await;
    world.append_many(10).await;
    world.ledger_has(610).await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn partitions_of_which_the_broker_has_nothing_any_more_are_filled_as_well() {
    let mut world = world().await;
    world.open_ledger().await;
    world.append_many(200).await;
    world.append(["order-1", "order-1"]).await;
    let relay = world.relay();
    world.published().await;
    relay.stop().await;
    world.lose_topics().await;
    let relay = world.relay_with(Some(2_000));
    until("the end of the book is published again", async || world.messages().await > 0).await;
    world.published().await;
    assert!(world.messages().await < 9, "not every partition has a message");
    let ledger = Ledger::default();
    let consumer = world.consume(&ledger);
    world.ledger_has(202).await;
    world.assert_ledger_is_whole().await;
    until("all is passed", async || {
        progress::passed(&world.book, "ledger_v1", 202).await.expect("the database answers")
    })
    .await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_long_gap_is_filled_in_transactions_that_do_not_grow_with_it() {
    const BOOK: i64 = 24_000;
    const PUBLISHED: i64 = 100;
    let world = world().await;
    world.open_ledger().await;
    for _ in 0..BOOK / 2_000 {
        world.append_many(2_000).await;
    }
    // The topics have lost their heads: only the last events of the book are there.
    let events = world.events().await;
    world.publish_by_hand(&events, &(1..=BOOK - PUBLISHED).collect::<Vec<_>>()).await;
    let ledger = Ledger::default();
    // One transaction passes the door at a time, so the consumer is on the way on every machine.
    let first = ledger.door.lock().await;
    let consumer = world.consume(&ledger);
    let passing = async {
        let mut closed = first;
        while world.ledger().await.len() < 1_500 {
            drop(closed);
            closed = ledger.door.lock().await;
        }
        closed
    };
    let closed = tokio::time::timeout(PATIENCE, passing).await.expect("the gap is filled");
    // Killed on the way, it goes on from where it was.
    consumer.kill().await;
    drop(closed);
    assert!(world.ledger().await.len() < usize::try_from(BOOK).expect("few"), "the whole gap was one transaction");
    let consumer = world.consume(&ledger);
    world.ledger_has(usize::try_from(BOOK).expect("few")).await;
    world.assert_ledger_is_whole().await;
    let (largest, asked) = (ledger.largest.load(Ordering::SeqCst), ledger.asked.load(Ordering::SeqCst));
    assert!(largest < 2_000, "{largest} at once");
    // Nor are they so small that a transaction is begun for every page of the book, even where each message comes alone.
    assert!(asked < 9 * 24, "{asked} transactions");
    consumer.stop().await;
}

#[tokio::test]
async fn poison_parks_its_stream_the_others_go_on_and_retry_un_parks_it() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    // Positions 1 to 6; the second event of order-1 is number 3.
    world.append(["order-1", "order-2", "order-1", "order-2", "order-1", "cart-1"]).await;
    let ledger = Ledger::default();
    ledger.poison.lock().expect("no panic").push(3);
    let consumer = world.consume(&ledger);
    world.ledger_has(4).await;
    // What comes later to the same stream is parked behind it.
    world.append(["order-1", "order-2"]).await;
    world.ledger_has(5).await;
    until("it is parked", async || parked::list(&world.book).await.expect("an answer").len() == 3).await;
    let list = parked::list(&world.book).await.expect("an answer");
    let shown: Vec<_> =
        list.iter().map(|event| (event.position, event.stream_id.as_str(), event.reason.as_str())).collect();
    let behind = "an earlier event of the stream is parked";
    assert_eq!(shown, [(3, "order-1", "it tastes bad"), (5, "order-1", behind), (7, "order-1", behind)]);

    // Not mended: it stays as it was.
    let refused = parked::retry(&world.book, "ledger_v1", "order-1", &ledger).await;
    assert!(matches!(refused, Err(ConsumerError::Effect(EffectError::Poison { position: 3, .. }))));
    assert_eq!(parked::list(&world.book).await.expect("an answer"), list);
    assert_eq!(parked::retry(&world.book, "ledger_v1", "order-2", &ledger).await.expect("nothing to do"), 0);

    ledger.poison.lock().expect("no panic").clear();
    assert_eq!(parked::retry(&world.book, "ledger_v1", "order-1", &ledger).await.expect("it is mended"), 3);
    world.append(["order-1"]).await;
    world.ledger_has(9).await;
    world.assert_ledger_is_whole().await;
    assert!(parked::list(&world.book).await.expect("an answer").is_empty());
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_retired_consumer_ends_and_leaves_nothing() {
    let world = world().await;
    world.open_ledger().await;
    world.append_many(10).await;
    world.publish_by_hand(&world.events().await, &[]).await;
    let ledger = Ledger::default();
    ledger.retired.store(true, Ordering::SeqCst);
    assert_eq!(world.consume(&ledger).ended().await, Ended::Retired);
    assert_eq!((world.ledger().await.len(), checkpoints(&world).await), (0, 0));
}

#[tokio::test]
async fn a_position_is_passed_when_it_is_published_and_taken_in() {
    let world = world().await;
    world.open_ledger().await;
    let passed =
        async |position| progress::passed(&world.book, "ledger_v1", position).await.expect("the database answers");
    let head = world.append(["cart-1", "cart-2", "order-1", "cart-3"]).await;
    let relay = world.relay();
    world.published().await;
    assert!(!passed(1).await, "it has not begun");
    let ledger = Ledger::default();
    let closed = ledger.door.lock().await;
    let consumer = world.consume(&ledger);
    until("it has begun", async || ledger.asked.load(Ordering::SeqCst) > 0).await;
    assert!(!passed(1).await, "nothing is committed");
    drop(closed);
    until("all is passed", async || passed(head).await).await;
    assert_eq!(world.ledger().await.len(), 4);
    assert!(!passed(head + 1).await, "not even written");
    consumer.stop().await;

    world.append(["cart-1"]).await;
    world.published().await;
    let measured = progress::list(&world.book).await.expect("an answer");
    let expected = ConsumerProgress { consumer: "ledger_v1".into(), position: 1, lag: 4, parked: 0 };
    assert_eq!(measured, [expected], "the partition of cart-1 is behind");
    relay.stop().await;
}
