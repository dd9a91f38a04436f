//! A book and a broker, with the steps of the tests.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use daybook_event_store::{AppendUnit, Daybook, Filter, NewEvent, Operation, RecordedEvent, StoreSettings};
use daybook_event_stream::{
    KafkaSettings, Relay, RelaySettings, envelope,
    envelope::EventMessage,
    relay::{self, RelayStatus},
    signature::WireKeys,
};
use daybook_test_postgres::TestDatabase;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
    producer::{FutureProducer, FutureRecord},
};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::{PARTITIONS, Topics};

/// How long a test waits for an expected change.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// How long a request for a topic may take. The broker does not answer for a missing one.
const SHORT_TIMEOUT: Duration = Duration::from_secs(10);

static IDS: AtomicU64 = AtomicU64::new(1);

fn id() -> Uuid {
    Uuid::from_u64_pair(0, IDS.fetch_add(1, Ordering::Relaxed))
}

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) book: Daybook,
    pub(crate) kafka: KafkaSettings,
    pub(crate) topics: Topics,
    versions: RefCell<HashMap<String, i32>>,
}

/// A message of a topic.
#[derive(Debug)]
pub(crate) struct TopicMessage {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) content: EventMessage,
}

pub(crate) async fn world() -> World {
    World::with(Topics::new(PARTITIONS).await).await
}

pub(crate) async fn book() -> (TestDatabase, Daybook) {
    // The log of the engine is shown with a failed test. Only the first test sets the log up.
    drop(tracing_subscriber::fmt().with_test_writer().with_ansi(false).try_init());
    let database = daybook_test_postgres::database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 8 };
    let book = Daybook::open(&settings).expect("the URL is valid");
    book.migrate().await.expect("the tables of the book can be created");
    daybook_event_stream::migrate(&book).await.expect("the tables of the stream can be created");
    (database, book)
}

impl World {
    pub(crate) async fn with(topics: Topics) -> Self {
        let (database, book) = book().await;
        Self { database, book, kafka: topics.settings.clone(), topics, versions: RefCell::default() }
    }

    /// Replaces the topics with empty ones.
    pub(crate) async fn lose_topics(&mut self) {
        self.topics.lose_all().await;
        self.kafka = self.topics.settings.clone();
    }

    /// Appends one event to each of the streams, and returns the head of the book.
    pub(crate) async fn append<S: AsRef<str>>(&self, streams: impl IntoIterator<Item = S>) -> i64 {
        let operations: Vec<Operation> =
            streams.into_iter().map(|stream| Operation::Write(self.unit(stream.as_ref()))).collect();
        let mut appender = self.book.appender().await.expect("the database answers");
        appender.append(&operations).await.expect("the events are appended");
        self.book.head().await.expect("the database answers").position
    }

    /// Appends `count` events, spread over streams of all slices.
    pub(crate) async fn append_many(&self, count: usize) -> i64 {
        let kinds = ["order", "cart", "product", "sku"];
        self.append((0..count).map(|nr| format!("{}-{}", kinds[nr % kinds.len()], nr % 37))).await
    }

    fn unit(&self, stream: &str) -> AppendUnit {
        let mut versions = self.versions.borrow_mut();
        let version = versions.entry(stream.to_owned()).or_insert(0);
        let stream_id: Arc<str> = stream.into();
        let reads = vec![(Arc::clone(&stream_id), *version)];
        *version += 1;
        let event = NewEvent {
            stream_id,
            event_type: "Noted".into(),
            schema_version: 1,
            event_id: id(),
            effective_at: None,
            key_id: (*version % 2 == 0).then(id),
            data: format!(r#"{{"n": {version}, "text":"\"_meta\":"}}"#),
        };
        AppendUnit {
            command_id: id(),
            scope: "test".into(),
            fingerprint: vec![1],
            reads,
            events: vec![event],
            correlation_id: id(),
            causation_id: id(),
            actor: "test".into(),
            trace: (*version % 2 == 1).then(|| "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        }
    }

    pub(crate) fn relay(&self) -> Running {
        self.relay_with(None)
    }

    pub(crate) fn relay_with(&self, refill_bytes: Option<i64>) -> Running {
        Running::relay(&self.book, RelaySettings { kafka: self.kafka.clone(), refill_bytes })
    }

    pub(crate) async fn status(&self) -> RelayStatus {
        relay::status(&self.book).await.expect("the database answers")
    }

    /// Waits until every event is published.
    pub(crate) async fn published(&self) {
        until("every event is published", async || self.status().await.lag == 0).await;
    }

    pub(crate) async fn events(&self) -> Vec<RecordedEvent> {
        self.book.read_after(0, usize::MAX, &Filter::default()).await.expect("the database answers")
    }

    /// How many messages the topics hold.
    pub(crate) async fn messages(&self) -> i64 {
        self.counts(PATIENCE).await.into_iter().map(|count| count.expect("the broker answers")).sum()
    }

    /// How many messages the topics hold. None while a topic is missing or incomplete.
    pub(crate) async fn messages_if_complete(&self) -> Option<i64> {
        self.counts(SHORT_TIMEOUT).await.into_iter().map(Result::ok).sum()
    }

    /// How many messages each partition holds. The request blocks, so it has a thread of its own. The engine runs on the test's thread.
    async fn counts(&self, timeout: Duration) -> Vec<KafkaResult<i64>> {
        let (consumer, partitions) = (self.plain_consumer(), self.partitions().collect::<Vec<_>>());
        let ask = move || {
            let count = |(topic, partition): (String, i32)| {
                let (low, high) = consumer.fetch_watermarks(&topic, partition, timeout)?;
                Ok(high - low)
            };
            partitions.into_iter().map(count).collect()
        };
        spawn_blocking(ask).await.expect("no panic")
    }

    /// All messages of the topics, by partition and in order, as a plain consumer gets them.
    pub(crate) async fn found(&self) -> BTreeMap<(String, i32), Vec<TopicMessage>> {
        let consumer = self.plain_consumer();
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.partitions() {
            list.add_partition_offset(&topic, partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&list).expect("partitions");
        let (expected, mut found) = (self.messages().await, BTreeMap::<_, Vec<_>>::new());
        for _ in 0..expected {
            let message = consumer.poll(PATIENCE).expect("a message comes").expect("the broker answers");
            let (topic, partition) = (message.topic().to_owned(), message.partition());
            let key = String::from_utf8(message.key().expect("a key").to_vec()).expect("text");
            let content = envelope::decode(&message).expect("the message is an event");
            let log = (topic.clone(), partition);
            found.entry(log).or_default().push(TopicMessage { topic, partition, key, content });
        }
        found
    }

    /// Asserts that the topics have every event at least once.
    pub(crate) async fn assert_every_event_is_published(&self) {
        let found = self.found().await;
        let mut positions: Vec<i64> = found.values().flatten().map(|message| message.content.event.position).collect();
        positions.sort_unstable();
        positions.dedup();
        let head = self.book.head().await.expect("the database answers").position;
        assert_eq!(positions, (1..=head).collect::<Vec<_>>());
    }

    /// Asserts that the topics have every event once, in order and in its partition, and that each message names the one before it.
    pub(crate) async fn assert_published_once(&self) {
        let (found, events) = (self.found().await, self.events().await);
        let mut all: Vec<RecordedEvent> = Vec::new();
        for messages in found.into_values() {
            let mut prev = 0;
            for message in messages {
                let event = message.content.event;
                assert_eq!(message.content.prev_sequence, prev, "before {}", event.position);
                assert!(event.position > prev);
                assert_eq!(message.key, event.stream_id);
                assert!(self.kafka.topology.is_in(&event, &message.topic, message.partition));
                prev = event.position;
                all.push(event);
            }
        }
        all.sort_by_key(|event| event.position);
        assert_eq!(all, events);
    }

    /// Publishes events without the relay, in its format. The sorted positions of `left_out` are not published.
    pub(crate) async fn publish_by_hand(&self, events: &[RecordedEvent], left_out: &[i64]) {
        let history = self.book.head().await.expect("the database answers").epoch;
        self.publish_by_hand_as(events, left_out, history).await;
    }

    /// Publishes events without the relay, as those of another history.
    pub(crate) async fn publish_by_hand_as(&self, events: &[RecordedEvent], left_out: &[i64], history: Uuid) {
        let keys = WireKeys::load(&self.book).await.expect("the database answers");
        self.publish_with(events, left_out, history, Some(&keys)).await;
    }

    /// Publishes events as the relay of an earlier program, which did not sign.
    pub(crate) async fn publish_unsigned(&self, events: &[RecordedEvent]) {
        let history = self.book.head().await.expect("the database answers").epoch;
        self.publish_with(events, &[], history, None).await;
    }

    async fn publish_with(&self, events: &[RecordedEvent], left_out: &[i64], history: Uuid, keys: Option<&WireKeys>) {
        let (producer, mut prev) = (self.producer(), HashMap::new());
        for event in events {
            let topology = &self.kafka.topology;
            let slice = topology.slice_of(&event.stream_id).expect("a slice");
            let (topic, partition) = (topology.topic(slice), topology.partition_of(&event.stream_id));
            let prev = prev.entry((topic.clone(), partition)).or_insert(0);
            if left_out.binary_search(&event.position).is_err() {
                let (headers, value) = envelope::encode(event, slice, *prev, history).expect("the event is an object");
                let headers = match keys {
                    Some(keys) => keys.sign((&topic, partition), headers, Some(value.as_bytes())),
                    None => headers,
                };
                let record = FutureRecord::to(&topic).partition(partition).key(&event.stream_id);
                let sent = producer.send(record.payload(&value).headers(headers), PATIENCE).await;
                sent.expect("the broker acknowledges the message");
            }
            *prev = event.position;
        }
    }

    pub(crate) async fn produce(&self, record: FutureRecord<'_, String, String>) {
        self.producer().send(record, PATIENCE).await.expect("the broker acknowledges the message");
    }

    pub(crate) fn producer(&self) -> FutureProducer {
        self.client().set("linger.ms", "0").create().expect("a producer")
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka.brokers);
        self.kafka.security.apply(&mut config);
        config
    }

    fn plain_consumer(&self) -> BaseConsumer {
        let mut config = self.client();
        config.set("group.id", "plain").set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        config.create().expect("a consumer")
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = (String, i32)> {
        self.kafka.topology.topics().into_iter().flat_map(|topic| (0..PARTITIONS).map(move |nr| (topic.clone(), nr)))
    }
}

/// A task that runs until it is stopped or killed.
pub(crate) struct Running<T = ()> {
    stop: CancellationToken,
    task: JoinHandle<T>,
}

impl Running {
    pub(crate) fn relay(book: &Daybook, settings: RelaySettings) -> Self {
        let relay = Relay::new(book.clone(), settings);
        Self::start(|stop| relay.run(stop))
    }
}

impl<T: Send + 'static> Running<T> {
    pub(crate) fn start<F: Future<Output = T> + Send + 'static>(run: impl FnOnce(CancellationToken) -> F) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(run(stop.clone())), stop }
    }

    pub(crate) async fn stop(self) -> T {
        self.stop.cancel();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> T {
        tokio::time::timeout(PATIENCE, self.task).await.expect("the task ends").expect("the task does not panic")
    }

    /// Ends the task at any point, as `kill -9` does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}

/// Waits until a condition holds. `what` names it.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "timeout while waiting for this: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
