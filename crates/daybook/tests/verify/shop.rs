//! A shop whose tables and topics a test can corrupt.

use std::time::{Duration, Instant};

use daybook_bus::{Bus, BusSettings, Clock, Submission};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, Filter, RecordedEvent, StoreSettings};
use daybook_event_stream::{
    KafkaSecurity, KafkaSettings, Relay, RelaySettings, Topology,
    broker::{Broker, FETCH_WAIT, Topic},
};
use daybook_operations::verify::{self, Verdict};
use daybook_projectors::{registry, runner};
use daybook_test_postgres::TestDatabase;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
pub(crate) const WIRE: &str = "Kafka equals the book";
/// Tables that the tests corrupt and restore.
const TABLES: &[&str] = &[
    "public.head",
    "public.events",
    "public.commands",
    "public.parked_events",
    "public.views",
    "public.relay",
    "public.reactions",
    "stock_v1.stock",
    "order_v1.order_timeline",
    "category_v1.categories",
    "sales_by_day_v1.sales_by_quarter_hour",
];

pub(crate) fn topology() -> Topology {
    daybook_projectors::topology("daybook", 4)
}

pub(crate) async fn broker() -> (Broker, KafkaSettings) {
    let topics = topology().topics().into_iter().map(|name| Topic { name, partitions: 4 });
    let broker = Broker::start(topics.collect()).await.expect("a broker starts");
    let brokers = broker.bootstrap_servers().to_owned();
    (
        broker,
        KafkaSettings {
            brokers,
            topology: topology(),
            replication: 1,
            fetch_wait: FETCH_WAIT,
            security: KafkaSecurity::default(),
            group_suffix: None,
        },
    )
}

/// A shop with a few orders. No process of it runs any more.
pub(crate) struct Shop {
    pub(crate) database: TestDatabase,
    pub(crate) book: Daybook,
    pub(crate) kafka: KafkaSettings,
    _broker: Broker,
}

pub(crate) async fn shop() -> Shop {
    let database = daybook_test_postgres::database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 32 };
    let book = Daybook::open(&settings).expect("the URL is valid");
    daybook_operations::migrate(&book).await.expect("the tables can be created");
    let (broker, kafka) = broker().await;
    take_orders(&book).await;
    publish_and_project(&book, &kafka).await;
    let shop = Shop { database, book, kafka, _broker: broker };
    shop.execute("CREATE SCHEMA backup").await;
    for table in TABLES {
        shop.execute(&format!("CREATE TABLE backup.{} AS TABLE {table}", table.replace('.', "_"))).await;
    }
    shop
}

async fn take_orders(book: &Daybook) {
    let (bus, stopped) = Bus::start(book.clone(), Clock::system(), &BusSettings::default());
    let id = |nr: u128| uuid::Builder::from_random_bytes(nr.to_be_bytes()).into_uuid().to_string();
    let eur = |minor_units: i64| json!({ "minor_units": minor_units, "currency": "EUR" });
    let product = json!({ "product_id": id(1), "name": "Oat milk", "slug": "oat-milk", "variants": [{ "sku": "oat" }],
                          "publish": true });
    let mut commands = vec![
        ("CreateCategory", json!({ "category_id": id(2), "name": "Drinks" })),
        ("CreateProduct", product),
        ("SetPrice", json!({ "sku": "oat", "price": eur(199) })),
        ("ReceiveStock", json!({ "sku": "oat", "quantity": 5 })),
    ];
    for (cart, order) in [(10, 11), (20, 21)] {
        commands.push((
            "OpenCart",
            json!({ "cart_id": id(cart), "currency": "EUR", "customer_id": "01940000-0000-7000-8005-000000000001" }),
        ));
        commands.push(("AddLine", json!({ "cart_id": id(cart), "sku": "oat", "quantity": 2 })));
        commands.push(("PlaceOrder", json!({ "cart_id": id(cart), "order_id": id(order) })));
    }
    commands.push(("ConfirmOrder", json!({ "order_id": id(11) })));
    commands.push(("CancelOrder", json!({ "order_id": id(21), "reason": "second thoughts" })));
    let line = json!({ "sku": "oat", "quantity": 1, "line_total": 150, "discount": 49 });
    let old =
        json!({ "external_ref": "old/1", "placed_at": "2017-01-01T00:00:00Z", "currency": "EUR", "lines": [line] });
    commands.push(("ImportOrder", old));
    for (nr, (name, body)) in (1..).zip(commands) {
        let command = Command::deserialize(name, &body).expect("the command exists").expect("the body is well formed");
        let submission = Submission::new(command, Uuid::from_u64_pair(9, nr), Actor::Admin("test".into()));
        bus.execute(submission).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    drop(bus);
    stopped.await.expect("the bus stops");
}

/// Runs relay and projectors until every event is published and shown.
async fn publish_and_project(book: &Daybook, kafka: &KafkaSettings) {
    let stop = CancellationToken::new();
    let relay = Relay::new(book.clone(), RelaySettings { kafka: kafka.clone(), refill_bytes: None });
    let relay = tokio::spawn(relay.run(stop.clone()));
    let projectors = {
        let (book, kafka, stop) = (book.clone(), kafka.clone(), stop.clone());
        tokio::spawn(async move { runner::run(&book, &kafka, &daybook_projectors::views::ALL, &stop).await })
    };
    let (head, began) = (book.head().await.expect("an answer").position, Instant::now());
    loop {
        let status = registry::status(book, &daybook_projectors::views::ALL).await.expect("an answer");
        if status.len() == daybook_projectors::views::ALL.len() && status.iter().all(|view| view.position == head) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the views make no progress: {status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    relay.await.expect("no panic");
    projectors.await.expect("no panic").expect("the views are built");
}

/// The checks that fail, each with its first finding.
pub(crate) fn failures(verdict: &Verdict) -> Vec<(&str, &str)> {
    assert_eq!(verdict.ok, verdict.checks.iter().all(|check| check.violations == 0));
    let failed = verdict.checks.iter().filter(|check| check.violations > 0);
    failed
        .map(|check| (check.name.as_str(), check.first.as_deref().expect("a failed check has a first finding")))
        .collect()
}

/// Asserts that exactly these checks fail, and how the first finding of each begins.
pub(crate) fn assert_failures(what: &str, verdict: &Verdict, expected: &[(&str, &str)]) {
    let failures = failures(verdict);
    let same =
        |((name, first), (other, begin)): (&(&str, &str), &(&str, &str))| name == other && first.starts_with(begin);
    let agree = failures.len() == expected.len() && failures.iter().zip(expected).all(same);
    assert!(agree, "{what}: {failures:#?}");
}

impl Shop {
    pub(crate) async fn execute(&self, sql: &str) {
        let client = self.database.connect().await;
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub(crate) async fn verify(&self) -> Verdict {
        verify::audit(&self.book, &self.kafka).await.expect("everything can be read")
    }

    /// Corrupts a table, asserts the findings, and restores the table.
    pub(crate) async fn assert_named(&self, table: &str, corrupt: &str, expected: &[(&str, &str)]) {
        self.execute(&format!("ALTER TABLE {table} DISABLE TRIGGER USER; {corrupt}")).await;
        let verdict = self.verify().await;
        assert_failures(corrupt, &verdict, expected);
        let backup = table.replace('.', "_");
        self.execute(&format!(
            "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM backup.{backup}; ALTER TABLE {table} ENABLE TRIGGER USER"
        ))
        .await;
    }

    pub(crate) async fn events(&self) -> Vec<RecordedEvent> {
        self.book.read_after(0, usize::MAX, &Filter::default()).await.expect("an answer")
    }

    /// The position of the first event of a type.
    pub(crate) async fn position(&self, event_type: &str) -> i64 {
        let events = self.events().await;
        events.iter().find(|event| event.event_type == event_type).expect("the book has one").position
    }
}
