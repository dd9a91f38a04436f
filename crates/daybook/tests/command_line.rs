//! The command line: wrong usage ends with exit code 2, and `--json` prints one JSON document.
#![allow(missing_docs, reason = "tests")]

use std::{fs, process::Command as Process};

use daybook_bus::{Bus, BusSettings, Clock, Submission, clock::new_id};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_test_postgres::{TestDatabase, database};
use serde_json::{Value, json};
use uuid::Uuid;

/// The output of a command, and its exit code.
struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn daybook(database: &TestDatabase, args: &[&str]) -> Output {
    let output = Process::new(env!("CARGO_BIN_EXE_daybook"))
        .args(args)
        .env("DATABASE_URL", database.url())
        .env_remove("KAFKA_BROKERS")
        .output()
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("the output is text");
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

async fn send(book: &Daybook, commands: &[(&str, Value)]) {
    let (bus, stopped) = Bus::start(book.clone(), Clock::system(), &BusSettings::default());
    for (name, body) in commands {
        let command = Command::deserialize(name, body).expect("the command exists").expect("the body is well formed");
        let submission = Submission::new(command, new_id(), Actor::Admin("test".into()));
        bus.execute(submission).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    drop(bus);
    stopped.await.expect("the bus stops");
}

async fn book(database: &TestDatabase) -> Daybook {
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    let book = Daybook::open(&settings).expect("the URL is valid");
    daybook_operations::migrate(&book).await.expect("the tables can be created");
    book
}

/// A book with an order that was imported (version 1) and returned (version 2).
async fn order(book: &Daybook) -> String {
    let line = json!({ "sku": "oat", "quantity": 1, "line_total": 150 });
    let old =
        json!({ "external_ref": "old/1", "placed_at": "2017-01-01T00:00:00.5Z", "currency": "EUR", "lines": [line] });
    let product = json!({ "product_id": Uuid::from_u128(1), "name": "Oat", "variants": [{ "sku": "oat" }] });
    send(book, &[("CreateProduct", product), ("ImportOrder", old)]).await;
    let events = book.read_after(0, 10, &daybook_event_store::Filter::default()).await.expect("an answer");
    let order = events.iter().find_map(|event| event.stream_id.strip_prefix("order-")).expect("an order").to_owned();
    send(book, &[("ReturnOrder", json!({ "order_id": order, "reason": "too late" }))]).await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_an_order_is_one_document_and_missing_versions_are_refused() {
    let database = database().await;
    let order = order(&book(&database).await).await;
    let history = |args: &[&str]| daybook(&database, &[&["history", "order", &order], args].concat());

    let now = history(&["--json"]);
    let document: Value = serde_json::from_str(&now.stdout).expect("one JSON document");
    assert_eq!((now.code, document["events"].as_array().map(Vec::len)), (Some(0), Some(2)));
    assert_eq!(document["events"][1]["type"], "order.OrderReturned");
    assert_eq!(
        serde_json::from_str::<Value>(&history(&["--json", "--version", "1"]).stdout).expect("JSON")["events"][0],
        document["events"][0]
    );
    let changed: Value = serde_json::from_str(&history(&["--diff", "0", "2", "--json"]).stdout).expect("one document");
    assert!(changed.as_array().is_some_and(|changed| !changed.is_empty()), "{changed}");
    let table = history(&[]).stdout;
    assert!(table.contains(" 2017-01-01T00:00:00Z "), "{table}");

    for wrong in [
        &["--version", "99"][..],
        &["--version", "0"],
        &["--diff", "1", "3"],
        &["--diff", "-1", "2"],
        &["--diff", "1", "2", "--version", "1"],
    ] {
        let refused = history(wrong);
        assert_eq!((refused.code, &*refused.stdout), (Some(2), ""), "{wrong:?}: {}", refused.stderr);
    }
    let refused = history(&["--version", "99"]).stderr;
    assert!(refused.contains("versions 1 to 2, and not 99"), "{refused}");
    let unknown = Uuid::from_u128(7).to_string();
    assert_eq!(daybook(&database, &["history", "order", &unknown]).code, Some(1), "the order does not exist");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_are_a_usage_error() {
    let database = database().await;
    book(&database).await;
    for wrong in [
        &["views", "retry", "nonsense", "order-1"][..],
        &["views", "rebuild", "nonsense"],
        &["views", "verify", "nonsense"],
        &["token", "--role", "customer", "--secret", "0123456789abcdef0123456789abcdef"],
        &["token", "--role", "king"],
        &["events", "--after", "1"],
        &["events", "--type", "OrderPlacd"],
        &["events", "--after", "-1", "--follow"],
    ] {
        let refused = daybook(&database, wrong);
        assert_eq!((refused.code, &*refused.stdout), (Some(2), ""), "{wrong:?}: {}", refused.stderr);
    }
    let nothing = daybook(&database, &["views", "retry", "order", "order-1"]);
    assert_eq!((nothing.code, &*nothing.stdout), (Some(0), "nothing to retry: order has no event of order-1 parked\n"));
}

#[test]
fn an_error_is_printed_with_its_cause_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing");
    let output = Process::new(env!("CARGO_BIN_EXE_daybook"))
        .args(["restore", "--from"])
        .arg(&missing)
        .arg("--data")
        .arg(directory.path().join("data"))
        .output()
        .expect("the binary runs");
    let cause = "No such file or directory (os error 2)";
    let message = format!("daybook: cannot find the back-up {}: {cause}\n", missing.display());
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()), (Some(1), message));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_recognised_by_its_contents() {
    let database = database().await;
    let book = book(&database).await;
    let product = json!({ "product_id": Uuid::from_u128(1), "name": "Oat", "variants": [{ "sku": "oat" }] });
    send(&book, &[("CreateProduct", product)]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let import = |name: &str, lines: &str| {
        let file = directory.path().join(name);
        fs::write(&file, format!("sku,quantity,reference\n{lines}")).expect("a file");
        let output = daybook(&database, &["import", "stock", "--json", file.to_str().expect("a name")]);
        let summary: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.stderr));
        ["read", "imported", "already_there", "rejected"].map(|field| summary[field].as_u64().expect("a number"))
    };
    // Two deliveries with the same contents are two deliveries.
    assert_eq!(import("monday.csv", "oat,5,\noat,5,\noat,3,note-1\n"), [3, 3, 0, 0]);
    assert_eq!(import("monday.csv", "oat,5,\noat,5,\noat,3,note-1\n"), [3, 0, 3, 0]);
    assert_eq!(
        import("renamed.csv", "oat,3,note-1\n\noat,5,\noat,5,\n"),
        [3, 0, 3, 0],
        "the name of the file does not matter"
    );
    assert_eq!(import("monday.csv", "oat,5,\noat,5,\noat,3,note-1\noat,3,note-2\noat,5,\n"), [5, 2, 3, 0]);
}

#[test]
fn no_output_shows_a_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("daybook.toml");
    let text = "[database]\nread_url = \"postgres://shop:s3cr3tpw@standby/shop\"\n[access]\nsecret = \"s3cr3tpw of thirty-two or more bytes\"\n\
                [kafka]\nsasl_password = \"s3cr3tpw\"\n";
    fs::write(&file, text).expect("a file");
    let run = |args: &[&str]| {
        let output = Process::new(env!("CARGO_BIN_EXE_daybook"))
            .args(args)
            .args(["--config", file.to_str().expect("a name")])
            .env("DATABASE_URL", "postgres://shop:s3cr3tpw@127.0.0.1:1/shop")
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .env("RUST_LOG", "debug")
            .output()
            .expect("the binary runs");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("the output is text");
        assert!(!text.contains("s3cr3tpw"), "{args:?}: {text}");
        text
    };
    let config = run(&["config"]);
    for line in [
        "# url = \"postgres://shop:…@127.0.0.1:1/shop\"",
        "# read_url = \"postgres://shop:…@standby/shop\"",
        "# sasl_password = \"…\"",
        "# secret = \"…\"",
    ] {
        assert!(config.lines().any(|printed| printed == line), "{line} in {config}");
    }
    for command in ["serve", "up", "verify", "bench", "token", "backup", "migrate"] {
        run(&[command, "--help"]);
    }
    // Out of reach: the error names no secret either.
    let failed = run(&["migrate"]);
    assert!(failed.contains("daybook: "), "{failed}");
    run(&["events"]);
    run(&["serve", "--roles", "query-api", "--secret-file", "/no/such/secret"]);
}

#[test]
fn a_poor_secret_signs_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let token = |secret: &str| {
        let file = directory.path().join("secret");
        fs::write(&file, secret).expect("a file");
        let output = Process::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["token", "--role", "admin"])
            .env("DAYBOOK_SECRET_FILE", &file)
            .output()
            .expect("the binary runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("the output is text"))
    };
    assert_eq!(token("a secret of thirty-two or more bytes\n").0, Some(0));
    for (poor, why) in [
        ("short", "needs at least 32 bytes"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "can be guessed"),
        ("changemechangemechangemechangeme", "can be guessed"),
        ("\n", "is empty"),
    ] {
        let (code, said) = token(poor);
        assert!(code == Some(1) && said.contains(why), "{poor}: {said}");
    }
}

#[test]
fn a_configuration_file_gives_defaults_and_the_configuration_names_the_source_of_each_value() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("daybook.toml");
    let run = |text: &str, args: &[&str]| {
        fs::write(&file, text).expect("a file");
        let output = Process::new(env!("CARGO_BIN_EXE_daybook"))
            .args(args)
            .args(["--config", file.to_str().expect("a name")])
            .env_remove("DATABASE_URL")
            .env_remove("KAFKA_BROKERS")
            .env("DAYBOOK_TOPIC_PREFIX", "mine")
            .env("DAYBOOK_SECRET", "0123456789abcdef0123456789abcdef")
            .output()
            .expect("the binary runs");
        let text = |bytes| String::from_utf8(bytes).expect("the output is text");
        Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    let file_text = "[kafka]\npartitions = 12\ntopic_prefix = \"theirs\"\n";
    let printed = run(file_text, &["config"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let lines: Vec<_> = printed.stdout.lines().collect();
    for (from, line) in [
        ("from the file", "partitions = 12"),
        ("from the environment", "topic_prefix = \"mine\""),
        ("from the default", "listen = \"127.0.0.1:8080\""),
        ("from the environment", "# secret = \"…\""),
        ("from nowhere (not set)", "# url ="),
    ] {
        let at =
            lines.iter().position(|printed| *printed == line).unwrap_or_else(|| panic!("{line} in {}", printed.stdout));
        assert!(lines[at - 1].ends_with(from), "{}", lines[at - 1]);
    }
    assert!(!printed.stdout.contains("0123456789abcdef"), "secrets are left out");
    assert_eq!(run(&printed.stdout, &["config"]).code, Some(0), "the output is a valid configuration file");

    let wrong = run("[kafka]\npartition = 12\n", &["config"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("did you mean partitions?"), "{}", wrong.stderr);
    let unreachable = "[database]\nurl = \"postgresql:///none?host=/nowhere\"\n";
    let tried = run(unreachable, &["events"]);
    assert!(
        tried.code == Some(1) && !tried.stderr.contains("say --database-url"),
        "the address comes from the file: {}",
        tried.stderr
    );
    let out_of_range = run("[kafka]\npartitions = 0\n", &["views", "list"]);
    assert_eq!(out_of_range.code, Some(2), "{}", out_of_range.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn reactors_are_listed_with_what_waits_and_their_parked_events_can_be_retried() {
    let database = database().await;
    let book = book(&database).await;
    let cart = uuid::Builder::from_random_bytes(1_u128.to_be_bytes()).into_uuid();
    send(&book, &[("OpenCart", json!({ "cart_id": cart, "currency": "EUR" }))]).await;
    let client = database.connect().await;
    client
        .batch_execute(&format!(
            "INSERT INTO consumer_checkpoints (consumer, topic, partition, log_offset, position)
             VALUES ('reactor_cart_expiry', 'daybook.cart.events.v1', 0, 0, 1);
             INSERT INTO parked_events (consumer, position, stream_id, reason)
             VALUES ('reactor_cart_expiry', 1, 'cart-{cart}', 'a reason')"
        ))
        .await
        .expect("a reactor has begun and parked an event");
    let run = |args: &[&str]| daybook(&database, &[&["reactors"], args].concat());
    let cart_expiry = || {
        let listed: Value = serde_json::from_str(&run(&["list", "--json"]).stdout).expect("one JSON document");
        let of = listed.as_array().expect("a list").iter().find(|reactor| reactor["name"] == "cart_expiry");
        of.expect("the reactor is listed").clone()
    };
    assert_eq!((&cart_expiry()["parked"], &cart_expiry()["waiting"]), (&json!(1), &json!(0)));
    for parked in [run(&["parked", "--json"]).stdout, daybook(&database, &["views", "parked", "--json"]).stdout] {
        let parked: Value = serde_json::from_str(&parked).expect("one JSON document");
        assert_eq!(parked[0]["consumer"], "reactor_cart_expiry", "{parked}");
    }
    let retried = run(&["retry", "cart_expiry", &format!("cart-{cart}")]);
    assert_eq!(retried.code, Some(0), "{}", retried.stderr);
    let status = cart_expiry();
    let counts = ["parked", "waiting", "due", "failing"].map(|what| status[what].as_i64());
    assert_eq!(counts, [0, 1, 0, 0].map(Some), "the timer of the cart is set: {status}");
    assert_eq!(run(&["retry", "nonsense", "cart-1"]).code, Some(2));

    let table = daybook(&database, &["config", "--reactors"]).stdout;
    assert!(table.contains("cart.CartOpened") && table.contains("ExpireReservation"), "{table}");
}
