//! Imports of damaged files. What is before the damage is imported whole, and the import says how it has ended.
#![allow(missing_docs, reason = "tests")]

use std::{fs, io::Write, path::Path, process::Command as Process};

use daybook_bus::{Bus, BusSettings, Clock, Submission, clock::new_id};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_test_postgres::{TestDatabase, database};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use uuid::Uuid;

/// The good records of each file.
const GOOD: u64 = 600;
/// A checksum and a length, at the end of a compressed file.
const TRAILER: usize = 8;

/// What is imported.
struct Import {
    what: &'static str,
    file: &'static str,
    /// The beginning of the file: the header, if there is one, and a bad record.
    head: &'static str,
    /// The code under which the bad record is rejected.
    code: &'static str,
    /// A good record. The text is different in each.
    record: fn(&str) -> String,
    /// The types of the events that each good record writes once.
    events: &'static [&'static str],
}

const PRODUCTS: Import = Import {
    what: "products",
    file: "products.csv.gz",
    head: "sku,name,price_minor,currency\n,no SKU,1,EUR\n",
    code: "invalid_record",
    record: |text| format!("{text},Oat {text},199,EUR\n"),
    events: &["catalog.ProductCreated", "catalog.PriceSet"],
};

const ORDERS: Import = Import {
    what: "orders",
    file: "orders.ndjson.gz",
    head: "{\"external_ref\":\n",
    code: "malformed_json",
    record: |text| {
        let line = json!({ "sku": "oat", "quantity": 1, "line_total": 150 });
        let order = json!({ "external_ref": text, "placed_at": "2017-01-01T10:00:00Z", "currency": "EUR",
                            "lines": [line] });
        format!("{order}\n")
    },
    events: &["order.OrderImported"],
};

const STOCK: Import = Import {
    what: "stock",
    file: "stock.csv.gz",
    head: "sku,quantity,reference\noat,some,first\n",
    code: "invalid_record",
    record: |text| format!("oat,1,{text}\n"),
    events: &["inventory.StockReceived"],
};

impl Import {
    /// The compressed file. Its texts can hardly be compressed, so damage in the middle leaves records before it.
    fn compressed(&self) -> Vec<u8> {
        let mut gz = GzEncoder::new(Vec::new(), Compression::default());
        gz.write_all(self.head.as_bytes()).expect("memory can be written");
        for number in 0..GOOD {
            let text = Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes()).to_string();
            gz.write_all((self.record)(&text).as_bytes()).expect("memory can be written");
        }
        gz.finish().expect("memory can be written")
    }

    /// Imports a file with these bytes. Returns the exit code, the summary and the errors.
    fn run(&self, database: &TestDatabase, directory: &Path, bytes: &[u8]) -> (Option<i32>, Value, String) {
        let file = directory.join(self.file);
        fs::write(&file, bytes).expect("the file can be written");
        let output = Process::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["import", self.what])
            .arg(&file)
            .arg("--json")
            .env("DATABASE_URL", database.url())
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let summary = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("a summary is printed: {said}"));
        (output.status.code(), summary, said)
    }

    /// Asserts that the bad record is named in the file of rejected records, which the summary names.
    fn assert_rejected(&self, summary: &Value) {
        assert_eq!(summary["rejected"], 1, "{summary}");
        let file = summary["rejected_file"].as_str().expect("the summary names the file");
        let text = fs::read_to_string(file).expect("the file of rejected records exists");
        let codes: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON")["code"].clone())
            .collect();
        assert_eq!(codes, [self.code]);
    }

    /// Asserts that so many good records were imported whole.
    async fn assert_imported(&self, database: &TestDatabase, records: u64) {
        let client = database.connect().await;
        for event in self.events {
            let count = "SELECT count(*) FROM events WHERE type = $1";
            let written: i64 = client.query_one(count, &[event]).await.expect("an answer").get(0);
            assert_eq!(u64::try_from(written).ok(), Some(records), "{event}");
        }
    }
}

/// A book, with a product if the import needs one.
async fn prepare(database: &TestDatabase, with_product: bool) {
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    let book = Daybook::open(&settings).expect("the URL is one");
    daybook_operations::migrate(&book).await.expect("the tables can be made");
    let (bus, stopped) = Bus::start(book, Clock::system(), &BusSettings::default());
    if with_product {
        let body = json!({ "product_id": Uuid::from_u128(1), "name": "Oat", "variants": [{ "sku": "oat" }] });
        let command = Command::deserialize("CreateProduct", &body).expect("it exists").expect("it is well formed");
        let submission = Submission::new(command, new_id(), Actor::Admin("test".into()));
        bus.execute(submission).await.expect("the command is accepted");
    }
    drop(bus);
    stopped.await.expect("the bus stops");
}

/// Imports a truncated file, the same with a wrong checksum, and the same undamaged.
async fn import_damaged_and_whole(import: Import, with_product: bool) {
    let database = database().await;
    prepare(&database, with_product).await;
    let directory = tempfile::tempdir().expect("a directory");
    let whole = import.compressed();

    let (code, truncated, said) = import.run(&database, directory.path(), &whole[..whole.len() * 2 / 3]);
    let number = |field: &str| truncated[field].as_u64().expect("a number");
    let (read, imported) = (number("read"), number("imported"));
    assert_eq!((code, imported), (Some(1), read - 1), "{truncated} {said}");
    assert!(0 < imported && imported < GOOD, "{truncated}");
    let damage = format!("{} is damaged after {read} records", import.file);
    assert!(truncated["failure"].as_str().is_some_and(|failure| failure.contains(&damage)), "{truncated}");
    assert!(said.contains(&damage), "{said}");
    import.assert_rejected(&truncated);
    import.assert_imported(&database, imported).await;

    let mut wrong = whole.clone();
    let trailer = wrong.len() - TRAILER;
    wrong[trailer] ^= 1;
    let (code, summary, said) = import.run(&database, directory.path(), &wrong);
    assert_eq!((code, &summary["read"]), (Some(1), &json!(GOOD + 1)), "{summary} {said}");
    assert_eq!((&summary["imported"], &summary["already_there"]), (&json!(GOOD - imported), &json!(imported)));
    assert!(said.contains("is damaged"), "{said}");
    import.assert_rejected(&summary);

    let (code, summary, said) = import.run(&database, directory.path(), &whole);
    assert_eq!((code, &summary["failure"]), (Some(0), &Value::Null), "{said}");
    assert_eq!((&summary["imported"], &summary["already_there"]), (&json!(0), &json!(GOOD)));
    import.assert_rejected(&summary);
    import.assert_imported(&database, GOOD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_products_is_imported_up_to_the_damage_and_each_product_has_its_price() {
    import_damaged_and_whole(PRODUCTS, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_orders_is_imported_up_to_the_damage() {
    import_damaged_and_whole(ORDERS, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_deliveries_is_imported_up_to_the_damage() {
    import_damaged_and_whole(STOCK, true).await;
}
