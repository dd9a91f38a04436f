//! From the book to Kafka: the relay publishes a book that has never been published. The ceiling is a bare producer that sends as
//! many messages of as many bytes to the same kind of broker.

use std::time::{Duration, Instant};

use anyhow::ensure;
use daybook_event_stream::{Relay, RelaySettings, broker::Broker, relay};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::DefaultProducerContext,
    producer::{BaseRecord, Producer, ThreadedProducer},
};
use tokio_util::sync::CancellationToken;

use super::{
    engine, history,
    load::Tally,
    report::{Ceiling, Report, per_second},
    stage::Stage,
};
use crate::Topics;

/// How often the position of the relay is read.
const POLL: Duration = Duration::from_millis(20);
/// How long the relay may stand still.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a bare producer may take to send its last messages.
const FLUSH: Duration = Duration::from_secs(60);
/// The size of an average event of an order on the wire.
const MESSAGE_BYTES: usize = 700;

pub(super) async fn measure(stage: &Stage, events: i64) -> anyhow::Result<Report> {
    let events = history::write(stage, events).await?;
    let topics = engine::topics();
    let ceiling = bare_producer(&topics, events).await?;
    let broker = Broker::start(topics.embedded()).await?;
    let settings = RelaySettings { kafka: topics.at_embedded(broker.bootstrap_servers()), refill_bytes: None };
    let stop = CancellationToken::new();
    let begin = Instant::now();
    let running = tokio::spawn(Relay::new(stage.book.clone(), settings).run(stop.clone()));
    let took = published(stage, events, begin).await;
    stop.cancel();
    running.await?;
    let tally = Tally { elapsed: took?, ..Tally::default() };
    let ratio = per_second(events, tally.elapsed) / ceiling.events_per_s;
    Ok(Report::new("relay", 1, &tally, events, ceiling).with("of_ceiling", ratio).with("events", events))
}

/// Waits until everything is published. Returns the time since `begin`.
async fn published(stage: &Stage, events: i64, begin: Instant) -> anyhow::Result<Duration> {
    let (mut position, mut moved) = (0, Instant::now());
    loop {
        let status = relay::status(&stage.book).await?;
        if status.position >= events {
            return Ok(begin.elapsed());
        }
        if status.position > position {
            (position, moved) = (status.position, Instant::now());
        }
        ensure!(moved.elapsed() < PATIENCE, "the relay stands still at {position} of {events}");
        tokio::time::sleep(POLL).await;
    }
}

/// Sends messages of the usual size, with the relay's settings for safety but without its checks.
async fn bare_producer(topics: &Topics, events: i64) -> anyhow::Result<Ceiling> {
    let broker = Broker::start(topics.embedded()).await?;
    let topic = topics.at(broker.bootstrap_servers()).topology.topics().into_iter().next().unwrap_or_default();
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap_servers())
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "2")
        .create()?;
    let begin = Instant::now();
    let sending = tokio::task::spawn_blocking(move || {
        let payload = vec![b'x'; MESSAGE_BYTES];
        for nr in 0..events {
            let key = nr.to_le_bytes();
            let mut record = BaseRecord::to(&topic).key(&key).payload(&payload);
            while let Err((error, again)) = producer.send(record) {
                if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(1));
                record = again;
            }
        }
        producer.flush(FLUSH)
    });
    sending.await??;
    let what = format!("bare producer of messages of {MESSAGE_BYTES} bytes");
    Ok(Ceiling { what, events_per_s: per_second(events, begin.elapsed()) })
}
