//! The health of a process by its roles: `/livez`, `/readyz`, `/health` and `/metrics` of the port for operators. `tests/tests/life` has
//! the journeys.
#![allow(missing_docs, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use daybook_event_store::{Daybook, StoreSettings};
use daybook_event_stream::broker::{Broker, Topic};
use daybook_test_postgres::database;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

/// How long a process may take to notice a change.
const PATIENCE: Duration = Duration::from_secs(180);

/// A process with some roles. It ends with the test.
struct Served {
    process: Child,
    /// The URL of its port for operators.
    url: String,
}

impl Served {
    fn start(roles: &str, database_url: &str, brokers: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["serve", "--listen", "127.0.0.1:0", "--roles", roles])
            .args(["--database-url", database_url, "--kafka-brokers", brokers])
            .env("DAYBOOK_SECRET", "0123456789abcdef0123456789abcdef")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(process.stdout.take().expect("the output is piped")).lines();
        let operators = lines.next().expect("the process says where operators find it").expect("a line");
        let (_, url) = operators.split_once(" on ").expect("the line has the URL");
        let url = url.to_owned();
        // The pipe stays open, since the process prints more.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let response = client.get(format!("{}{path}", self.url).parse().expect("an address")).await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("a text"))
    }

    /// The status of `/readyz`, and each check with its result.
    async fn readiness(&self) -> (u16, Vec<(String, bool)>) {
        let (status, body) = self.get("/readyz").await;
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let checks = answer["checks"].as_array().expect("a list");
        let named = |check: &Value| {
            let name = check["name"].as_str().expect("a name").to_owned();
            (name, check["ok"].as_bool().expect("a boolean"))
        };
        assert_eq!(answer["ready"], status == 200, "{body}");
        (status, checks.iter().map(named).collect())
    }

    /// Waits until a check that decides nothing has a result.
    async fn shows(&self, name: &str, ok: bool) {
        let begun = Instant::now();
        loop {
            let (_, body) = self.get("/health").await;
            let report: Value = serde_json::from_str(&body).expect("JSON");
            let details = report["details"].as_array().expect("a list");
            if details.iter().any(|check| check["name"] == name && check["ok"] == ok) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} is not {ok}: {body}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn becomes(&self, expected: (u16, Vec<(String, bool)>)) {
        let begun = Instant::now();
        loop {
            let found = self.readiness().await;
            if found == expected {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{found:?} is not {expected:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().expect("the process runs");
        self.process.wait().expect("the process ends");
    }
}

fn checks(all: &[(&str, bool)]) -> Vec<(String, bool)> {
    all.iter().map(|(name, ok)| ((*name).to_owned(), *ok)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_ready_when_it_can_do_the_part_of_its_roles() {
    let database = database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 2 };
    let book = Daybook::open(&settings).expect("the URL is valid");
    daybook_operations::migrate(&book).await.expect("the tables can be created");
    let topics = daybook_projectors::topology("daybook", 4).topics().into_iter();
    let broker = Broker::start(topics.map(|name| Topic { name, partitions: 4 }).collect()).await.expect("a broker");
    let brokers = broker.bootstrap_servers().to_owned();
    let stream = Served::start("relay,projectors,reactors", database.url(), &brokers);
    let commands = Served::start("command-api", database.url(), &brokers);
    let joined = || checks(&[("relay", true), ("projectors", true), ("reactors", true), ("schema", true)]);
    stream.becomes((200, joined())).await;
    commands.becomes((200, checks(&[("commands", true), ("clock", true), ("schema", true)]))).await;
    stream.shows("broker", true).await;

    let (status, metrics) = commands.get("/metrics").await;
    assert_eq!(status, 200, "{metrics}");
    let (_, metrics) = stream.get("/metrics").await;
    for line in metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split([' ', '{']).next().unwrap_or_default();
        let described = |what: &str| metrics.contains(&format!("# {what} {name} "));
        assert!(described("HELP") && described("TYPE"), "{line} is not described in {metrics}");
    }

    // The broker stops. That says nothing about these processes: all stay ready, and operators see it.
    drop(broker);
    stream.shows("broker", false).await;
    assert_eq!(stream.readiness().await, (200, joined()));
    assert_eq!(commands.readiness().await.0, 200);
    assert_eq!((stream.get("/livez").await.0, commands.get("/livez").await.0), (200, 200));

    // A book that was restored from before a migration: a process that had migrated it is not ready.
    let client = database.connect().await;
    client.execute("DELETE FROM daybook_stream_migrations", &[]).await.expect("the migrations are deleted");
    commands.becomes((503, checks(&[("commands", true), ("clock", true), ("schema", false)]))).await;
}
