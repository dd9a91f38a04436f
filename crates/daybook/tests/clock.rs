//! A process whose clock is wrong: what its callers get, and what probes see.
#![allow(missing_docs, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use chrono::TimeDelta;
use daybook::{
    connections::{Budgets, Database},
    role::Role,
    serve::{self, Running},
    settings::{Limits, Settings},
};
use daybook_bus::Clock;
use daybook_domain::Storefront;
use daybook_edge::tokens::Keys;
use daybook_event_store::{Daybook, StoreSettings};
use daybook_event_stream::{KafkaSecurity, KafkaSettings};
use daybook_test_postgres::database;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};

/// How long a process may take to notice a change.
const PATIENCE: Duration = Duration::from_secs(180);

async fn send(request: Request<Full<Bytes>>) -> (StatusCode, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let answer = client.request(request).await.expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("a text"))
}

async fn operator(running: &Running, path: &str) -> (StatusCode, String) {
    let url = format!("http://{}{path}", running.operations);
    send(Request::get(url).body(Full::default()).expect("a request")).await
}

async fn open_cart(running: &Running) -> (StatusCode, Value) {
    let url = format!("http://{}/commands/OpenCart", running.address);
    let cart = json!({ "cart_id": daybook_bus::clock::new_id(), "currency": "EUR" }).to_string();
    let request = Request::post(url).header("content-type", "application/json").body(Full::from(cart));
    let (status, body) = send(request.expect("a request")).await;
    (status, serde_json::from_str(&body).expect("JSON"))
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A check of a report, by its name.
fn check(report: &str, name: &str) -> Value {
    let report: Value = serde_json::from_str(report).expect("JSON");
    let all = [&report["checks"], &report["details"]].into_iter().filter_map(Value::as_array).flatten();
    all.into_iter().find(|check| check["name"] == name).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_wrong_is_not_ready_and_says_so_until_its_clock_is_right() {
    let database = database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 2 };
    let book = Daybook::open(&settings).expect("the URL is valid");
    daybook_operations::migrate(&book).await.expect("the tables can be created");
    let ahead = Arc::new(AtomicI64::new(3_600));
    let (read, right) = (Arc::clone(&ahead), Clock::system());
    let running = serve::start(Settings {
        roles: [Role::CommandApi].into_iter().collect(),
        listen: ([127, 0, 0, 1], 0).into(),
        advertise: None,
        ops_listen: ([127, 0, 0, 1], 0).into(),
        drain_delay: Duration::ZERO,
        database: Database { url: database.url().into(), read_url: None, budgets: Budgets::default() },
        kafka: KafkaSettings {
            brokers: "127.0.0.1:1".to_owned(),
            topology: daybook_projectors::topology("daybook", 4),
            replication: 1,
            fetch_wait: Duration::from_millis(500),
            security: KafkaSecurity::default(),
            group_suffix: None,
        },
        keys: Keys::new(b"a secret of thirty-two or more bytes").expect("the secret is good"),
        secrets: None,
        command_url: None,
        introspection: false,
        time_zone: daybook_query_api::TimeZone::UTC,
        storefront: Storefront::default(),
        limits: Limits::default(),
        refill_bytes: None,
        clock: Clock::from_fn(move || right.now() + TimeDelta::seconds(read.load(Ordering::Relaxed))),
    });
    let running = running.await.expect("the process listens");

    let wrong = async || check(&operator(&running, "/readyz").await.1, "clock")["ok"] == false;
    until("the process notices it", wrong).await;
    let (status, report) = operator(&running, "/readyz").await;
    let detail = check(&report, "clock")["detail"].clone();
    assert_eq!(status, 503, "{report}");
    assert!(detail.as_str().is_some_and(|detail| detail.contains("s ahead of the clock of the database")), "{detail}");
    let (status, problem) = open_cart(&running).await;
    assert_eq!((status.as_u16(), &problem["code"]), (503, &json!("wrong_clock")), "{problem}");
    assert!(problem["ahead_seconds"].as_f64().is_some_and(|ahead| ahead > 3_500.0), "{problem}");
    let (_, metrics) = operator(&running, "/metrics").await;
    let ahead_of = |line: &str| line.strip_prefix("daybook_clock_ahead_seconds ").and_then(|value| value.parse().ok());
    assert!(metrics.lines().filter_map(ahead_of).any(|ahead: f64| ahead > 3_500.0), "{metrics}");
    assert_eq!(operator(&running, "/livez").await.0, 200, "a restart would not help");

    ahead.store(0, Ordering::Relaxed);
    until("the process is ready", async || operator(&running, "/readyz").await.0 == 200).await;
    assert_eq!(open_cart(&running).await.0, 200);

    // The clock of the database was once ahead. Operators see it, and the shop goes on.
    let once_ahead = "UPDATE head SET recorded_at = clock_timestamp() + interval '1 hour'";
    database.connect().await.execute(once_ahead, &[]).await.expect("the clock was ahead");
    let frozen = async || check(&operator(&running, "/health").await.1, "recorded_time")["ok"] == false;
    until("operators see it", frozen).await;
    assert_eq!((operator(&running, "/readyz").await.0.as_u16(), open_cart(&running).await.0.as_u16()), (200, 200));
    running.stop().await.expect("it stops");
}
