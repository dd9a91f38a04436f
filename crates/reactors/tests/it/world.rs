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
use daybook_event_store::{Daybook, Filter, Store, StoreSettings};
use daybook_event_stream::{
    KafkaSecurity, KafkaSettings, Relay, RelaySettings, Topology,
    broker::{Broker, Topic},
    progress, relay,
};
use daybook_projectors::{runner, views};
use daybook_reactors::{ALL, Reactor, ReactorSettings, Reactors};
use daybook_test_postgres::TestDatabase;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::types::FromSqlOwned;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a test waits for an expected change.
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

/// A task that runs until it is dropped.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Ends the task at any point, as `kill -9` does.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        let ended = (&mut self.task).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "the task ran until it was killed");
    }

    /// Stops the task.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.expect("the task does not panic");
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
        security: KafkaSecurity::default(),
        group_suffix: None,
    };
    let database = daybook_test_postgres::database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 24 };
    let book = Daybook::open(&settings).expect("the URL is valid");
    book.migrate().await.expect("the schema of the book");
    daybook_event_stream::migrate(&book).await.expect("the schema of the stream");
    daybook_projectors::migrate(&book).await.expect("the schema of the views");
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
    /// A process that runs these reactors, on a bus.
    pub(crate) async fn process(&self, bus: &Bus, reactors: &'static [&'static Reactor]) -> Running {
        self.process_with(bus, reactors, ReactorSettings::default()).await
    }

    /// The same with settings, beside the pause between two looks.
    pub(crate) async fn process_with(
        &self,
        bus: &Bus,
        reactors: &'static [&'static Reactor],
        settings: ReactorSettings,
    ) -> Running {
        let settings = ReactorSettings { poll: Duration::from_millis(50), ..settings };
        let running = Reactors { book: self.book.clone(), bus: bus.clone(), clock: clock(&self.now), settings };
        running.begin(&self.kafka.topology, reactors).await.expect("the reactors begin");
        let (stop, kafka) = (CancellationToken::new(), self.kafka.clone());
        let stopped = stop.clone();
        let task =
            tokio::spawn(async move { running.run(&kafka, reactors, &stopped).await.expect("the reactors run") });
        Running { stop, task }
    }

    /// A process that runs all reactors, on a bus.
    pub(crate) async fn reactors_on(&self, bus: &Bus) -> Running {
        self.process(bus, &ALL).await
    }

    /// A process that runs all reactors, on the bus of the world.
    pub(crate) async fn reactors(&self) -> Running {
        self.reactors_on(&self.bus).await
    }

    /// A process that fills the read models.
    pub(crate) fn projectors(&self) -> Running {
        let (stop, book, kafka) = (CancellationToken::new(), self.book.clone(), self.kafka.clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            runner::run(&book, &kafka, &views::ALL, &stopped).await.expect("the views can be built");
        });
        Running { stop, task }
    }

    /// A bus whose work is not polled. A command on it has no outcome while the work is kept, and is lost when the work is dropped.
    pub(crate) fn idle_bus(&self) -> (Bus, impl Future<Output = ()> + Send + use<>) {
        Bus::on(daybook_bus::Tokio, self.book.clone(), clock(&self.now), &BusSettings::default())
    }

    /// A bus on a book, in a process of its own.
    pub(crate) fn bus_on(&self, book: impl Store) -> Bus {
        let (bus, work) = Bus::on(daybook_bus::Tokio, book, clock(&self.now), &BusSettings::default());
        tokio::spawn(work);
        bus
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.now.load(Ordering::SeqCst), 0).expect("a time")
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, time: TimeDelta) {
        self.now.fetch_add(time.num_seconds(), Ordering::SeqCst);
    }

    pub(crate) async fn send(&self, name: &str, body: Value) -> Result<Receipt, CommandError> {
        send_to(&self.bus, name, body).await
    }

    pub(crate) async fn given(&self, name: &str, body: Value) {
        self.send(name, body).await.expect("the command is accepted");
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
        let filter = Filter { types: Some(vec![event_type.to_owned()]), ..Filter::default() };
        let events = self.book.read_after(0, 1_000, &filter).await.expect("the book answers");
        events.into_iter().map(|event| event.actor).collect()
    }

    /// The number of waiting reactions.
    pub(crate) async fn waiting(&self) -> i64 {
        self.ask("SELECT count(*) FROM reactions").await
    }

    /// The one value of the one row that a statement returns.
    pub(crate) async fn ask<T: FromSqlOwned>(&self, sql: &str) -> T {
        self.database.connect().await.query_one(sql, &[]).await.expect("the database answers").get(0)
    }

    /// The value of the row, if the statement returns one.
    pub(crate) async fn ask_if_any<T: FromSqlOwned>(&self, sql: &str) -> Option<T> {
        let row = self.database.connect().await.query_opt(sql, &[]).await.expect("the database answers");
        row.map(|row| row.get(0))
    }

    /// Waits until every reactor has processed the present book.
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

    /// Publishes the whole book again, and waits for the end of it.
    pub(crate) async fn republish(&self) {
        relay::republish(&self.book).await.expect("the request is recorded");
        until("the book is published again", async || {
            self.ask("SELECT NOT r.republish AND r.cursor = h.position FROM relay r, head h").await
        })
        .await;
    }
}

/// Sends a command to a bus.
pub(crate) async fn send_to(bus: &Bus, name: &str, body: Value) -> Result<Receipt, CommandError> {
    let command = Command::deserialize(name, body).expect("the command exists").expect("the body is well formed");
    bus.execute_patiently(Submission::new(command, daybook_bus::clock::new_id(), Actor::Admin("ada".into()))).await
}

/// Waits until a condition holds. `what` names it.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "timeout while waiting for this: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
