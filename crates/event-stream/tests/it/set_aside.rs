//! An event that can never be published is set aside: the wire and its consumers go on, and the event has a name and a way back.

use daybook_event_stream::{
    KafkaSettings, RelaySettings, SliceTopic, Topology,
    relay::{self, SetAside},
};
use rdkafka::{
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use crate::{
    broker::{PARTITIONS, fetch_wait, real, topology},
    ledger::Ledger,
    world::{Running, World, until, world},
};

impl World {
    /// Appends an event as a program did that had no bound for events.
    async fn append_by_sql(&self, stream: &str, version: i32, data: &str) -> i64 {
        let sql = "WITH next AS (UPDATE head SET position = position + 1, recorded_at = greatest(recorded_at, now())
                                 RETURNING position, recorded_at)
                   INSERT INTO events
                   SELECT position, $1, $2, 'Noted', 1, gen_random_uuid(), recorded_at, recorded_at, gen_random_uuid(),
                          gen_random_uuid(), 'test', NULL, NULL, $3::text::json
                   FROM next RETURNING position";
        let client = self.database.connect().await;
        client.query_one(sql, &[&stream, &version, &data]).await.expect("the event is appended").get(0)
    }

    async fn set_aside(&self) -> Vec<SetAside> {
        relay::list_set_aside(&self.book).await.expect("the database answers")
    }

    fn relay_of(&self, kafka: KafkaSettings) -> Running {
        Running::relay(&self.book, RelaySettings { kafka, refill_bytes: None })
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_for_the_wire_holds_up_nothing_and_every_consumer_gets_it_from_the_book() {
    let world = world().await;
    world.open_ledger().await;
    world.append(["order-1", "cart-1", "order-2"]).await;
    let large = world.append_by_sql("order-1", 2, &format!(r#"{{"text":"{}"}}"#, "x".repeat(1_100_000))).await;
    let relay = world.relay();
    let consumer = world.consume(&Ledger::default());
    // Nothing follows in its partition that could show a gap.
    world.ledger_has(4).await;
    world.append_many(40).await;
    world.append_by_sql("order-1", 3, "{}").await;
    world.ledger_has(45).await;
    world.assert_ledger_is_whole().await;
    world.published().await;

    let named = world.status().await.set_aside;
    let [SetAside { position, stream_id, event_type, skipped: false, .. }] = &named[..] else { panic!("{named:?}") };
    assert_eq!((*position, stream_id.as_str(), event_type.as_str()), (large, "order-1", "Noted"));

    // Another leader publishes no more of it, and a retry says so once more.
    relay.stop().await;
    let relay = world.relay();
    until("a relay leads", async || world.status().await.leader).await;
    assert_eq!(relay::retry(&world.book, Some(large)).await.expect("an answer"), 1);
    until("the event is set aside again", async || {
        let client = world.database.connect().await;
        let sql = "SELECT count(*) FROM relay_set_aside WHERE NOT retry";
        client.query_one(sql, &[]).await.expect("an answer").get::<_, i64>(0) == 1 && world.status().await.lag == 0
    })
    .await;
    assert_eq!(relay::skip(&world.book, None).await.expect("an answer"), 1);
    assert!(world.set_aside().await[0].skipped);
    world.append(["cart-9"]).await;
    world.ledger_has(46).await;
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn an_event_that_is_no_object_or_of_no_topic_is_set_aside() {
    let world = world().await;
    world.open_ledger().await;
    let odd = world.append_by_sql("order-1", 1, "[1]").await;
    let relay = world.relay();
    let consumer = world.consume(&Ledger::default());
    world.append(["order-2"]).await;
    let other = world.append_by_sql("payment-1", 1, "{}").await;
    world.append_by_sql("payment-1", 2, "{}").await;
    world.append(["cart-1"]).await;
    world.published().await;
    world.ledger_has(3).await;
    let positions: Vec<i64> = world.set_aside().await.iter().map(|event| event.position).collect();
    assert_eq!(positions, [odd, other, other + 1]);
    relay.stop().await;

    // A newer program knows the slice of the other stream.
    let mut newer = world.kafka.clone();
    let payment = SliceTopic { slice: "payment".into(), stream_prefixes: vec!["payment".into()] };
    let Topology { slices, .. } = &mut newer.topology;
    // The embedded broker makes no topic over the wire, so the slice shares one.
    let cart = slices.iter_mut().find(|slice| slice.slice == "cart").expect("a slice");
    cart.stream_prefixes.extend(payment.stream_prefixes);
    let relay = world.relay_of(newer);
    until("the events of the new slice are published", async || world.set_aside().await.len() == 1).await;
    world.published().await;
    assert_eq!(world.messages().await, 5, "each event, and what stands for the one that is no object");
    relay.stop().await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_broker_that_refuses_a_batch_gets_its_events_one_by_one_and_only_the_refused_one_is_set_aside() {
    if real().is_some() {
        return;
    }
    let cluster = MockCluster::new(1).expect("a broker");
    let topology = topology("refusing".to_owned(), PARTITIONS);
    for topic in topology.topics() {
        cluster.create_topic(&topic, PARTITIONS, 1).expect("a topic");
    }
    let world = world().await;
    world.append(["order-1", "order-1", "order-1", "order-1"]).await;
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    // The batch, and then the first of its events.
    cluster.request_errors(RDKafkaApiKey::Produce, &[too_large, too_large]);
    let brokers = cluster.bootstrap_servers();
    let relay = world.relay_of(KafkaSettings {
        brokers,
        topology,
        replication: 1,
        fetch_wait: fetch_wait(),
        security: daybook_event_stream::KafkaSecurity::default(),
        group_suffix: None,
    });
    world.published().await;
    let positions: Vec<i64> = world.set_aside().await.iter().map(|event| event.position).collect();
    assert_eq!(positions, [1]);
    assert_eq!(relay::retry(&world.book, None).await.expect("an answer"), 1);
    until("the event is published after all", async || world.set_aside().await.is_empty()).await;
    world.append(["order-1"]).await;
    world.published().await;
    relay.stop().await;
}
