//! The embedded broker, over its own address with ordinary clients: producing, consuming, and retention.

use std::time::Duration;

use daybook_event_stream::broker::{Broker, RETAINED_BYTES_PER_PARTITION, Topic};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
    producer::{FutureProducer, FutureRecord},
};

const PATIENCE: Duration = Duration::from_secs(180);

async fn broker(topics: &[(&str, i32)]) -> Broker {
    let topics = topics.iter().map(|(name, partitions)| Topic { name: (*name).to_owned(), partitions: *partitions });
    Broker::start(topics.collect()).await.expect("a broker")
}

fn client(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap_servers());
    config
}

#[tokio::test]
async fn topics_have_the_requested_number_of_partitions() {
    let broker = broker(&[("cart", 3), ("order", 6)]).await;
    let consumer: BaseConsumer = client(&broker).create().expect("a consumer");
    for (topic, partitions) in [("cart", 3), ("order", 6)] {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the metadata of the topic");
        assert_eq!(metadata.topics()[0].partitions().len(), partitions, "{topic}");
    }
}

#[tokio::test]
async fn a_group_consumes_what_an_idempotent_producer_sent() {
    let broker = broker(&[("order", 2)]).await;
    let producer: FutureProducer =
        client(&broker).set("enable.idempotence", "true").set("acks", "all").create().expect("a producer");
    for number in 0..10 {
        let (key, value) = (format!("order-{number}"), number.to_string());
        producer.send(FutureRecord::to("order").key(&key).payload(&value), PATIENCE).await.expect("an ack");
    }

    let consumer: StreamConsumer =
        client(&broker).set("group.id", "reader").set("auto.offset.reset", "earliest").create().expect("a consumer");
    consumer.subscribe(&["order"]).expect("a subscription");
    let mut seen = Vec::new();
    while seen.len() < 10 {
        let message = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("in time").expect("a message");
        let value = std::str::from_utf8(message.payload().expect("a value")).expect("text");
        seen.push(value.parse::<u32>().expect("a number"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_partition_keeps_as_many_bytes_as_the_constant_says() {
    let broker = broker(&[("order", 1)]).await;
    let producer: FutureProducer =
        client(&broker).set("linger.ms", "0").set("batch.num.messages", "1").create().expect("a producer");
    let message = vec![b'x'; 100_000];
    let sent = 3 * RETAINED_BYTES_PER_PARTITION / message.len();
    for _ in 0..sent {
        producer.send(FutureRecord::<(), _>::to("order").payload(&message), PATIENCE).await.expect("an ack");
    }

    let consumer: BaseConsumer = client(&broker).create().expect("a consumer");
    let (low, high) = consumer.fetch_watermarks("order", 0, PATIENCE).expect("the watermarks");
    assert_eq!(high, i64::try_from(sent).expect("a count"));
    let kept = usize::try_from(high - low).expect("a count") * message.len();
    assert!(kept <= RETAINED_BYTES_PER_PARTITION + message.len(), "{kept} bytes are kept");
    assert!(kept >= RETAINED_BYTES_PER_PARTITION - 2 * message.len(), "{kept} bytes are kept");
}

#[tokio::test]
async fn the_port_is_closed_when_the_broker_is_dropped() {
    let broker = broker(&[]).await;
    let address = broker.bootstrap_servers().to_owned();
    tokio::net::TcpStream::connect(&address).await.expect("the port is open");
    drop(broker);
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
}
