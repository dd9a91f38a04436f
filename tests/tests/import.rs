//! The import of a month of real orders: how many are accepted and refused, and what every read model shows, to the cent. It needs the
//! data of `shared/data/complete-journey` beside the project.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use daybook_test_needs::{Need, skipped};
use daybook_tests::{Shop, directory};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use serde_json::{Value, json};

/// How long the subscriber waits for the next message.
const PATIENCE: Duration = Duration::from_secs(180);

/// The directory of the data, if it exists.
fn data() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/complete-journey");
    folder.join("expected.json").exists().then_some(folder)
}

/// A subscriber with plain rdkafka: all topics, from the beginning.
struct Subscriber {
    wanted: Arc<AtomicUsize>,
    thread: JoinHandle<usize>,
}

impl Subscriber {
    fn start(shop: &Shop) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", shop.ready("kafka_brokers"))
            .set("group.id", "an-analyst")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "20")
            // The embedded broker keeps only the end of a partition, so the subscriber must keep up.
            .set("queued.max.messages.kbytes", "1000000")
            .create()
            .expect("a consumer can be made");
        let topics = ["catalog", "inventory", "cart", "order"].map(|slice| format!("daybook.{slice}.events.v1"));
        consumer.subscribe(&topics.each_ref().map(String::as_str)).expect("topics can be subscribed to");
        let wanted = Arc::new(AtomicUsize::new(usize::MAX));
        let until = Arc::clone(&wanted);
        Self { wanted, thread: std::thread::spawn(move || read(&consumer, &until)) }
    }

    /// Waits until so many events were published, and returns how many the subscriber has read.
    fn has(self, events: usize) -> usize {
        self.wanted.store(events, Ordering::SeqCst);
        self.thread.join().expect("the subscriber has no error")
    }
}

/// The messages that came from one partition.
#[derive(Default)]
struct Log {
    next_offset: i64,
    /// Whether the broker has forgotten messages before they were read. The embedded one keeps only the end of a partition.
    forgot: bool,
    versions: HashMap<String, i64>,
}

impl Log {
    /// Records a message. Returns how many were published since the one before, itself included. The versions of each key must count up
    /// from one, without gap or repetition, as far as the broker still has them.
    fn take(&mut self, offset: i64, key: &str, version: i64) -> usize {
        let published = usize::try_from(offset + 1 - self.next_offset).expect("offsets go up");
        if published > 1 {
            self.forgot = true;
            self.versions.clear();
        }
        self.next_offset = offset + 1;
        match self.versions.insert(key.to_owned(), version) {
            Some(before) => assert_eq!(version, before + 1, "{key} is in order, each event once"),
            None => assert!(version == 1 || self.forgot, "{key} begins at version {version}"),
        }
        published
    }
}

/// Reads until the wanted number of events was published.
fn read(consumer: &BaseConsumer, wanted: &AtomicUsize) -> usize {
    let mut logs: HashMap<(String, i32), Log> = HashMap::new();
    let (mut seen, mut last) = (0, Instant::now());
    loop {
        let until = wanted.load(Ordering::SeqCst);
        if seen >= until {
            return seen;
        }
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            if until == usize::MAX {
                // The wanted number is not known yet.
                last = Instant::now();
            }
            assert!(last.elapsed() < PATIENCE, "only {seen} of {until} events came");
            continue;
        };
        let message = message.expect("a message");
        let headers = message.headers().expect("the message has headers");
        let version = headers.iter().find(|header| header.key == "ce_streamversion").and_then(|header| header.value);
        let version =
            std::str::from_utf8(version.expect("a version")).expect("the bytes are text").parse().expect("a number");
        let key = std::str::from_utf8(message.key().expect("the message has a key")).expect("the bytes are text");
        let log = logs.entry((message.topic().to_owned(), message.partition())).or_default();
        seen += log.take(message.offset(), key, version);
        last = Instant::now();
    }
}

async fn admin(shop: &Shop, query: &str, position: &str) -> Value {
    let authorization = format!("Bearer {}", shop.ready("admin_token"));
    loop {
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("x-min-position", position),
        ];
        let answer = shop.send("POST", "/admin/graphql", &headers, json!({ "query": query }).to_string()).await;
        // On a busy machine the read models may need longer than one request waits.
        if answer.status != 503 {
            assert!(answer.body["errors"].is_null(), "{}", answer.body);
            return answer.body["data"].clone();
        }
        assert_eq!(answer.body["code"], "consistency_timeout");
    }
}

fn summary(shop: &Shop, what: &str, file: &str) -> Value {
    let (code, said) = shop.cli(&["import", what, file, "--json"]);
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&said).expect("a summary")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_model_of_a_month_of_real_orders_is_right_to_the_cent() {
    let Some(data) = data() else {
        return skipped(Need::JourneyData, "shared/data/complete-journey is missing beside the project");
    };
    let expected: Value =
        serde_json::from_slice(&std::fs::read(data.join("expected.json")).expect("the file is readable"))
            .expect("the file is JSON");
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    let subscriber = Subscriber::start(&shop);
    import(&shop, &data, directory.path(), &expected);

    let (_, relay) = shop.cli(&["relay", "status", "--json"]);
    let head = serde_json::from_str::<Value>(&relay).expect("JSON")["head"].as_u64().expect("a position");
    assert_sales(&shop, head, &expected["accepted"]).await;
    let events = usize::try_from(head).expect("it fits");
    assert_eq!(subscriber.has(events), events, "every event of the book came over Kafka, once and in order");
    let (code, verdict) = shop.cli(&["verify", "--json"]);
    assert_eq!(code, 0, "{verdict}");
    assert!(shop.stop().success());
}

/// Imports the products and the orders, and the orders once more. Asserts what each import says.
fn import(shop: &Shop, data: &Path, directory: &Path, expected: &Value) {
    // An import puts the file of rejected records beside its file, and the data may be in a place that cannot be written to.
    let [products, orders] = ["products.csv.gz", "orders.ndjson.gz"].map(|name| {
        let copy = directory.join(name);
        std::fs::copy(data.join(name), &copy).expect("the file can be copied");
        copy.to_str().expect("the path is text").to_owned()
    });
    let products = summary(shop, "products", &products);
    assert_eq!((&products["read"], &products["rejected"]), (&json!(92_331), &json!(0)));
    let first = summary(shop, "orders", &orders);
    assert_eq!(first["read"], expected["file"]["orders"]);
    assert_eq!(first["imported"], expected["accepted"]["orders"]);
    assert_eq!(first["rejected"], expected["rejected"]["orders"]);
    let rejected = first["rejected_file"].as_str().expect("the summary names the file");
    let rejected = std::fs::read_to_string(directory.join(rejected)).expect("the file of rejected records exists");
    let reasons: Vec<Value> = rejected.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(json!(reasons.len()), expected["rejected"]["orders"]);
    assert!(reasons.iter().all(|order| {
        let code = order["code"].as_str().expect("a code");
        order["lines"].is_array() && ["quantity_not_positive", "unknown_sku"].contains(&code)
    }));
    let again = summary(shop, "orders", &orders);
    assert_eq!(again["imported"], 0);
    assert_eq!(again["already_there"], expected["accepted"]["orders"]);
}

/// Asserts the totals, the days and the best products of the accepted orders.
async fn assert_sales(shop: &Shop, head: u64, accepted: &Value) {
    let query = r#"{
        salesTotals(from: "2016-12-01", to: "2017-03-01") {
            orders units customers skus net { minorUnits currency } discount { minorUnits } }
        salesByDay(from: "2016-12-01", to: "2017-03-01") { date orders net { minorUnits } }
        topProducts(from: "2016-12-01", to: "2017-03-01", first: 10) { sku net { minorUnits } } }"#;
    let answer = admin(shop, query, &head.to_string()).await;
    assert_eq!(
        answer["salesTotals"],
        json!([{
            "orders": accepted["orders"], "units": accepted["units"], "customers": accepted["customers"],
            "skus": accepted["skus"], "net": { "minorUnits": accepted["cents"], "currency": "USD" },
            "discount": { "minorUnits": accepted["discount_cents"] }
        }])
    );
    let days = answer["salesByDay"].as_array().expect("days");
    assert_eq!(days.len(), 60, "from the first sale, on New Year's Day, every day of the period is there");
    let days: serde_json::Map<String, Value> = days
        .iter()
        .filter(|day| day["orders"] != 0)
        .map(|day| {
            let figures = json!({ "orders": day["orders"], "cents": day["net"]["minorUnits"] });
            (day["date"].as_str().expect("a date").to_owned(), figures)
        })
        .collect();
    assert_eq!(Value::Object(days), accepted["by_day"]);
    let top: Vec<(&str, &Value)> = answer["topProducts"]
        .as_array()
        .expect("products")
        .iter()
        .map(|product| (product["sku"].as_str().expect("a SKU"), &product["net"]["minorUnits"]))
        .collect();
    let best = accepted["top_skus_by_cents"].as_object().expect("SKUs");
    assert_eq!(top.len(), best.len());
    assert!(top.iter().all(|(sku, cents)| best[*sku] == **cents), "{top:?}");
}
