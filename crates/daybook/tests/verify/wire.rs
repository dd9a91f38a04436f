//! Corruptions of the topics: each on a broker of its own, with messages that differ from those of the relay.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use daybook_event_store::RecordedEvent;
use daybook_event_stream::{KafkaSettings, Relay, RelaySettings, envelope, relay, signature::WireKeys};
use daybook_operations::verify;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::shop::{PATIENCE, Shop, WIRE, assert_failures, broker, failures, shop, topology};

/// A message before it is sent.
#[derive(Debug, Clone)]
struct UnsentMessage {
    topic: String,
    partition: i32,
    key: String,
    event: RecordedEvent,
    prev: i64,
    /// The value that is sent instead of the event.
    instead: Option<String>,
    /// The epoch of the message, if it differs from that of the book.
    history: Option<Uuid>,
}

/// The messages of all events, as the relay publishes them.
fn messages_of(events: &[RecordedEvent]) -> Vec<UnsentMessage> {
    let (topology, mut last) = (topology(), HashMap::new());
    let message = |event: &RecordedEvent| {
        let topic = topology.topic(topology.slice_of(&event.stream_id).expect("a slice"));
        let partition = topology.partition_of(&event.stream_id);
        let prev = last.insert((topic.clone(), partition), event.position).unwrap_or(0);
        UnsentMessage {
            topic,
            partition,
            key: event.stream_id.clone(),
            event: event.clone(),
            prev,
            instead: None,
            history: None,
        }
    };
    events.iter().map(message).collect()
}

async fn send(kafka: &KafkaSettings, messages: &[UnsentMessage], own: Uuid, keys: &WireKeys) {
    send_with(kafka, messages, own, Some(keys)).await;
}

async fn send_unsigned(kafka: &KafkaSettings, messages: &[UnsentMessage], own: Uuid) {
    send_with(kafka, messages, own, None).await;
}

async fn send_with(kafka: &KafkaSettings, messages: &[UnsentMessage], own: Uuid, keys: Option<&WireKeys>) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.brokers)
        .set("linger.ms", "0")
        .create()
        .expect("a producer");
    for UnsentMessage { topic, partition, key, event, prev, instead, history } in messages {
        let slice = kafka.topology.slice_of(&event.stream_id).expect("a slice");
        let (headers, value) =
            envelope::encode(event, slice, *prev, history.unwrap_or(own)).expect("the event is an object");
        let value = instead.as_ref().unwrap_or(&value);
        let headers = match keys {
            Some(keys) => keys.sign((topic, *partition), headers, Some(value.as_bytes())),
            None => headers,
        };
        let record = FutureRecord::to(topic).partition(*partition).key(key).payload(value).headers(headers);
        producer.send(record, PATIENCE).await.expect("the broker acknowledges the message");
    }
}

impl Shop {
    /// Asserts that on a broker with these messages only the check of the wire fails, and how its finding begins.
    async fn assert_wire(&self, messages: &[UnsentMessage], expected: Option<&str>) {
        let (_broker, kafka) = broker().await;
        let keys = WireKeys::load(&self.book).await.expect("the database answers");
        send(&kafka, messages, self.book.head().await.expect("the database answers").epoch, &keys).await;
        let verdict = verify::audit(&self.book, &kafka).await.expect("everything can be read");
        let expected: Vec<_> = expected.map(|first| (WIRE, first)).into_iter().collect();
        assert_failures("the wire", &verdict, &expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_corruption_of_the_wire_is_named() {
    let shop = shop().await;
    let whole = messages_of(&shop.events().await);
    shop.assert_wire(&whole, None).await;
    let twice: Vec<_> = whole.iter().chain(&whole).cloned().collect();
    shop.assert_wire(&twice, None).await;

    // Three messages of one partition, those of the stock. The second one is corrupted.
    let own: Vec<usize> = (0..whole.len()).filter(|&nr| whole[nr].event.stream_id == "stock-oat@main").collect();
    let (first, second, third) = (own[0], own[1], own[2]);
    let position = |nr: usize| whole[nr].event.position;
    let log = format!("{}[{}]", whole[second].topic, whole[second].partition);
    let corrupted = |corrupt: &dyn Fn(&mut Vec<UnsentMessage>)| {
        let mut messages = whole.clone();
        corrupt(&mut messages);
        messages
    };

    let missing = corrupted(&|messages| drop(messages.remove(second)));
    let (one, two, three) = (position(first), position(second), position(third));
    let says = format!("position {three} in {log} names {two} before it and follows {one}");
    shop.assert_wire(&missing, Some(&says)).await;
    // The third message names the first one, so the chain has no gap.
    let covered = corrupted(&|messages| {
        messages[third].prev = one;
        messages.remove(second);
    });
    shop.assert_wire(&covered, Some(&format!("{log} lacks position {two} of stock-oat@main"))).await;
    let end = *own.last().expect("the partition has messages");
    let cut_off = corrupted(&|messages| drop(messages.remove(end)));
    shop.assert_wire(&cut_off, Some(&format!("{log} lacks position {} of stock-oat@main", position(end)))).await;

    let changed = corrupted(&|messages| {
        let mut other = messages[second].clone();
        other.event.actor = "guest".into();
        messages.insert(second, other);
    });
    let says = format!("position {two} has actor guest on Kafka, the book says admin:test");
    shop.assert_wire(&changed, Some(&says)).await;

    let elsewhere = (whole[second].partition + 1) % 4;
    let wrong_partition = corrupted(&|messages| messages[second].partition = elsewhere);
    let other = format!("{}[{elsewhere}]", whole[second].topic);
    let says = format!("position {two} of stock-oat@main does not belong in {other}");
    shop.assert_wire(&wrong_partition, Some(&says)).await;
    let key = corrupted(&|messages| messages[second].key = "stock-tea@main".into());
    let says = format!("position {two} of stock-oat@main in {log} has the key Some(\"stock-tea@main\")");
    shop.assert_wire(&key, Some(&says)).await;

    let chain = corrupted(&|messages| messages[second].prev = one - 1);
    let says = format!("position {two} in {log} names {} before it and follows {one}", one - 1);
    shop.assert_wire(&chain, Some(&says)).await;

    let foreign = corrupted(&|messages| messages[second].instead = Some("not an event".into()));
    shop.assert_wire(&foreign, Some(&format!("{log} at offset 1 is no event: "))).await;
    let of_another_history = corrupted(&|messages| messages[second].history = Some(Uuid::nil()));
    let says = format!("position {two} in {log} is of the history {}, which is not the book's", Uuid::nil());
    shop.assert_wire(&of_another_history, Some(&says)).await;
    let invented = corrupted(&|messages| {
        let mut other = messages[end].clone();
        (other.prev, other.event.position) = (position(end), 9_999);
        messages.push(other);
    });
    shop.assert_wire(&invented, Some("position 9999 is on Kafka and is not in the book")).await;
}

/// The number of messages of each partition.
fn message_counts(kafka: &KafkaSettings) -> Vec<i64> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &kafka.brokers).create().expect("a consumer");
    let held = |topic: &String, partition| {
        let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the broker answers");
        high - low
    };
    topology().topics().iter().flat_map(|topic| (0..4).map(move |nr| held(topic, nr))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_a_broker_has_forgotten_are_not_reported() {
    let shop = shop().await;
    // As after a restart of `daybook up`: the relay publishes the end of the book to a new broker, and some partitions stay empty.
    let (_broker, kafka) = broker().await;
    let stop = CancellationToken::new();
    let relay = Relay::new(shop.book.clone(), RelaySettings { kafka: kafka.clone(), refill_bytes: Some(6_000) });
    let relay = tokio::spawn(relay.run(stop.clone()));
    let began = Instant::now();
    while message_counts(&kafka).iter().sum::<i64>() == 0 || relay::status(&shop.book).await.expect("an answer").lag > 0
    {
        assert!(began.elapsed() < PATIENCE, "nothing is published");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    relay.await.expect("no panic");
    let (before, after) = (message_counts(&shop.kafka), message_counts(&kafka));
    assert!(before.iter().zip(&after).any(|(before, after)| *before > 0 && *after == 0), "a partition is empty now");
    let verdict = verify::audit(&shop.book, &kafka).await.expect("everything can be read");
    assert_eq!(failures(&verdict), []);
    // The first broker still has every message.
    assert_eq!(failures(&shop.verify().await), []);
    // An empty broker has none.
    let (_broker, empty) = broker().await;
    let verdict = verify::audit(&shop.book, &empty).await.expect("everything can be read");
    assert_failures("an empty broker", &verdict, &[(WIRE, "daybook.")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_set_aside_and_one_that_waits_are_named_until_they_are_accepted_or_taken_up() {
    let shop = shop().await;
    let position = shop.position("order.OrderPlaced").await;
    shop.execute(&format!(
        "INSERT INTO relay_set_aside (position, stream_id, type, reason, no_topic)
         SELECT position, stream_id, type, 'it is too large', false FROM events WHERE position = {position};
         INSERT INTO parked_events (consumer, position, stream_id, reason, waiting)
         VALUES ('order_v1', 1, 'order-1', 'there is no event type', true)"
    ))
    .await;
    let verdict = shop.verify().await;
    let set_aside = format!("position {position} of order-");
    let expected = [
        ("nothing waits for a newer program", "order_v1 waits at position 1 of order-1: there is no event type"),
        ("the relay has set nothing aside", set_aside.as_str()),
    ];
    assert_failures("set aside", &verdict, &expected);
    assert_eq!(relay::skip(&shop.book, Some(position)).await.expect("an answer"), 1);
    shop.execute("DELETE FROM parked_events").await;
    assert_eq!(failures(&shop.verify().await), []);

    // The wire has a message in the place of the event.
    let messages = messages_of(&shop.events().await);
    let (_broker, kafka) = broker().await;
    let history = shop.book.head().await.expect("the database answers").epoch;
    let keys = WireKeys::load(&shop.book).await.expect("the database answers");
    for message in &messages {
        if message.event.position == position {
            send_in_place_of(&kafka, message, history, &keys).await;
        } else {
            send(&kafka, std::slice::from_ref(message), history, &keys).await;
        }
    }
    let verdict = verify::audit(&shop.book, &kafka).await.expect("everything can be read");
    assert_eq!(failures(&verdict), []);
}

/// Sends what stands for an event that was set aside.
async fn send_in_place_of(kafka: &KafkaSettings, message: &UnsentMessage, history: Uuid, keys: &WireKeys) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &kafka.brokers).create().expect("a producer");
    let UnsentMessage { topic, partition, key, event, prev, .. } = message;
    let slice = kafka.topology.slice_of(&event.stream_id).expect("a slice");
    let headers = keys.sign((topic, *partition), envelope::set_aside(event, slice, *prev, history), None);
    let record: FutureRecord<'_, String, String> =
        FutureRecord::to(topic).partition(*partition).key(key).headers(headers);
    producer.send(record, PATIENCE).await.expect("the broker acknowledges the message");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_relay_has_not_written_are_no_violation_and_stand_for_nothing() {
    let shop = shop().await;
    let messages = messages_of(&shop.events().await);
    let (_broker, kafka) = broker().await;
    let history = shop.book.head().await.expect("the database answers").epoch;
    let keys = WireKeys::load(&shop.book).await.expect("the database answers");
    // Forgeries stand before, between and after the messages of the relay: with a wrong value, a wrong position, a wrong place.
    let mut forged = messages.clone();
    for (nr, message) in forged.iter_mut().enumerate() {
        match nr % 3 {
            0 => message.instead = Some("garbage".to_owned()),
            1 => message.event.position += 1_000_000,
            _ => message.partition = (message.partition + 1) % kafka.topology.partitions,
        }
    }
    send_unsigned(&kafka, &forged, history).await;
    for message in &messages {
        send(&kafka, std::slice::from_ref(message), history, &keys).await;
        send_unsigned(&kafka, std::slice::from_ref(&forged[0]), history).await;
    }
    send_unsigned(&kafka, &forged, history).await;
    let verdict = verify::audit(&shop.book, &kafka).await.expect("everything can be read");
    assert_eq!(failures(&verdict), []);

    // What a relay of an earlier program has published is not signed, and whole all the same.
    let (_broker, kafka) = broker().await;
    send_unsigned(&kafka, &messages, history).await;
    let verdict = verify::audit(&shop.book, &kafka).await.expect("everything can be read");
    assert_eq!(failures(&verdict), []);
}
