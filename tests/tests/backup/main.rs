//! Back-up and restore: all but the back-up is destroyed, and the shop continues from it.
#![allow(clippy::print_stdout, reason = "tests")]

mod stage;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use daybook_embedded::postgres::{Postgres, PostgresSettings};
use daybook_test_needs::{Need, skipped};
use daybook_tests::{Shop, binary, directory};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
};
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::stage::{
    Acknowledged, PATIENCE, archived, assert_published_once, bases, corrupt, daybook, destroy, epoch, health_of,
    keep_ordering, orders, place_order, published, stock_up, text,
};

#[tokio::test(flavor = "multi_thread")]
async fn all_but_the_back_up_is_destroyed_and_the_shop_continues() {
    let directory = directory();
    let backups = directory.path().join("backups");
    let shop = Shop::up_with(directory.path(), "shop", &["--archive", text(&backups)]).await;
    stock_up(&shop).await;
    let before = Before { token: shop.ready("admin_token").to_owned(), epoch: epoch(&shop).await };
    let (mut acknowledged, in_base) = back_up_while_ordering(&shop, &backups).await;
    let pair = Pair::placed(&shop).await;
    acknowledged.extend([pair.first.clone(), pair.second.clone()]);
    archived(&shop).await;
    let safe = acknowledged.len();
    // The last orders may be lost with the machine, but no order before an order that is kept.
    acknowledged.extend(keep_ordering(&shop, 200_001, &AtomicBool::new(true)).await);
    let data = shop.data().to_owned();
    destroy(shop);

    let restored = restore(&backups, &data, &[]).await;
    println!("{} orders acknowledged, {safe} of them archived for sure; restored: {restored}", acknowledged.len());
    let shop = Shop::up_with(directory.path(), "shop", &["--archive", text(&backups)]).await;
    let head = restored["position"].as_i64().expect("a position");
    assert!(head >= pair.second.position, "the archive holds what was archived");
    assert!(pair.second.position > in_base, "the archive continues after the base back-up");
    assert_only_the_end_is_lost(&shop, &acknowledged, safe, head);
    assert_another_history(&shop, &restored, &before, &pair.first, head).await;
    assert_continues(&shop, &backups, head).await;
    assert!(shop.stop().success());
    assert_restored_between(directory.path(), &backups, &pair).await;
}

/// What a shop has shown before it was destroyed.
struct Before {
    token: String,
    epoch: Uuid,
}

/// Two orders, and a moment between them.
struct Pair {
    first: Acknowledged,
    between: DateTime<Utc>,
    second: Acknowledged,
}

impl Pair {
    async fn placed(shop: &Shop) -> Self {
        let first = place_order(shop, 100_001).await;
        let between = daybook_tests::nemesis::client::now();
        tokio::time::sleep(Duration::from_millis(20)).await;
        Self { first, between, second: place_order(shop, 100_002).await }
    }
}

/// Makes a base back-up while orders are placed. The start of the shop has made another one. Returns the orders, and the position at
/// which the base back-up ends.
async fn back_up_while_ordering(shop: &Shop, backups: &Path) -> (Vec<Acknowledged>, i64) {
    let enough = AtomicBool::new(false);
    let backing_up = async {
        bases(backups, 1).await;
        let begun = Instant::now();
        let made = loop {
            let made = daybook(&["backup", "--to", text(backups), "--data", text(shop.data()), "--json"]).await;
            // The first base back-up is listed a moment before the shop unlocks the directory.
            if !made.2.contains("in use by another daybook") {
                break made;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", made.2);
        };
        enough.store(true, Ordering::SeqCst);
        made
    };
    let (acknowledged, (code, made, said)) = tokio::join!(keep_ordering(shop, 1, &enough), backing_up);
    assert_eq!(code, 0, "{said}");
    (acknowledged, made["ended"]["position"].as_i64().expect("a position"))
}

/// Restores a data directory. Returns what the command has printed.
async fn restore(backups: &Path, data: &Path, flags: &[&str]) -> Value {
    let args = [&["restore", "--from", text(backups), "--data", text(data)][..], flags, &["--json"]].concat();
    let (code, restored, said) = daybook(&args).await;
    assert_eq!(code, 0, "{said}");
    restored
}

/// Asserts that the book holds each order up to its end once, and no other. All orders that were archived are among them.
fn assert_only_the_end_is_lost(shop: &Shop, acknowledged: &[Acknowledged], safe: usize, head: i64) {
    let found = orders(shop);
    let unique: BTreeSet<_> = found.iter().collect();
    assert_eq!(unique.len(), found.len(), "each order is in the book once");
    for (number, Acknowledged { order, position, .. }) in acknowledged.iter().enumerate() {
        assert_eq!(unique.contains(order), *position <= head, "{order} at {position}, the book ends at {head}");
        assert!(number >= safe || unique.contains(order), "{order} was archived");
    }
}

/// Asserts that the topics hold the new history from its beginning, and that earlier tokens and keys are valid.
async fn assert_another_history(shop: &Shop, restored: &Value, before: &Before, first: &Acknowledged, head: i64) {
    let history = epoch(shop).await;
    assert_ne!(history, before.epoch);
    assert_eq!(restored["epoch"], json!(history));
    published(shop, head).await;
    assert_published_once(shop, "daybook", history, head);
    let (code, verdict) = shop.cli(&["verify", "--json"]);
    assert_eq!(code, 0, "{verdict}");
    let again = shop.command_as(&before.token, "PlaceOrder", first.key, &first.body).await;
    assert_eq!((again.status, &again.body["replayed"]), (200, &json!(true)), "{}", again.body);
    assert_eq!(again.body["position"], json!(first.position), "an old key gets the old receipt");
}

/// Asserts that a consistency token of a lost position is refused at once, that the shop accepts orders, and that it makes the base
/// back-up that the new timeline needs.
async fn assert_continues(shop: &Shop, backups: &Path, head: i64) {
    let ask = async |position: i64| {
        let position = position.to_string();
        let headers = [("content-type", "application/json"), ("x-min-position", position.as_str())];
        let query = json!({ "query": "{ product(sku: \"oat\") { slug } }" }).to_string();
        shop.send("POST", "/graphql", &headers, query).await
    };
    let refused = ask(head + 1).await;
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!("bad_position")));
    let next = place_order(shop, 300_001).await;
    let shown = ask(next.position).await;
    assert_eq!(shown.body["data"]["product"]["slug"], "oat-milk", "{}", shown.body);
    assert_eq!(bases(backups, 3).await[2]["server"]["timeline"], 2);
}

/// Asserts that a restore to a moment between two orders has the first one only, by position and by time, on the timeline before the
/// first restore.
async fn assert_restored_between(directory: &Path, backups: &Path, pair: &Pair) {
    let (by_position, by_time) = (directory.join("by-position"), directory.join("by-time"));
    let target = (pair.second.position - 1).to_string();
    let restored = restore(backups, &by_position, &["--to-position", &target]).await;
    let end = restored["position"].as_i64().expect("a position");
    assert!((pair.first.position..pair.second.position).contains(&end), "{end}");
    let restored = restore(backups, &by_time, &["--to-time", &pair.between.to_rfc3339()]).await;
    assert_eq!(restored["position"], json!(pair.first.position));
    let shop = Shop::up_with(directory, "by-position", &[]).await;
    let found = orders(&shop);
    assert!(found.contains(&pair.first.order) && !found.contains(&pair.second.order), "{found:?}");
    assert_eq!(shop.cli(&["verify", "--json"]).0, 0);
    assert!(shop.stop().success());
}

/// Runs with `KAFKA_BROKERS` only: the embedded broker ends with its shop and loses its messages.
#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_still_holds_events_lost_from_the_book_is_corrected() {
    let Some(brokers) = std::env::var("KAFKA_BROKERS").ok().filter(|brokers| !brokers.is_empty()) else {
        let why = "only a real broker keeps events that the book has lost (set KAFKA_BROKERS, or see .ci/kafka)";
        return skipped(Need::RealBroker, why);
    };
    let directory = directory();
    let backups = directory.path().join("backups");
    let prefix = format!("daybook-test-restored-{}", std::process::id());
    let flags = ["--kafka-brokers", &brokers, "--topic-prefix", &prefix];
    let shop = Shop::up_with(directory.path(), "shop", &flags).await;
    stock_up(&shop).await;
    let kept = place_order(&shop, 1).await;
    let (code, _, said) = daybook(&["backup", "--to", text(&backups), "--data", text(shop.data())]).await;
    assert_eq!(code, 0, "{said}");
    let mut lost = place_order(&shop, 2).await;
    for number in 3..20 {
        lost = place_order(&shop, number).await;
    }
    published(&shop, lost.position).await;
    destroy(shop);

    let data = directory.path().join("shop");
    let (code, _, said) = daybook(&["restore", "--from", text(&backups), "--data", text(&data)]).await;
    assert_eq!(code, 0, "{said}");
    let shop = Shop::up_with(directory.path(), "shop", &flags).await;
    // The new history assigns positions under which the topics held other events.
    let next = place_order(&shop, 1_000).await;
    assert!(kept.position < next.position && next.position < lost.position);
    published(&shop, next.position).await;
    assert_published_once(&shop, &prefix, epoch(&shop).await, next.position);
    let there = orders(&shop);
    assert_eq!(there, [kept.order, next.order]);
    let (code, verdict) = shop.cli(&["verify", "--json", "--topic-prefix", &prefix]);
    assert_eq!(code, 0, "{verdict}");
    assert!(shop.stop().success());

    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", &brokers).create().expect("a client");
    let topics = ["catalog", "inventory", "cart", "order"].map(|slice| format!("{prefix}.{slice}.events.v1"));
    admin.delete_topics(&topics.each_ref().map(String::as_str), &AdminOptions::new()).await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_log_that_a_full_disk_has_cut_off_is_received_again() {
    let directory = directory();
    let backups = directory.path().join("backups");
    let shop = Shop::up_with(directory.path(), "shop", &["--archive", text(&backups)]).await;
    stock_up(&shop).await;
    bases(&backups, 1).await;
    assert!(shop.stop().success());
    let runs = fs::read_dir(backups.join("wal")).expect("the archive").map(|run| run.expect("a folder").path());
    let files = runs.flat_map(|run| fs::read_dir(run).expect("a folder")).map(|file| file.expect("a file").path());
    let unfinished: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "partial")).collect();
    assert_eq!(unfinished.len(), 1, "{unfinished:?}");
    let cut = fs::OpenOptions::new().write(true).open(&unfinished[0]).expect("the file can be written");
    cut.set_len(9_469_952).expect("the file can be cut");

    let shop = Shop::up_with(directory.path(), "shop", &["--archive", text(&backups)]).await;
    let placed = place_order(&shop, 1).await;
    archived(&shop).await;
    assert_eq!(health_of(&shop, "archive").await["ok"], true);
    let data = shop.data().to_owned();
    destroy(shop);
    let restored = restore(&backups, &data, &[]).await;
    assert!(restored["position"].as_i64() >= Some(placed.position), "{restored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_server_is_backed_up_and_restored_to_a_data_directory() {
    let directory = directory();
    let (backups, new) = (directory.path().join("backups"), directory.path().join("new"));
    let supervisor = Some(binary());
    let settings = PostgresSettings { data_dir: directory.path().join("own"), durable: false, supervisor };
    let server = Postgres::start(&settings).await.expect("the server starts");
    let (admin, connection) = tokio_postgres::connect(server.database_url(), NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    for statement in ["CREATE ROLE merchant LOGIN REPLICATION", "CREATE DATABASE bookshop OWNER merchant"] {
        admin.batch_execute(statement).await.expect("an answer");
    }
    let url = server.database_url().replacen("daybook@/daybook", "merchant@/bookshop", 1);
    let (code, _, said) = daybook(&["migrate", "--database-url", &url]).await;
    assert_eq!(code, 0, "{said}");
    let (code, made, said) = daybook(&["backup", "--to", text(&backups), "--database-url", &url, "--json"]).await;
    assert_eq!((code, &made["server"]["embedded"]), (0, &json!(false)), "{said}");
    server.stop().await.expect("the server stops");

    let (code, restored, said) = daybook(&["restore", "--from", text(&backups), "--data", text(&new), "--json"]).await;
    assert_eq!((code, &restored["embedded"]), (0, &json!(false)), "{said}");
    let own = backups.join("base").join(made["label"].as_str().expect("a label")).join("data");
    for name in ["postgresql.conf", "pg_hba.conf"] {
        let read = |directory: &Path| fs::read_to_string(directory.join(name)).expect("the file exists");
        assert_eq!(read(&own), read(&new.join("postgres/cluster")), "its own configuration");
    }
    assert_ne!(restored["epoch"], made["ended"]["epoch"], "another history begins");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_or_restore_that_is_impossible_is_refused_and_writes_nothing() {
    let directory = directory();
    let (backups, data, new) =
        (directory.path().join("backups"), directory.path().join("shop"), directory.path().join("new"));
    let shop = Shop::up(directory.path()).await;
    stock_up(&shop).await;

    let (code, _, said) = daybook(&["backup", "--to", text(directory.path()), "--data", text(&data)]).await;
    assert_eq!((code, said.contains("is not empty")), (2, true), "{said}");
    let (code, _, said) = daybook(&["restore", "--from", text(directory.path()), "--data", text(&new)]).await;
    assert_eq!((code, said.contains("holds no back-up")), (2, true), "{said}");
    let mut made = Value::Null;
    for _ in 0..2 {
        let (code, next, said) = daybook(&["backup", "--to", text(&backups), "--data", text(&data), "--json"]).await;
        assert_eq!(code, 0, "{said}");
        made = next;
    }
    assert!(shop.stop().success());
    let (code, pruned, said) = daybook(&["backup", "prune", text(&backups), "--keep", "1", "--json"]).await;
    assert_eq!((code, &pruned["removed"]), (0, &json!(1)), "{said}");
    let (_, left, _) = daybook(&["backup", "list", text(&backups), "--json"]).await;
    assert_eq!((&left[0]["label"], left.as_array().map(Vec::len)), (&made["label"], Some(1)));

    let refused = |code: i32, what: &'static str, flags: &[&str]| {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (backups, new) = (backups.clone(), new.clone());
        async move {
            let mut args = vec!["restore", "--from", text(&backups), "--data", text(&new)];
            args.extend(flags.iter().map(String::as_str));
            let (found, _, said) = daybook(&args).await;
            assert_eq!((found, said.contains(what)), (code, true), "{flags:?}: {said}");
            assert!(!new.exists(), "a refused restore leaves no directory");
        }
    };
    let (code, _, said) = daybook(&["restore", "--from", text(&backups), "--data", text(&data)]).await;
    assert_eq!((code, said.contains("is not empty")), (2, true), "{said}");
    refused(2, "there is no base back-up yesterday", &["--base", "yesterday"]).await;
    refused(2, "is before the back-up", &["--to-time", "2020-01-01T00:00:00Z"]).await;
    refused(2, "is before the back-up", &["--to-position", "1"]).await;
    refused(2, "is after the end of the back-up", &["--to-time", "2100-01-01T00:00:00Z"]).await;
    refused(2, "is after the end of the back-up: it ends at position", &["--to-position", "1000000"]).await;
    refused(2, "invalid value", &["--to-time", "yesterday"]).await;

    // The directory of a killed restore is no shop, and the next restore begins again.
    fs::create_dir_all(new.join("restoring/cluster")).expect("a directory");
    let (code, _, said) = daybook(&["up", "--data", text(&new), "--listen", "127.0.0.1:0"]).await;
    assert_eq!((code, said.contains("a restore that was not finished")), (1, true), "{said}");
    let (code, restored, said) = daybook(&["restore", "--from", text(&backups), "--data", text(&new), "--json"]).await;
    assert_eq!((code, &restored["position"]), (0, &made["ended"]["position"]), "{said}");
    fs::remove_dir_all(&new).expect("the directory can be removed");

    let table = corrupt(&backups, made["label"].as_str().expect("a label"));
    let name = table.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    let (code, _, said) = daybook(&["backup", "verify", text(&backups)]).await;
    assert!(code == 1 && said.contains(&name) && said.contains("is damaged"), "{said}");
    refused(1, "is damaged", &[]).await;
}
