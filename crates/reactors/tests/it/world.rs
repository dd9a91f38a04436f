//! A book, a broker, a bus, and a clock that a test moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use daybook_bus::{Bus, BusSettings, Clock, CommandError, Receipt, Submission};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, Filter, StoreSettings};
use daybook_event_stream::{
    KafkaSettings, Relay, RelaySettings, Topology,
    broker::{Broker, Topic},
    progress,
};
use daybook_reactors::{ALL, ReactorSettings, Reactors};
use daybook_test_postgres::TestDatabase;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(180);
const PARTITIONS: i32 = 3;

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) book: Daybook,
    pub(crate) bus: Bus,
    kafka: KafkaSettings,
    now: Arc<AtomicI64>,
    _broker: Broker,
    _relay: Running,
}

/// Something that runs until it is dropped.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Ends it in the middle of what it does, as `kill -9` would.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn topology() -> Topology {
    daybook_projectors::topology("daybook", PARTITIONS)
}

pub(crate) async fn world() -> World {
    let topics = topology().topics().into_iter().map(|name| Topic { name, partitions: PARTITIONS });
    let broker = Broker::start(topics.collect()).await.expect("a broker starts");
    let kafka = KafkaSettings {
        brokers: broker.bootstrap_servers().to_owned(),
        topology: topology(),
        replication: 1,
        fetch_wait: Duration::from_millis(20),
    };
    let database = daybook_test_postgres::database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 24 };
    let book = Daybook::open(&settings).expect("the URL is one");
    book.migrate().await.expect("the schema of the book");
    daybook_event_stream::migrate(&book).await.expect("the schema of the stream");
    daybook_reactors::migrate(&book).await.expect("the schema of the reactors");
    let now = Arc::new(AtomicI64::new(1_700_000_000));
    let (bus, work) = Bus::on(daybook_bus::Tokio, book.clone(), clock(&now), &BusSettings::default());
    tokio::spawn(work);
    let (relay, stop) = (
        Relay::new(book.clone(), RelaySettings { kafka: kafka.clone(), refill_bytes: None }),
        CancellationToken::new(),
    );
    let task = tokio::spawn(relay.run(stop.clone()));
    World { database, book, bus, kafka, now, _broker: broker, _relay: Running { stop, task } }
}

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Clock::from_fn(move || DateTime::from_timestamp(now.load(Ordering::SeqCst), 0).expect("a time"))
}

impl World {
    /// A process with the role, on a bus.
    pub(crate) fn reactors_on(&self, bus: &Bus) -> Running {
        let settings = ReactorSettings { poll: Duration::from_millis(50), ..ReactorSettings::default() };
        let reactors = Reactors { book: self.book.clone(), bus: bus.clone(), clock: clock(&self.now), settings };
        let (stop, kafka) = (CancellationToken::new(), self.kafka.clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move { reactors.run(&kafka, &ALL, &stopped).await.expect("they run") });
        Running { stop, task }
    }

    /// A process with the role.
    pub(crate) fn reactors(&self) -> Running {
        self.reactors_on(&self.bus)
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.now.load(Ordering::SeqCst), 0).expect("a time")
    }

    /// Time goes by.
    pub(crate) fn pass(&self, time: TimeDelta) {
        self.now.fetch_add(time.num_seconds(), Ordering::SeqCst);
    }

    pub(crate) async fn send(&self, name: &str, body: Value) -> Result<Receipt, CommandError> {
        let command = Command::deserialize(name, body).expect("the command exists").expect("the body has its form");
        self.bus
            .execute_patiently(Submission::new(command, daybook_bus::clock::new_id(), Actor::Admin("ada".into())))
            .await
    }

    pub(crate) async fn given(&self, name: &str, body: Value) {
        self.send(name, body).await.expect("what is given is accepted");
    }

    /// A product on sale, with five units.
    pub(crate) async fn with_product(&self) {
        let product =
            json!({ "product_id": Uuid::from_u128(1), "name": "oat", "variants": [{ "sku": "oat" }], "publish": true });
        self.given("CreateProduct", product).await;
        self.given("SetPrice", json!({ "sku": "oat", "price": { "minor_units": 199, "currency": "EUR" } })).await;
        self.given("ReceiveStock", json!({ "sku": "oat", "quantity": 5 })).await;
    }

    /// The actors of the events of a type, in order.
    pub(crate) async fn events(&self, event_type: &str) -> Vec<String> {
        let filter = Filter { types: Some(vec![event_type.to_owned()]), stream: None };
        let events = self.book.read_after(0, 1_000, &filter).await.expect("the book answers");
        events.into_iter().map(|event| event.actor).collect()
    }

    /// How many reactions wait.
    pub(crate) async fn waiting(&self) -> i64 {
        let client = self.database.connect().await;
        client.query_one("SELECT count(*) FROM reactions", &[]).await.expect("it answers").get(0)
    }

    /// Waits until every reactor has processed the book. An empty book says nothing of whether they have begun: it has to have an
    /// event, such as a product's.
    pub(crate) async fn caught_up(&self) {
        let head = self.book.head().await.expect("the book answers").position;
        for reactor in ALL {
            let consumer = reactor.consumer();
            until(&format!("{consumer} has passed {head}"), async || {
                progress::passed(&self.book, &consumer, head).await.expect("the book answers")
            })
            .await;
        }
    }
}

pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "it never came about that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
