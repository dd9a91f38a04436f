//! A consumer: effect and checkpoint commit together, every event is applied once, and poison is parked.

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

/// The number of partitions whose checkpoint has moved.
async fn checkpoints(world: &World) -> i64 {
    let client = world.book.pool().get().await.expect("the database answers");
    client
        .query_one("SELECT count(*) FROM consumer_checkpoints WHERE position > 0 OR log_offset >= 0", &[])
        .await
        .expect("the database answers")
        .get(0)
}

#[tokio::test]
async fn a_failed_effect_moves_no_checkpoint() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(50).await;
    world.publish_by_hand(&world.events().await, &[]).await;
    let ledger = Ledger::default();
    ledger.fails.store(true, Ordering::SeqCst);
    let consumer = world.consume(&ledger);
    until("the effect is tried again", async || ledger.calls.load(Ordering::SeqCst) > 3).await;
    assert_eq!((world.ledger().await.len(), checkpoints(&world).await), (0, 0));
    ledger.fails.store(false, Ordering::SeqCst);
    world.ledger_has(usize::try_from(head).expect("a small number")).await;
    world.assert_ledger_is_whole().await;
    assert_eq!(consumer.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn an_event_that_overflows_a_number_parks_its_stream_and_the_other_streams_continue() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(30).await;
    let events = world.events().await;
    world.publish_by_hand(&events, &[]).await;
    let culprit = &events[4];
    let ledger = Ledger::default();
    ledger.overflowing.lock().expect("no panic").push(culprit.position);
    let consumer = world.consume(&ledger);
    let behind =
        events.iter().filter(|event| event.stream_id == culprit.stream_id && event.position >= culprit.position);
    let behind: Vec<i64> = behind.map(|event| event.position).collect();
    world.ledger_has(usize::try_from(head).expect("a small number") - behind.len()).await;
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
async fn lost_messages_are_read_from_the_book_and_repeated_ones_are_skipped() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(100).await;
    let events = world.events().await;
    // First come gaps of one and of several events, then every event again, then messages that are no event.
    world.publish_by_hand(&events[..97], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 40, 60, 61]).await;
    world.publish_by_hand(&events, &[]).await;
    for (topic, partition) in world.kafka.topology.topics().iter().zip(0..PARTITIONS) {
        let (key, value) = ("order-1".to_owned(), "not an event".to_owned());
        world.produce(FutureRecord::to(topic).partition(partition).key(&key).payload(&value)).await;
    }
    let ledger = Ledger::default();
    let consumer = world.consume(&ledger);
    world.ledger_has(usize::try_from(head).expect("a small number")).await;
    world.assert_ledger_is_whole().await;

    // The consumer continues after those messages. A second run begins where the first has ended.
    consumer.stop().await;
    let calls = ledger.calls.load(Ordering::SeqCst);
    let consumer = world.consume(&ledger);
    let head = world.append(["order-1", "cart-1"]).await;
    let events = world.events().await;
    let published: Vec<i64> = (1..=head - 2).collect();
    world.publish_by_hand(&events, &published).await;
    world.ledger_has(usize::try_from(head).expect("a small number")).await;
    world.assert_ledger_is_whole().await;
    assert!(ledger.calls.load(Ordering::SeqCst) - calls <= 4, "no event was applied again");
    consumer.stop().await;
}

#[tokio::test]
async fn messages_from_beyond_the_end_of_the_book_are_ignored() {
    let world = world().await;
    world.open_ledger().await;
    let head = world.append_many(20).await;
    let events = world.events().await;
    world.publish_by_hand(&events[..10], &[]).await;
    // The messages are like the relay's, with positions beyond the end of the book: the first set without a gap, the second after a gap.
    for distance in [1_000, i64::MAX - head] {
        let forged = events.iter().map(|event| RecordedEvent { position: event.position + distance, ..event.clone() });
        world.publish_by_hand(&forged.collect::<Vec<_>>(), &[]).await;
    }
    world.publish_by_hand(&events, &[]).await;
    let ledger = Ledger::default();
    let consumer = world.consume(&ledger);
    world.ledger_has(usize::try_from(head).expect("a small number")).await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_consumer_applies_the_whole_book_from_a_broker_that_keeps_only_its_end() {
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
    until("the relay leads", async || world.status().await.leader).await;
    world.append_many(100).await;
    world.published().await;
    assert!(world.messages().await < 200, "the broker has only the end of the book");
    world.ledger_has(600).await;
    world.assert_ledger_is_whole().await;

    relay::republish(&world.book).await.expect("the request is recorded");
    let messages = world.messages().await;
    until("the book is published again", async || world.messages().await > messages).await;
    world.published().await;
    world.append_many(10).await;
    world.ledger_has(610).await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn partitions_that_are_empty_on_the_broker_are_filled_from_the_book() {
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
    until("the consumer has passed every event", async || {
        progress::passed(&world.book, "ledger_v1", 202).await.expect("the database answers")
    })
    .await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_long_gap_is_filled_in_transactions_of_bounded_size() {
    const BOOK: i64 = 24_000;
    const PUBLISHED: i64 = 100;
    let world = world().await;
    world.open_ledger().await;
    for _ in 0..BOOK / 2_000 {
        world.append_many(2_000).await;
    }
    // The topics hold only the last events of the book.
    let events = world.events().await;
    world.publish_by_hand(&events, &(1..=BOOK - PUBLISHED).collect::<Vec<_>>()).await;
    let ledger = Ledger::default();
    // The gate lets one transaction pass at a time, so the test can stop the consumer inside the gap.
    let first = ledger.gate.lock().await;
    let consumer = world.consume(&ledger);
    let passing = async {
        let mut closed = first;
        while world.ledger().await.len() < 1_500 {
            drop(closed);
            closed = ledger.gate.lock().await;
        }
        closed
    };
    let closed = tokio::time::timeout(PATIENCE, passing).await.expect("the gap is filled");
    // A killed consumer continues from its checkpoint.
    consumer.kill().await;
    drop(closed);
    assert!(
        world.ledger().await.len() < usize::try_from(BOOK).expect("a small number"),
        "the whole gap was one transaction"
    );
    let consumer = world.consume(&ledger);
    world.ledger_has(usize::try_from(BOOK).expect("a small number")).await;
    world.assert_ledger_is_whole().await;
    let (largest, calls) = (ledger.largest_batch.load(Ordering::SeqCst), ledger.calls.load(Ordering::SeqCst));
    assert!(largest < 2_000, "{largest} events in one transaction");
    // The transactions are not too small either: one covers several pages of the book, even where each message comes alone.
    assert!(calls < 9 * 24, "{calls} transactions");
    consumer.stop().await;
}

#[tokio::test]
async fn poison_parks_its_stream_the_other_streams_continue_and_retry_processes_the_parked_events() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    // These are positions 1 to 6. The second event of order-1 is at position 3.
    world.append(["order-1", "order-2", "order-1", "order-2", "order-1", "cart-1"]).await;
    let ledger = Ledger::default();
    ledger.poison.lock().expect("no panic").push(3);
    let consumer = world.consume(&ledger);
    world.ledger_has(4).await;
    // Later events of the same stream are parked behind it.
    world.append(["order-1", "order-2"]).await;
    world.ledger_has(5).await;
    until("the stream is parked", async || parked::list(&world.book).await.expect("an answer").len() == 3).await;
    let list = parked::list(&world.book).await.expect("an answer");
    let shown: Vec<_> =
        list.iter().map(|event| (event.position, event.stream_id.as_str(), event.reason.as_str())).collect();
    let behind = "an earlier event of the stream is parked";
    assert_eq!(shown, [(3, "order-1", "the event is poisoned"), (5, "order-1", behind), (7, "order-1", behind)]);

    // While the poison remains, a retry changes nothing.
    let refused = parked::retry(&world.book, "ledger_v1", "order-1", &ledger).await;
    assert!(matches!(refused, Err(ConsumerError::Effect(EffectError::Poison { position: 3, .. }))));
    assert_eq!(parked::list(&world.book).await.expect("an answer"), list);
    assert_eq!(parked::retry(&world.book, "ledger_v1", "order-2", &ledger).await.expect("no event is parked"), 0);

    ledger.poison.lock().expect("no panic").clear();
    assert_eq!(parked::retry(&world.book, "ledger_v1", "order-1", &ledger).await.expect("the poison is removed"), 3);
    world.append(["order-1"]).await;
    world.ledger_has(9).await;
    world.assert_ledger_is_whole().await;
    assert!(parked::list(&world.book).await.expect("an answer").is_empty());
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_retired_consumer_ends_without_a_commit() {
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
async fn a_position_is_passed_when_it_is_published_and_applied() {
    let world = world().await;
    world.open_ledger().await;
    let passed =
        async |position| progress::passed(&world.book, "ledger_v1", position).await.expect("the database answers");
    let head = world.append(["cart-1", "cart-2", "order-1", "cart-3"]).await;
    let relay = world.relay();
    world.published().await;
    assert!(!passed(1).await, "the consumer has not begun");
    let ledger = Ledger::default();
    let closed = ledger.gate.lock().await;
    let consumer = world.consume(&ledger);
    until("the consumer has begun", async || ledger.calls.load(Ordering::SeqCst) > 0).await;
    assert!(!passed(1).await, "no effect is committed");
    drop(closed);
    until("the consumer has passed every event", async || passed(head).await).await;
    assert_eq!(world.ledger().await.len(), 4);
    assert!(!passed(head + 1).await, "the position is not written yet");
    consumer.stop().await;

    world.append(["cart-1"]).await;
    world.published().await;
    let measured = progress::list(&world.book).await.expect("an answer");
    let expected = ConsumerProgress { consumer: "ledger_v1".into(), position: 1, lag: 4, parked: 0, waiting: 0 };
    assert_eq!(measured, [expected], "the partition of cart-1 is behind");
    relay.stop().await;
}
