//! A shop under load, which the tests of back-ups destroy and restore, and its state afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use daybook_tests::{Shop, binary};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use uuid::Uuid;

pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
pub(crate) const PRODUCT: &str = "018f0000-0000-7000-8000-000000000001";

/// An acknowledged order.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) order: Uuid,
    pub(crate) key: Uuid,
    pub(crate) body: Value,
    pub(crate) position: i64,
}

/// Runs the binary to its end. Returns its exit code, its output as JSON, and its errors.
pub(crate) async fn daybook(args: &[&str]) -> (i32, Value, String) {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run =
        move || Command::new(binary()).args(args).env_remove("DATABASE_URL").output().expect("the binary can be run");
    let output = tokio::task::spawn_blocking(run).await.expect("no panic");
    let printed = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap_or(-1), printed, String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

pub(crate) async fn accepted(shop: &Shop, name: &str, key: Uuid, body: &Value) -> Value {
    let answer = shop.command_as(shop.ready("admin_token"), name, key, body).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    answer.body
}

pub(crate) async fn stock_up(shop: &Shop) {
    let product = json!({ "product_id": PRODUCT, "name": "Oat milk", "slug": "oat-milk",
                          "variants": [{ "sku": "oat" }], "publish": true });
    accepted(shop, "CreateProduct", Uuid::nil(), &product).await;
    let price = json!({ "sku": "oat", "price": { "minor_units": 199, "currency": "EUR" } });
    accepted(shop, "SetPrice", Uuid::nil(), &price).await;
    accepted(shop, "ReceiveStock", Uuid::nil(), &json!({ "sku": "oat", "quantity": 100_000 })).await;
}

/// A UUID of version 4, as callers choose them.
fn id(number: u128) -> Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}

pub(crate) async fn place_order(shop: &Shop, number: u128) -> Acknowledged {
    let (cart, order, key) = (id(0x1000_0000 + number), id(0x2000_0000 + number), id(number));
    accepted(shop, "OpenCart", Uuid::nil(), &json!({ "cart_id": cart, "currency": "EUR" })).await;
    accepted(shop, "AddLine", Uuid::nil(), &json!({ "cart_id": cart, "sku": "oat", "quantity": 1 })).await;
    let body = json!({ "cart_id": cart, "order_id": order });
    let receipt = accepted(shop, "PlaceOrder", key, &body).await;
    Acknowledged { order, key, body, position: receipt["position"].as_i64().expect("a position") }
}

/// Places orders until it is stopped.
pub(crate) async fn keep_ordering(shop: &Shop, from: u128, enough: &AtomicBool) -> Vec<Acknowledged> {
    let mut orders = Vec::new();
    for number in from.. {
        orders.push(place_order(shop, number).await);
        if enough.load(Ordering::SeqCst) {
            break;
        }
    }
    orders
}

pub(crate) async fn database(shop: &Shop) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(shop.ready("database_url"), NoTls).await.expect("the database answers");
    tokio::spawn(connection);
    client
}

pub(crate) async fn epoch(shop: &Shop) -> Uuid {
    database(shop).await.query_one("SELECT epoch FROM head", &[]).await.expect("an answer").get(0)
}

/// Waits until the archive holds the write-ahead log up to now.
pub(crate) async fn archived(shop: &Shop) {
    let database = database(shop).await;
    let now: String = database.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.expect("an answer").get(0);
    let received = "SELECT count(*) FROM pg_stat_replication
                    WHERE application_name = 'daybook_backup' AND flush_lsn >= $1::text::pg_lsn";
    let begun = Instant::now();
    while database.query_one(received, &[&now]).await.expect("an answer").get::<_, i64>(0) == 0 {
        assert!(begun.elapsed() < PATIENCE, "the log is not archived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `/health` has a check that decides nothing, and returns it.
pub(crate) async fn health_of(shop: &Shop, name: &str) -> Value {
    let (token, begun) = (format!("Bearer {}", shop.ready("admin_token")), Instant::now());
    loop {
        let report = shop.send("GET", "/health", &[("authorization", token.as_str())], "").await.body;
        let details = report["details"].as_array().cloned().unwrap_or_default();
        if let Some(check) = details.into_iter().find(|check| check["name"] == name) {
            return check;
        }
        assert!(begun.elapsed() < PATIENCE, "{name} is not checked: {report}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits for a number of base back-ups.
pub(crate) async fn bases(backups: &Path, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let (code, listed, _) = daybook(&["backup", "list", text(backups), "--json"]).await;
        let listed = listed.as_array().cloned().unwrap_or_default();
        if code == 0 && listed.len() >= count {
            return listed;
        }
        assert!(begun.elapsed() < PATIENCE, "only these base back-ups exist: {listed:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The processes of the shop's PostgreSQL.
pub(crate) fn servers(data: &Path) -> Vec<Pid> {
    let cluster = data.join("postgres/cluster");
    let processes = fs::read_dir("/proc").expect("/proc is readable").flatten();
    let own = processes.filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == cluster));
    own.filter_map(|process| process.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect()
}

/// Signals a process. It may have ended by itself already.
fn signal(process: Pid, signal: Signal) {
    match kill(process, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("{process} cannot be signalled: {error}"),
    }
}

/// Kills the shop with its servers at any moment, and removes its data.
pub(crate) fn destroy(shop: Shop) {
    let data = fs::canonicalize(shop.data()).expect("the directory exists");
    // The processes of PostgreSQL are stopped first, so that none sees its parent die and shuts down cleanly.
    let running = servers(&data);
    assert!(!running.is_empty());
    for server in &running {
        signal(*server, Signal::SIGSTOP);
    }
    shop.kill();
    for server in &running {
        signal(*server, Signal::SIGKILL);
    }
    let begun = Instant::now();
    while !servers(&data).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "PostgreSQL outlives SIGKILL");
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::remove_dir_all(&data).expect("the directory can be removed");
}

/// The positions that a plain consumer finds in each partition, in order. All messages must be of one history.
pub(crate) fn consumed(shop: &Shop, prefix: &str, history: Uuid) -> BTreeMap<(String, i32), Vec<i64>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", shop.ready("kafka_brokers"))
        .set("group.id", "plain")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let (mut wanted, mut unread) = (TopicPartitionList::new(), BTreeMap::new());
    for slice in ["catalog", "inventory", "cart", "order"] {
        for partition in 0..4 {
            let topic = format!("{prefix}.{slice}.events.v1");
            let (low, high) = consumer.fetch_watermarks(&topic, partition, PATIENCE).expect("the broker answers");
            if low < high {
                wanted.add_partition_offset(&topic, partition, Offset::Beginning).expect("a place");
                unread.insert((topic, partition), high);
            }
        }
    }
    consumer.assign(&wanted).expect("the partitions are assigned");
    let mut found: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    while !unread.is_empty() {
        let message = consumer.poll(PATIENCE).expect("a message").expect("no error");
        let place = (message.topic().to_owned(), message.partition());
        let header = |key: &str| {
            let value = message.headers()?.iter().find(|header| header.key == key)?.value?;
            std::str::from_utf8(value).ok().map(str::to_owned)
        };
        assert_eq!(header("ce_history"), Some(history.to_string()));
        let position = header("ce_sequence").and_then(|text| text.parse().ok()).expect("a position");
        found.entry(place.clone()).or_default().push(position);
        if unread.get(&place).is_some_and(|high| message.offset() + 1 >= *high) {
            unread.remove(&place);
        }
    }
    found
}

pub(crate) async fn published(shop: &Shop, head: i64) {
    let begun = Instant::now();
    loop {
        let (_, status) = shop.cli(&["relay", "status", "--json"]);
        let status: Value = serde_json::from_str(&status).unwrap_or_default();
        // A restored relay may be at the end already, before it begins again.
        if status["asked_to_begin_again"] == false && status["cursor"].as_i64().is_some_and(|cursor| cursor >= head) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the relay has not published everything: {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The orders of the book. A duplicate is listed twice.
pub(crate) fn orders(shop: &Shop) -> Vec<Uuid> {
    let (code, events) = shop.cli(&["events", "--type", "order.OrderPlaced"]);
    assert_eq!(code, 0);
    let placed = events.lines().map(|line| {
        let event: Value = serde_json::from_str(line).expect("an event");
        let stream = event["stream_id"].as_str().expect("a stream");
        stream.strip_prefix("order-").expect("an order").parse().expect("an id")
    });
    placed.collect()
}

/// Asserts that every event of the book is on Kafka, once and in order.
pub(crate) fn assert_published_once(shop: &Shop, prefix: &str, history: Uuid, head: i64) {
    let found = consumed(shop, prefix, history);
    assert!(
        found.values().all(|positions| positions.is_sorted_by(|a, b| a < b)),
        "the positions of a partition are in order, each once"
    );
    let all: BTreeSet<i64> = found.into_values().flatten().collect();
    assert_eq!(all, (1..=head).collect(), "Kafka holds every event");
}

/// Corrupts the largest table of a base back-up.
pub(crate) fn corrupt(backups: &Path, label: &str) -> PathBuf {
    let base = backups.join("base").join(label).join("data/base");
    let databases = fs::read_dir(&base).expect("the base back-up has databases").flatten();
    let tables = databases.flat_map(|database| fs::read_dir(database.path()).expect("a database has tables").flatten());
    let largest = tables.max_by_key(|table| table.metadata().expect("the file exists").len()).expect("a table").path();
    let mut file = fs::File::options().write(true).open(&largest).expect("the file can be written");
    file.seek(SeekFrom::Start(4_000)).expect("the file is longer");
    file.write_all(b"spoiled").expect("the file can be written");
    largest
}
