//! A book, a broker, and what tests do with them.

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

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// How long the broker is asked for a topic that may be missing, of which it says nothing.
const GLANCE: Duration = Duration::from_secs(10);

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

/// What stands in a topic.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) content: EventMessage,
}

pub(crate) async fn world() -> World {
    World::with(Topics::new(PARTITIONS).await).await
}

pub(crate) async fn book() -> (TestDatabase, Daybook) {
    // What the engine says is shown with a test that fails. All but the first test find that it is set up.
    drop(tracing_subscriber::fmt().with_test_writer().with_ansi(false).try_init());
    let database = daybook_test_postgres::database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 8 };
    let book = Daybook::open(&settings).expect("the URL is one");
    book.migrate().await.expect("the book's tables can be made");
    daybook_event_stream::migrate(&book).await.expect("the stream's tables can be made");
    (database, book)
}

impl World {
    pub(crate) async fn with(topics: Topics) -> Self {
        let (database, book) = book().await;
        Self { database, book, kafka: topics.settings.clone(), topics, versions: RefCell::default() }
    }

    /// The broker has lost every event.
    pub(crate) async fn lose_topics(&mut self) {
        self.topics.lose_all().await;
        self.kafka = self.topics.settings.clone();
    }

    /// Appends one event to each of the streams, and returns the head of the book.
    pub(crate) async fn append<S: AsRef<str>>(&self, streams: impl IntoIterator<Item = S>) -> i64 {
        let steps: Vec<Operation> =
            streams.into_iter().map(|stream| Operation::Write(self.unit(stream.as_ref()))).collect();
        let mut appender = self.book.appender().await.expect("the database answers");
        appender.append(&steps).await.expect("the book takes them");
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

    /// Waits until publishing has reached the head of the book.
    pub(crate) async fn published(&self) {
        until("everything is published", async || self.status().await.lag == 0).await;
    }

    pub(crate) async fn events(&self) -> Vec<RecordedEvent> {
        self.book.read_after(0, usize::MAX, &Filter::default()).await.expect("the database answers")
    }

    /// How many messages the topics hold.
    pub(crate) async fn messages(&self) -> i64 {
        self.held(PATIENCE).await.into_iter().map(|held| held.expect("the broker answers")).sum()
    }

    /// How many messages the topics hold, unless one of them is missing or not yet as it should be.
    pub(crate) async fn messages_if_all_are_there(&self) -> Option<i64> {
        self.held(GLANCE).await.into_iter().map(Result::ok).sum()
    }

    /// How many messages each partition holds. What is tested runs on the thread of the test, and goes on meanwhile.
    async fn held(&self, patience: Duration) -> Vec<KafkaResult<i64>> {
        let (consumer, partitions) = (self.plain_consumer(), self.partitions().collect::<Vec<_>>());
        let ask = move || {
            let held = |(topic, partition): (String, i32)| {
                let (low, high) = consumer.fetch_watermarks(&topic, partition, patience)?;
                Ok(high - low)
            };
            partitions.into_iter().map(held).collect()
        };
        spawn_blocking(ask).await.expect("no panic")
    }

    /// Everything in the topics, by partition and in order, as a plain consumer finds it.
    pub(crate) async fn found(&self) -> BTreeMap<(String, i32), Vec<Found>> {
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
            let content = envelope::decode(&message).expect("it is an event");
            let place = (topic.clone(), partition);
            found.entry(place).or_default().push(Found { topic, partition, key, content });
        }
        found
    }

    /// Every event at least once.
    pub(crate) async fn assert_everything_is_there(&self) {
        let found = self.found().await;
        let mut positions: Vec<i64> = found.values().flatten().map(|message| message.content.event.position).collect();
        positions.sort_unstable();
        positions.dedup();
        let head = self.book.head().await.expect("the database answers").position;
        assert_eq!(positions, (1..=head).collect::<Vec<_>>());
    }

    /// Every event once, in order, where it belongs, and each message names the one before it.
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

    /// Publishes events by hand, as the relay would, but for those left out, which are sorted.
    pub(crate) async fn publish_by_hand(&self, events: &[RecordedEvent], left_out: &[i64]) {
        let history = self.book.head().await.expect("the database answers").epoch;
        self.publish_by_hand_as(events, left_out, history).await;
    }

    /// The same, as the relay of another history would.
    pub(crate) async fn publish_by_hand_as(&self, events: &[RecordedEvent], left_out: &[i64], history: Uuid) {
        let (producer, mut prev) = (self.producer(), HashMap::new());
        for event in events {
            let topology = &self.kafka.topology;
            let slice = topology.slice_of(&event.stream_id).expect("a slice");
            let place = (topology.topic(slice), topology.partition_of(&event.stream_id));
            let prev = prev.entry(place.clone()).or_insert(0);
            if left_out.binary_search(&event.position).is_err() {
                let (headers, value) = envelope::encode(event, slice, *prev, history).expect("it is an object");
                let record = FutureRecord::to(&place.0).partition(place.1).key(&event.stream_id);
                let sent = producer.send(record.payload(&value).headers(headers), PATIENCE).await;
                sent.expect("the broker takes it");
            }
            *prev = event.position;
        }
    }

    pub(crate) async fn produce(&self, record: FutureRecord<'_, String, String>) {
        self.producer().send(record, PATIENCE).await.expect("the broker takes it");
    }

    fn producer(&self) -> FutureProducer {
        self.client().set("linger.ms", "0").create().expect("a producer")
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka.brokers);
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

/// Something that runs until it is stopped or killed.
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
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").expect("it does not panic")
    }

    /// In the middle of whatever it does, as `kill -9` would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}

pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "it never came about that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
