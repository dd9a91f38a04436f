//! Views are rebuilt by the command line while orders are placed and queries run on both endpoints. No query fails, and each shows at
//! least its position. A killed rebuild leaves nothing that disturbs the next one.

use std::{
    collections::BTreeSet,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use daybook_tests::{Shop, binary, directory, sell};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use uuid::Uuid;

/// How long the test waits for any event.
const PATIENCE: Duration = Duration::from_secs(180);
/// The number of views.
const VIEWS: usize = 7;

async fn accepted(shop: &Shop, name: &str, body: Value) -> Value {
    let answer = shop.command(name, &body).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    answer.body
}

/// A UUID of version 4, as callers choose them.
fn id(number: u128) -> Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}

async fn place_order(shop: &Shop, number: u128) -> (Uuid, i64) {
    let (cart, order) = (id(0x1000_0000 + number), id(0x2000_0000 + number));
    accepted(shop, "OpenCart", json!({ "cart_id": cart, "currency": "EUR" })).await;
    accepted(shop, "AddLine", json!({ "cart_id": cart, "sku": "oat", "quantity": 2 })).await;
    let receipt = accepted(shop, "PlaceOrder", json!({ "cart_id": cart, "order_id": order })).await;
    (order, receipt["position"].as_i64().expect("a position"))
}

/// Runs a query that has to show a position.
async fn shown(shop: &Shop, path: &str, token: Option<&str>, query: &str) -> Value {
    let answer = shop.graphql(path, token, query, &json!({})).await;
    assert!(answer.status == 200 && answer.body["errors"].is_null(), "{query}: {} {}", answer.status, answer.body);
    answer.body["data"].clone()
}

/// Places orders and queries the effect of each, until it is stopped. Counts the orders.
async fn trade(shop: &Shop, traded: &AtomicU64, enough: &AtomicBool) {
    let token = Some(shop.ready("admin_token"));
    while !enough.load(Ordering::SeqCst) {
        let orders = traded.fetch_add(1, Ordering::SeqCst) + 1;
        let (order, position) = place_order(shop, u128::from(orders)).await;
        let query = format!(
            r#"{{ order(id: "{order}", minPosition: {position}) {{ phase net {{ minorUnits }} timeline {{ version }} }}
                 salesTotals(from: "2000-01-01", to: "2100-01-01", minPosition: {position}) {{ orders units }} }}"#
        );
        let answer = shown(shop, "/admin/graphql", token, &query).await;
        assert_eq!(answer["order"]["net"]["minorUnits"], 398, "{answer}");
        assert_eq!(answer["order"]["timeline"].as_array().map(Vec::len), Some(1), "{answer}");
        assert_eq!(
            answer["salesTotals"],
            json!([{ "orders": orders, "units": 2 * orders }]),
            "only one client places orders, so the figures are exact"
        );
        let query = format!(r#"{{ product(sku: "oat", minPosition: {position}) {{ name }} }}"#);
        assert_eq!(shown(shop, "/graphql", None, &query).await["product"]["name"], "Oat milk");
    }
}

/// A reader of some views. While it reads, no rebuild of these views can end, because a swap gives way to readers.
struct Reader(tokio_postgres::Client);

impl Reader {
    /// Reads all views but the first `free` ones.
    async fn start(shop: &Shop, free: usize) -> Self {
        let database = database(shop).await;
        database.batch_execute("BEGIN").await.expect("an answer");
        // The tables of a view have the same names in all of its versions. Queries read them by the schema `read`.
        let tables = "SELECT DISTINCT v.name, t.tablename::text FROM views v
                      JOIN pg_tables t ON t.schemaname ~ ('^' || v.name || '_v[0-9]+$')
                      JOIN pg_views r ON r.schemaname = 'read' AND r.viewname = t.tablename ORDER BY 1, 2";
        let rows = database.query(tables, &[]).await.expect("an answer");
        let tables: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let views: BTreeSet<&str> = tables.iter().map(|(view, _)| view.as_str()).collect();
        assert_eq!(views.len(), VIEWS, "{tables:?}");
        let held: BTreeSet<&str> = views.into_iter().skip(free).collect();
        for (_, table) in tables.iter().filter(|(view, _)| held.contains(view.as_str())) {
            let read = format!("LOCK TABLE read.{table} IN ACCESS SHARE MODE");
            database.batch_execute(&read).await.expect("an answer");
        }
        Self(database)
    }

    async fn stop(self) {
        self.0.batch_execute("COMMIT").await.expect("an answer");
    }
}

/// Starts `views rebuild`, and kills it when a query of the database returns true. All views but the first `free` ones are read
/// meanwhile, so the rebuild cannot end before.
async fn killed_when(shop: &Shop, reached: &str, free: usize) {
    let database = database(shop).await;
    let reader = Reader::start(shop, free).await;
    let mut rebuild = Command::new(binary())
        .args(["views", "rebuild", "--all", "--at-once", "--data"])
        .arg(shop.data())
        .env_remove("DATABASE_URL")
        .env_remove("KAFKA_BROKERS")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary can be run");
    let reaching = async {
        while !database.query_one(reached, &[]).await.expect("an answer").get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reaching).await.unwrap_or_else(|_| panic!("the rebuild does not reach: {reached}"));
    rebuild.kill().expect("a child can be killed");
    let ended = rebuild.wait().expect("a killed child ends");
    assert_eq!(ended.signal(), Some(Signal::SIGKILL as i32), "the rebuild was killed before its end: {reached}");
    reader.stop().await;
}

/// Kills rebuilds at several points: at once, after they have made tables for some views, and after they have swapped some.
async fn kill_rebuilds(shop: &Shop) {
    killed_when(shop, "SELECT true", 0).await;
    let database = database(shop).await;
    let number = async |sql: &str| database.query_one(sql, &[]).await.expect("an answer").get::<_, i64>(0);
    for views in [1, 4, VIEWS] {
        let last = number("SELECT max(oid::bigint) FROM pg_namespace").await;
        let made = format!("nspname ~ '_v[0-9]+$' AND oid::bigint > {last}");
        killed_when(shop, &format!("SELECT count(*) >= {views} FROM pg_namespace WHERE {made}"), 0).await;
    }
    for views in [1, 4] {
        let free = usize::try_from(views).expect("it fits");
        let swapped = number("SELECT sum(version)::bigint FROM views").await + views;
        killed_when(shop, &format!("SELECT sum(version) >= {swapped} FROM views"), free).await;
    }
}

async fn database(shop: &Shop) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(shop.ready("database_url"), NoTls).await.expect("the database answers");
    tokio::spawn(connection);
    client
}

/// The schemas of all versions of the views.
async fn versions(shop: &Shop) -> Vec<String> {
    let client = database(shop).await;
    let sql = "SELECT nspname::text FROM pg_namespace WHERE nspname ~ '_v[0-9]+$' ORDER BY 1";
    client.query(sql, &[]).await.expect("an answer").iter().map(|row| row.get(0)).collect()
}

/// Waits until a number of orders were placed.
async fn orders_placed(traded: &AtomicU64, count: u64) {
    let placing = async {
        while traded.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, placing).await.expect("orders are placed");
}

async fn rebuild(shop: &Shop) {
    kill_rebuilds(shop).await;
    for flags in [&["--all", "--json"][..], &["--all", "--at-once", "--json"]] {
        let (code, said) = tokio::task::block_in_place(|| shop.cli(&[&["views", "rebuild"], flags].concat()));
        let reports = said.lines().map(|line| serde_json::from_str(line).expect("each line is JSON"));
        // A rebuild that takes longer than a second prints its progress as well.
        let (built, on_the_way): (Vec<Value>, Vec<Value>) =
            reports.partition(|report: &Value| report["done"].is_null());
        assert_eq!((code, built.len()), (0, VIEWS), "{said}");
        assert!(
            built.iter().all(|report| report["view"].is_string() && report["version"].as_i64() > Some(1)),
            "{said}"
        );
        assert!(on_the_way.iter().all(|report| report["view"].is_string() && report["of"].is_i64()), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_rebuilt_while_orders_are_placed_and_queries_run() {
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    sell(&shop).await;
    accepted(&shop, "ReceiveStock", json!({ "sku": "oat", "quantity": 100_000 })).await;
    let (traded, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let rebuilding = async {
        // The rebuild has work to do, and queries run meanwhile.
        orders_placed(&traded, 10).await;
        let before = traded.load(Ordering::SeqCst);
        for rounds in 0.. {
            rebuild(&shop).await;
            if traded.load(Ordering::SeqCst) > before + 1 {
                break;
            }
            assert!(rounds < 20, "no orders are placed meanwhile");
        }
        enough.store(true, Ordering::SeqCst);
    };
    tokio::join!(trade(&shop, &traded, &enough), rebuilding);
    let left = versions(&shop).await;
    assert_eq!(left.len(), VIEWS, "one version of each view is left: {left:?}");
    let (code, verdict) = tokio::task::block_in_place(|| shop.cli(&["verify", "--json"]));
    assert_eq!(code, 0, "{verdict}");
    assert!(shop.stop().success());
}
