//! `daybook verify` passes on a shop that works, and names everything that is corrupted in it, one thing at a time.
#![allow(missing_docs, reason = "tests")]

use std::{
    collections::HashMap,
    process::Command as Process,
    time::{Duration, Instant},
};

use daybook::{
    embedded::broker::{Broker, Topic},
    verify::{self, Verdict},
};
use daybook_command_api::{Bus, BusSettings, Clock, Submission};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, Filter, RecordedEvent, StoreSettings};
use daybook_event_stream::{KafkaSettings, Relay, RelaySettings, Topology, envelope, relay};
use daybook_projectors::runner;
use daybook_test_postgres::TestDatabase;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);
const WIRE: &str = "Kafka equals the book";
/// Tables that the tests spoil and put back.
const TABLES: &[&str] = &[
    "public.head",
    "public.events",
    "public.commands",
    "public.parked_events",
    "public.views",
    "stock_v1.stock",
    "order_v1.order_timeline",
    "category_v1.categories",
    "sales_by_day_v1.sales_by_day",
];

fn topology() -> Topology {
    daybook_projectors::topology("daybook", 4)
}

async fn broker() -> (Broker, KafkaSettings) {
    let topics = topology().topics().into_iter().map(|name| Topic { name, partitions: 4 });
    let broker = Broker::start(topics.collect()).await.expect("a broker starts");
    let brokers = broker.bootstrap_servers().to_owned();
    (broker, KafkaSettings { brokers, topology: topology(), replication: 1 })
}

/// A shop that has taken a few orders, and stands still.
struct Shop {
    database: TestDatabase,
    book: Daybook,
    kafka: KafkaSettings,
    _broker: Broker,
}

async fn shop() -> Shop {
    let database = daybook_test_postgres::database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 32 };
    let book = Daybook::open(&settings).expect("the URL is one");
    daybook::serve::migrate(&book).await.expect("the tables can be made");
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
    let id = |nr: u128| Uuid::from_u128(nr).to_string();
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
        commands.push(("OpenCart", json!({ "cart_id": id(cart), "currency": "EUR", "customer_id": "ann" })));
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
        let command = Command::deserialize(name, &body).expect("there is such a command").expect("it is well formed");
        let submission = Submission::new(command, Uuid::from_u64_pair(9, nr), Actor::Admin("test".into()));
        bus.execute(submission).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    drop(bus);
    stopped.await.expect("the bus stops");
}

/// Runs relay and projectors until everything is published and shown.
async fn publish_and_project(book: &Daybook, kafka: &KafkaSettings) {
    let stop = CancellationToken::new();
    let relay = Relay::new(book.clone(), RelaySettings { kafka: kafka.clone(), refill_bytes: None });
    let relay = tokio::spawn(relay.run(stop.clone()));
    let projectors = {
        let (book, kafka, stop) = (book.clone(), kafka.clone(), stop.clone());
        tokio::spawn(async move { runner::run(&book, &kafka, &stop).await })
    };
    let (head, began) = (book.head().await.expect("an answer").position, Instant::now());
    loop {
        let status = runner::status(book).await.expect("an answer");
        if status.len() == daybook_projectors::views::ALL.len() && status.iter().all(|view| view.position == head) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the views do not get on: {status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    relay.await.expect("no panic");
    projectors.await.expect("no panic").expect("the views are built");
}

/// Which checks fail, and where first.
fn failures(verdict: &Verdict) -> Vec<(&str, &str)> {
    assert_eq!(verdict.ok, verdict.checks.iter().all(|check| check.violations == 0));
    let failed = verdict.checks.iter().filter(|check| check.violations > 0);
    failed.map(|check| (check.name.as_str(), check.first.as_deref().expect("it says where"))).collect()
}

/// Exactly these checks fail, and what they say begins so.
fn assert_failures(what: &str, verdict: &Verdict, expected: &[(&str, &str)]) {
    let failures = failures(verdict);
    let same =
        |((name, first), (other, begin)): (&(&str, &str), &(&str, &str))| name == other && first.starts_with(begin);
    let agree = failures.len() == expected.len() && failures.iter().zip(expected).all(same);
    assert!(agree, "{what}: {failures:#?}");
}

impl Shop {
    async fn execute(&self, sql: &str) {
        let client = self.database.connect().await;
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    async fn verify(&self) -> Verdict {
        verify::audit(&self.book, &self.kafka).await.expect("everything can be read")
    }

    /// Spoils a table, sees what is said about it, and puts it back.
    async fn assert_named(&self, table: &str, spoil: &str, expected: &[(&str, &str)]) {
        self.execute(&format!("ALTER TABLE {table} DISABLE TRIGGER USER; {spoil}")).await;
        let verdict = self.verify().await;
        assert_failures(spoil, &verdict, expected);
        let backup = table.replace('.', "_");
        self.execute(&format!(
            "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM backup.{backup}; ALTER TABLE {table} ENABLE TRIGGER USER"
        ))
        .await;
    }

    async fn events(&self) -> Vec<RecordedEvent> {
        self.book.read_after(0, usize::MAX, &Filter::default()).await.expect("an answer")
    }

    /// The position of the first event of a type.
    async fn position(&self, event_type: &str) -> i64 {
        let events = self.events().await;
        events.iter().find(|event| event.event_type == event_type).expect("there is one").position
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_works_passes_and_the_command_says_so() {
    let shop = shop().await;
    let verdict = shop.verify().await;
    assert_eq!(failures(&verdict), []);
    assert!(verdict.checks.iter().all(|check| check.checked > 0), "every check has looked at something: {verdict:#?}");

    let run = || {
        let output = Process::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["verify", "--json", "--database-url", shop.database.url(), "--kafka-brokers", &shop.kafka.brokers])
            .output()
            .expect("the binary runs");
        let printed: Value = serde_json::from_slice(&output.stdout).expect("it prints one JSON object");
        (output.status.code(), printed)
    };
    let (code, printed) = run();
    assert_eq!((code, &printed), (Some(0), &serde_json::to_value(&verdict).expect("JSON")));
    shop.execute("UPDATE stock_v1.stock SET on_hand = 6").await;
    let (code, printed) = run();
    assert_eq!((code, &printed["ok"]), (Some(1), &json!(false)));
    let checks = printed["checks"].as_array().expect("a list");
    let failed: Vec<_> = checks.iter().filter(|check| check["violations"] != 0).collect();
    let first = "stock: sku oat, location main shows on_hand 6, the book says 5";
    let name = "view stock equals a fold of the book";
    assert_eq!(failed, [&json!({ "name": name, "checked": 2, "violations": 1, "first": first })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_corruption_of_the_book_is_named() {
    let shop = shop().await;
    let (slug, head) = (shop.position("SlugClaimed").await, shop.events().await.len());
    let (placed, reserved) = (shop.position("OrderPlaced").await, shop.position("StockReserved").await);
    let commands = "every event belongs to one acknowledged command";
    let positions = "positions are gapless and end at the head";
    let order = Uuid::from_u128(11);
    let view = |name: &str| format!("view {name} equals a fold of the book");

    let follows = format!("position {} follows {}", slug + 1, slug - 1);
    let lost = format!("position {slug} is on Kafka and is not in the book");
    let of = format!("command {} has 5 events from position 2, of which the book has 4", Uuid::from_u64_pair(9, 2));
    let gone = [(positions, &*follows), (commands, &*of), (WIRE, &*lost)];
    shop.assert_named("public.events", "DELETE FROM events WHERE type = 'SlugClaimed'", &gone).await;

    let (ahead, behind) = (format!("the head says {}", head + 3), format!("the head says {}", head - 1));
    let up_to = format!("the commands have events up to position {head}");
    let expected = [(positions, &*ahead), (commands, &*up_to)];
    shop.assert_named("public.head", "UPDATE head SET position = position + 3", &expected).await;
    let expected = [(positions, &*behind), (commands, &*up_to)];
    shop.assert_named("public.head", "UPDATE head SET position = position - 1", &expected).await;

    let hole = "UPDATE events SET version = version + 1 WHERE position = (
                    SELECT max(position) FROM events WHERE stream_id = 'stock-oat@main')";
    let expected = [("streams are unbroken", "version 5 of stock-oat@main, at position "), (WIRE, "position ")];
    shop.assert_named("public.events", hole, &expected).await;

    let back = "UPDATE events SET recorded_at = recorded_at - interval '1 day' WHERE type = 'SlugClaimed'";
    let backwards = format!("position {slug} was recorded before the one before it");
    let differs = format!("position {slug} has recorded_at ");
    let expected = [("recorded times never run backwards", &*backwards), (WIRE, &*differs)];
    shop.assert_named("public.events", back, &expected).await;

    let unreadable = "UPDATE events SET type = 'SlugTeleported' WHERE type = 'SlugClaimed'";
    let cause = format!("position {slug}: there is no event type `SlugTeleported`");
    let cannot = format!("the event at position {slug} cannot be taken in");
    let differs = format!("position {slug} has type SlugClaimed on Kafka, the book says SlugTeleported");
    let (product, category) = (view("product"), view("category"));
    let expected =
        [("every event can be read", &*cause), (&*product, &*cannot), (&*category, &*cannot), (WIRE, &*differs)];
    shop.assert_named("public.events", unreadable, &expected).await;

    let less = "UPDATE events SET data = (data::jsonb || '{\"quantity\": 1}')::json WHERE type = 'StockReceived'";
    let below = format!("stock-oat@main has -1 left after StockReserved at position {reserved}");
    let shows = "stock: sku oat, location main shows on_hand 5, the book says 1";
    let expected = [("no stock is below zero", &*below), (&*view("stock"), shows), (WIRE, "position ")];
    shop.assert_named("public.events", less, &expected).await;

    let net = format!(
        "UPDATE events SET data = jsonb_set(data::jsonb, '{{totals,net,minor_units}}', '1')::json WHERE position = {placed}"
    );
    let says = format!(
        "order-{order} at position {placed} says 3.98 EUR less 0.00 EUR is 0.01 EUR, its lines come to \
         3.98 EUR less 0.00 EUR is 3.98 EUR"
    );
    let (orders, mine, sales) = (view("order"), view("customer_orders"), view("sales_by_day"));
    let expected = [
        ("the money of every order adds up", &*says),
        (&*orders, "orders: order_id "),
        (&*mine, "customer_orders: order_id "),
        (&*sales, "sales_by_day: day "),
        (WIRE, "position "),
    ];
    shop.assert_named("public.events", &net, &expected).await;
    let price = format!(
        "UPDATE events SET data = jsonb_set(data::jsonb, '{{lines,0,unit_price,minor_units}}', '1')::json
         WHERE position = {placed}"
    );
    let says = format!("order-{order} at position {placed} says that 2 oat at 0.01 EUR come to 3.98 EUR");
    let expected = [("the money of every order adds up", &*says), (&*orders, "orders: order_id "), (WIRE, "position ")];
    shop.assert_named("public.events", &price, &expected).await;

    let nowhere =
        "UPDATE commands SET first_position = 9999 WHERE first_position = (SELECT max(first_position) FROM commands)";
    let last = Uuid::from_u64_pair(9, 13);
    let begins = format!("command {last} begins at position 9999, the one before it ends at {}", head - 1);
    shop.assert_named("public.commands", nowhere, &[(commands, &*begins)]).await;
    let forgotten = "DELETE FROM commands WHERE first_position = 1";
    let begins = format!("command {} begins at position 2, the one before it ends at 0", Uuid::from_u64_pair(9, 2));
    shop.assert_named("public.commands", forgotten, &[(commands, &*begins)]).await;
    assert_eq!(failures(&shop.verify().await), [], "everything was put back");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_corruption_of_a_view_is_named() {
    let shop = shop().await;
    let view = |name: &str| format!("view {name} equals a fold of the book");
    let changed = "stock: sku oat, location main shows reserved 3, the book says 2";
    let (stock, order, category) = (view("stock"), view("order"), view("category"));
    shop.assert_named("stock_v1.stock", "UPDATE stock_v1.stock SET reserved = 3", &[(&*stock, changed)]).await;

    let id = Uuid::from_u128(11);
    let missing = format!("DELETE FROM order_v1.order_timeline WHERE order_id = '{id}' AND version = 2");
    let first = format!("order_timeline: order_id {id}, version 2 is in the book and is not shown");
    shop.assert_named("order_v1.order_timeline", &missing, &[(&*order, &*first)]).await;

    let id = Uuid::from_u128(77);
    let extra = format!("INSERT INTO category_v1.categories VALUES ('{id}', NULL, 'Ghosts', 1)");
    let first = format!("categories: category_id {id} is shown and is not in the book");
    shop.assert_named("category_v1.categories", &extra, &[(&*category, &*first)]).await;

    let sum = "UPDATE sales_by_day_v1.sales_by_day SET net = net + 1 WHERE day = '2017-01-01'";
    let expected = [
        (&*view("sales_by_day"), "sales_by_day: day 2017-01-01, currency EUR shows net 151, the book says 150"),
        (
            "sales by day are the sums of the orders",
            "on 2017-01-01 net sales are shown as 151 EUR of 1 orders, the orders of that day come to 150 of 1",
        ),
    ];
    shop.assert_named("sales_by_day_v1.sales_by_day", sum, &expected).await;

    let slug = shop.position("SlugClaimed").await;
    let aside = format!("INSERT INTO parked_events VALUES ('category_v1', {slug}, 'slug-oat-milk', 'it tastes bad')");
    let first = format!("category_v1 has set position {slug} of slug-oat-milk aside: it tastes bad");
    shop.assert_named("public.parked_events", &aside, &[("nothing is parked", &*first)]).await;

    let cart = view("cart");
    let never = "DELETE FROM views WHERE name = 'cart'";
    shop.assert_named("public.views", never, &[(&*cart, "it was never built")]).await;
    assert_eq!(failures(&shop.verify().await), [], "everything was put back");
}

/// A message, before it is sent.
#[derive(Debug, Clone)]
struct Letter {
    topic: String,
    partition: i32,
    key: String,
    event: RecordedEvent,
    prev: i64,
    /// What is sent instead of the event.
    instead: Option<String>,
}

/// Every event as the relay publishes it.
fn letters(events: &[RecordedEvent]) -> Vec<Letter> {
    let (topology, mut last) = (topology(), HashMap::new());
    let letter = |event: &RecordedEvent| {
        let topic = topology.topic(topology.slice_of(&event.stream_id).expect("a slice"));
        let partition = topology.partition_of(&event.stream_id);
        let prev = last.insert((topic.clone(), partition), event.position).unwrap_or(0);
        Letter { topic, partition, key: event.stream_id.clone(), event: event.clone(), prev, instead: None }
    };
    events.iter().map(letter).collect()
}

async fn send(kafka: &KafkaSettings, letters: &[Letter]) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.brokers)
        .set("linger.ms", "0")
        .create()
        .expect("a producer");
    for Letter { topic, partition, key, event, prev, instead } in letters {
        let slice = kafka.topology.slice_of(&event.stream_id).expect("a slice");
        let (headers, value) = envelope::encode(event, slice, *prev).expect("it is an object");
        let value = instead.as_ref().unwrap_or(&value);
        let record = FutureRecord::to(topic).partition(*partition).key(key).payload(value).headers(headers);
        producer.send(record, PATIENCE).await.expect("the broker takes it");
    }
}

impl Shop {
    /// On a broker with these messages, the wire is what fails, and what is said begins so.
    async fn assert_wire(&self, letters: &[Letter], expected: Option<&str>) {
        let (_broker, kafka) = broker().await;
        send(&kafka, letters).await;
        let verdict = verify::audit(&self.book, &kafka).await.expect("everything can be read");
        let expected: Vec<_> = expected.map(|first| (WIRE, first)).into_iter().collect();
        assert_failures("the wire", &verdict, &expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_corruption_of_the_wire_is_named() {
    let shop = shop().await;
    let whole = letters(&shop.events().await);
    shop.assert_wire(&whole, None).await;
    let twice: Vec<_> = whole.iter().chain(&whole).cloned().collect();
    shop.assert_wire(&twice, None).await;

    // Three messages of one partition, of which the second one is spoiled: those of the stock.
    let own: Vec<usize> = (0..whole.len()).filter(|&nr| whole[nr].event.stream_id == "stock-oat@main").collect();
    let (first, second, third) = (own[0], own[1], own[2]);
    let position = |nr: usize| whole[nr].event.position;
    let place = format!("{}[{}]", whole[second].topic, whole[second].partition);
    let spoilt = |spoil: &dyn Fn(&mut Vec<Letter>)| {
        let mut letters = whole.clone();
        spoil(&mut letters);
        letters
    };

    let missing = spoilt(&|letters| drop(letters.remove(second)));
    let (one, two, three) = (position(first), position(second), position(third));
    let says = format!("position {three} in {place} names {two} before it and follows {one}");
    shop.assert_wire(&missing, Some(&says)).await;
    // The one after it covers it up.
    let covered = spoilt(&|letters| {
        letters[third].prev = one;
        letters.remove(second);
    });
    shop.assert_wire(&covered, Some(&format!("{place} lacks position {two} of stock-oat@main"))).await;
    let end = *own.last().expect("there are some");
    let cut_off = spoilt(&|letters| drop(letters.remove(end)));
    shop.assert_wire(&cut_off, Some(&format!("{place} lacks position {} of stock-oat@main", position(end)))).await;

    let changed = spoilt(&|letters| {
        let mut other = letters[second].clone();
        other.event.actor = "guest".into();
        letters.insert(second, other);
    });
    let says = format!("position {two} has actor guest on Kafka, the book says admin:test");
    shop.assert_wire(&changed, Some(&says)).await;

    let elsewhere = (whole[second].partition + 1) % 4;
    let astray = spoilt(&|letters| letters[second].partition = elsewhere);
    let other = format!("{}[{elsewhere}]", whole[second].topic);
    let says = format!("position {two} of stock-oat@main does not belong in {other}");
    shop.assert_wire(&astray, Some(&says)).await;
    let key = spoilt(&|letters| letters[second].key = "stock-tea@main".into());
    let says = format!("position {two} of stock-oat@main in {place} has the key Some(\"stock-tea@main\")");
    shop.assert_wire(&key, Some(&says)).await;

    let chain = spoilt(&|letters| letters[second].prev = one - 1);
    let says = format!("position {two} in {place} names {} before it and follows {one}", one - 1);
    shop.assert_wire(&chain, Some(&says)).await;

    let foreign = spoilt(&|letters| letters[second].instead = Some("not an event".into()));
    shop.assert_wire(&foreign, Some(&format!("{place} at offset 1 is no event: "))).await;
    let invented = spoilt(&|letters| {
        let mut other = letters[end].clone();
        (other.prev, other.event.position) = (position(end), 9_999);
        letters.push(other);
    });
    shop.assert_wire(&invented, Some("position 9999 is on Kafka and is not in the book")).await;
}

/// How many messages the topics hold, by partition.
fn messages(kafka: &KafkaSettings) -> Vec<i64> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &kafka.brokers).create().expect("a consumer");
    let held = |topic: &String, partition| {
        let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the broker answers");
        high - low
    };
    topology().topics().iter().flat_map(|topic| (0..4).map(move |nr| held(topic, nr))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_has_forgotten_is_not_missed() {
    let shop = shop().await;
    // As after a restart of `daybook up`: a new broker is given the end of the book, and not every partition has a part of it.
    let (_broker, kafka) = broker().await;
    let stop = CancellationToken::new();
    let relay = Relay::new(shop.book.clone(), RelaySettings { kafka: kafka.clone(), refill_bytes: Some(6_000) });
    let relay = tokio::spawn(relay.run(stop.clone()));
    let began = Instant::now();
    while messages(&kafka).iter().sum::<i64>() == 0 || relay::status(&shop.book).await.expect("an answer").lag > 0 {
        assert!(began.elapsed() < PATIENCE, "nothing is published");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    relay.await.expect("no panic");
    let (before, after) = (messages(&shop.kafka), messages(&kafka));
    assert!(before.iter().zip(&after).any(|(before, after)| *before > 0 && *after == 0), "a partition is empty now");
    let verdict = verify::audit(&shop.book, &kafka).await.expect("everything can be read");
    assert_eq!(failures(&verdict), []);
    // On the broker before, everything is still there.
    assert_eq!(failures(&shop.verify().await), []);
    // On one that has lost everything, nothing is.
    let (_broker, empty) = broker().await;
    let verdict = verify::audit(&shop.book, &empty).await.expect("everything can be read");
    assert_failures("an empty broker", &verdict, &[(WIRE, "daybook.")]);
}
