//! A book and a broker, with the steps of the tests.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use daybook_event_store::{AppendUnit, Appender, Daybook, NewEvent, Operation, StoreSettings};
use daybook_event_stream::{
    KafkaSecurity, KafkaSettings, Relay, RelaySettings, Topology,
    broker::{self, Broker, FETCH_WAIT},
    progress,
};
use daybook_projectors::{audit, registry, runner, view::ViewSpec, views};
use daybook_test_postgres::TestDatabase;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::facts::Fact;

pub(crate) const PARTITIONS: i32 = 3;
/// How long a test waits for an expected change.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

static IDS: AtomicU64 = AtomicU64::new(1);

fn new_id() -> Uuid {
    Uuid::from_u64_pair(7, IDS.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn topology() -> Topology {
    daybook_projectors::topology("daybook", PARTITIONS)
}

/// An empty book with all tables except those of the views.
pub(crate) async fn book() -> (TestDatabase, Daybook) {
    let database = daybook_test_postgres::database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 24 };
    let book = Daybook::open(&settings).expect("the URL is valid");
    book.migrate().await.expect("the tables of the book can be created");
    daybook_event_stream::migrate(&book).await.expect("the tables of the stream can be created");
    daybook_projectors::migrate(&book).await.expect("the registry of views can be created");
    (database, book)
}

/// Writes facts into the book.
pub(crate) struct Writer {
    appender: Appender,
    versions: HashMap<String, i32>,
}

impl Writer {
    pub(crate) async fn of(book: &Daybook) -> Self {
        Self { appender: book.appender().await.expect("the database answers"), versions: HashMap::new() }
    }

    /// Appends facts, a few hundred a batch.
    pub(crate) async fn write(&mut self, facts: &[Fact]) {
        for batch in facts.chunks(500) {
            let events = batch.iter().map(|fact| {
                let encoded = daybook_codec::encode(&fact.event).expect("an object");
                (fact.stream.as_str(), encoded.event_type, encoded.schema_version, encoded.data)
            });
            self.append(events.collect()).await;
        }
    }

    /// Appends an event of a type that need not exist.
    pub(crate) async fn write_raw(&mut self, stream: &str, event_type: &'static str, data: &str) {
        self.append(vec![(stream, event_type, 1, data.to_owned())]).await;
    }

    async fn append(&mut self, events: Vec<(&str, &'static str, i16, String)>) {
        let operations: Vec<Operation> = events.into_iter().map(|event| Operation::Write(self.unit(event))).collect();
        self.appender.append(&operations).await.expect("the events are appended");
    }

    fn unit(&mut self, (stream, event_type, schema_version, data): (&str, &'static str, i16, String)) -> AppendUnit {
        let version = self.versions.entry(stream.to_owned()).or_insert(0);
        let stream_id: Arc<str> = stream.into();
        let reads = vec![(Arc::clone(&stream_id), *version)];
        *version += 1;
        let event = NewEvent {
            stream_id,
            event_type: event_type.into(),
            schema_version,
            event_id: new_id(),
            effective_at: None,
            key_id: None,
            data,
        };
        let command_id = new_id();
        AppendUnit {
            command_id,
            scope: "admin:test".into(),
            fingerprint: vec![1],
            reads,
            events: vec![event],
            correlation_id: command_id,
            causation_id: command_id,
            actor: "admin:test".into(),
            trace: None,
        }
    }
}

/// A book whose events are published.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) book: Daybook,
    pub(crate) kafka: KafkaSettings,
    pub(crate) writer: Writer,
    _broker: Broker,
}

pub(crate) async fn world() -> World {
    let topic = |name| broker::Topic { name, partitions: PARTITIONS };
    let broker = Broker::start(topology().topics().into_iter().map(topic).collect()).await.expect("a broker starts");
    let kafka = KafkaSettings {
        brokers: broker.bootstrap_servers().to_owned(),
        topology: topology(),
        replication: 1,
        fetch_wait: FETCH_WAIT,
        security: KafkaSecurity::default(),
        group_suffix: None,
    };
    let (database, book) = book().await;
    let writer = Writer::of(&book).await;
    World { database, book, kafka, writer, _broker: broker }
}

impl World {
    pub(crate) fn relay(&self) -> Running {
        let relay = Relay::new(self.book.clone(), RelaySettings { kafka: self.kafka.clone(), refill_bytes: None });
        Running::start(|stop| relay.run(stop))
    }

    /// A process that runs every view. It has its own connections, and PostgreSQL knows them by its name.
    pub(crate) fn projectors(&self, name: &str) -> Running {
        self.projectors_of(name, views::ALL.to_vec())
    }

    /// A process of a program that has only these views.
    pub(crate) fn projectors_of(&self, name: &str, views: Vec<&'static ViewSpec>) -> Running {
        let database_url = format!("{}?application_name={name}", self.database.url());
        let settings = StoreSettings { database_url, max_connections: 24 };
        let (book, kafka) = (Daybook::open(&settings).expect("the URL is valid"), self.kafka.clone());
        Running::start(|stop| async move {
            runner::run(&book, &kafka, &views, &stop).await.expect("the views can be built");
        })
    }

    /// Waits until every view has passed the head of the book.
    pub(crate) async fn views_are_up_to_date(&self) {
        let head = self.book.head().await.expect("the database answers").position;
        for view in views::ALL {
            until(&format!("{} has passed {head}", view.name), async || has_passed(&self.book, view.name, head).await)
                .await;
        }
    }

    /// Asserts that every view equals a fold of the book, and has rows.
    pub(crate) async fn assert_views_equal_the_book(&self) {
        assert_views_equal(&self.book).await;
    }

    pub(crate) async fn assert_equals_the_book(&self, view: &str) {
        assert_equals(&self.book, view).await;
    }
}

/// Whether a view shows everything up to a position.
pub(crate) async fn has_passed(book: &Daybook, view: &str, position: i64) -> bool {
    let spec = views::named(view).expect("the view exists");
    let Some(version) = registry::shown_version(book, spec).await.expect("the database answers") else { return false };
    let consumer = spec.versioned(version);
    progress::passed(book, &consumer, position).await.expect("the database answers")
}

pub(crate) async fn assert_views_equal(book: &Daybook) {
    for view in views::ALL {
        assert_equals(book, view.name).await;
    }
}

async fn assert_equals(book: &Daybook, view: &str) {
    let spec = views::named(view).expect("the view exists");
    let audit = audit::verify(book, &topology(), spec).await.expect("the view can be compared");
    assert_eq!((audit.violations, audit.first), (0, None), "view {view}");
    assert!(audit.checked > 0, "view {view} has no rows");
}

/// A task that runs until it is stopped or killed.
pub(crate) struct Running<T = ()> {
    stop: CancellationToken,
    task: JoinHandle<T>,
}

impl<T: Send + 'static> Running<T> {
    pub(crate) fn start<F: Future<Output = T> + Send + 'static>(run: impl FnOnce(CancellationToken) -> F) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(run(stop.clone())), stop }
    }

    pub(crate) async fn stop(self) -> T {
        self.stop.cancel();
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
