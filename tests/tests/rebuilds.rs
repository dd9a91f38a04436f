//! Views are rebuilt by the command line while orders are placed and queries run on both endpoints: no query fails, and none shows
//! less than what its position says. A rebuild that is killed half-way leaves nothing behind for the next one.

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use daybook_tests::{Shop, binary, directory, sell};
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use uuid::Uuid;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many views there are.
const VIEWS: usize = 7;

async fn accepted(shop: &Shop, name: &str, body: Value) -> Value {
    let answer = shop.command(name, &body).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    answer.body
}

async fn place_order(shop: &Shop, number: u128) -> (Uuid, i64) {
    let (cart, order) = (Uuid::from_u128(0x1000_0000 + number), Uuid::from_u128(0x2000_0000 + number));
    accepted(shop, "OpenCart", json!({ "cart_id": cart, "currency": "EUR" })).await;
    accepted(shop, "AddLine", json!({ "cart_id": cart, "sku": "oat", "quantity": 2 })).await;
    let receipt = accepted(shop, "PlaceOrder", json!({ "cart_id": cart, "order_id": order })).await;
    (order, receipt["position"].as_i64().expect("a position"))
}

/// Asks for what a position shows.
async fn shown(shop: &Shop, path: &str, token: Option<&str>, query: &str) -> Value {
    let answer = shop.graphql(path, token, query, &json!({})).await;
    assert!(answer.status == 200 && answer.body["errors"].is_null(), "{query}: {} {}", answer.status, answer.body);
    answer.body["data"].clone()
}

/// Places orders, and asks for each what it must show, until told to stop. Counts them.
async fn trade(shop: &Shop, traded: &AtomicU64, enough: &AtomicBool) {
    let token = Some(shop.ready("admin_token"));
    while !enough.load(Ordering::SeqCst) {
        let orders = traded.fetch_add(1, Ordering::SeqCst) + 1;
        let (order, position) = place_order(shop, u128::from(orders)).await;
        let query = format!(
            r#"{{ order(id: "{order}", minPosition: {position}) {{ phase net {{ minorUnits }} timeline {{ version }} }}
                 salesTotals(from: "2000-01-01", to: "2100-01-01", minPosition: {position}) {{ orders units }} }}"#
        );
        let told = shown(shop, "/admin/graphql", token, &query).await;
        assert_eq!(told["order"]["net"]["minorUnits"], 398, "{told}");
        assert_eq!(told["order"]["timeline"].as_array().map(Vec::len), Some(1), "{told}");
        assert_eq!(
            told["salesTotals"],
            json!([{ "orders": orders, "units": 2 * orders }]),
            "one trades, so it is exact"
        );
        let query = format!(r#"{{ product(sku: "oat", minPosition: {position}) {{ name }} }}"#);
        assert_eq!(shown(shop, "/graphql", None, &query).await["product"]["name"], "Oat milk");
    }
}

/// Starts `views rebuild`, and kills it as soon as a query of the database says so, unless it ends before.
async fn killed_when(shop: &Shop, reached: &str) {
    let database = database(shop).await;
    let mut rebuild = Command::new(binary())
        .args(["views", "rebuild", "--all", "--at-once", "--data"])
        .arg(shop.data())
        .env_remove("DATABASE_URL")
        .env_remove("KAFKA_BROKERS")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary can be run");
    while rebuild.try_wait().expect("a child can be asked").is_none() {
        if database.query_one(reached, &[]).await.expect("an answer").get(0) {
            rebuild.kill().expect("a child can be killed");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Kills rebuilds on their way: at once, when they have made tables for so many views, and when they have swapped so many.
async fn kill_rebuilds(shop: &Shop) {
    killed_when(shop, "SELECT true").await;
    let database = database(shop).await;
    let number = async |sql: &str| database.query_one(sql, &[]).await.expect("an answer").get::<_, i64>(0);
    for views in [1, 4, VIEWS] {
        let last = number("SELECT max(oid::bigint) FROM pg_namespace").await;
        let made = format!("nspname ~ '_v[0-9]+$' AND oid::bigint > {last}");
        killed_when(shop, &format!("SELECT count(*) >= {views} FROM pg_namespace WHERE {made}")).await;
    }
    for views in [1, 4] {
        let swapped = number("SELECT sum(version)::bigint FROM views").await + views;
        killed_when(shop, &format!("SELECT sum(version) >= {swapped} FROM views")).await;
    }
}

async fn database(shop: &Shop) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(shop.ready("database_url"), NoTls).await.expect("it answers");
    tokio::spawn(connection);
    client
}

/// The schemas of the views' versions that there are.
async fn versions(shop: &Shop) -> Vec<String> {
    let client = database(shop).await;
    let sql = "SELECT nspname::text FROM pg_namespace WHERE nspname ~ '_v[0-9]+$' ORDER BY 1";
    client.query(sql, &[]).await.expect("an answer").iter().map(|row| row.get(0)).collect()
}

/// Waits until so many orders were placed.
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
        let told = said.lines().map(|line| serde_json::from_str(line).expect("each line is JSON"));
        // What takes longer than a second tells how far it is as well.
        let (built, on_the_way): (Vec<Value>, Vec<Value>) = told.partition(|told: &Value| told["done"].is_null());
        assert_eq!((code, built.len()), (0, VIEWS), "{said}");
        assert!(built.iter().all(|told| told["view"].is_string() && told["version"].as_i64() > Some(1)), "{said}");
        assert!(on_the_way.iter().all(|told| told["view"].is_string() && told["of"].is_i64()), "{said}");
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
        // It has something to do, and somebody who notices.
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
