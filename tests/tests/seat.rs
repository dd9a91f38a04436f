//! Two command-apis on one book, as processes: the one that holds the seat is stopped, suspended and killed. Meanwhile commands are sent to
//! the other one, and none of them fails.
#![allow(clippy::print_stdout, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use daybook_domain::Actor;
use daybook_edge::tokens::Keys;
use daybook_test_postgres::{TestDatabase, database};
use daybook_tests::{binary, engine::done, nemesis::client::now};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

const SECRET: &str = "a secret of two command-apis is long";
/// How long the engine may take. Only one that hangs takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A command-api.
struct Process {
    child: Child,
    _output: BufReader<ChildStdout>,
    url: String,
    /// The URL of its port for operators.
    operators: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Process {
    fn start(database: &TestDatabase) -> Self {
        let mut child = Command::new(binary())
            .args(["serve", "--roles", "command-api", "--listen", "127.0.0.1:0", "--kafka-brokers", "127.0.0.1:1"])
            .args(["--database-url", database.url(), "--secret", SECRET])
            .env("DAYBOOK_REQUEST_TIMEOUT", "180")
            .env_remove("DAYBOOK_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary can be run");
        let mut output = BufReader::new(child.stdout.take().expect("the output is piped"));
        let (mut line, mut operators) = (String::new(), String::new());
        let url = loop {
            line.clear();
            assert!(output.read_line(&mut line).expect("the output is text") > 0, "the process has ended");
            if let Some((_, url)) = line.trim().split_once("operators find the process on ") {
                url.clone_into(&mut operators);
            }
            if let Some((_, url)) = line.trim().split_once("daybook is ready on ") {
                break url.to_owned();
            }
        };
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { child, _output: output, url, operators, client }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits"));
        kill(pid, signal).expect("a child can be signalled");
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> (u16, Value) {
        let response = self.client.request(request).await.expect("the process answers");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn send(&self, name: &str, body: Value) -> (u16, Value) {
        let keys = Keys::new(SECRET.as_bytes()).expect("the secret is long enough");
        let token = keys.sign(&Actor::Admin("test".into()), now(), chrono::TimeDelta::hours(1)).expect("a token");
        let request = Request::post(format!("{}/commands/{name}", self.url))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .expect("a request");
        self.ask(request).await
    }

    /// The words of `/health` on the seat. It is refreshed every few seconds.
    async fn seat(&self) -> String {
        let begin = Instant::now();
        loop {
            let request = Request::get(format!("{}/health", self.operators)).body(Full::default()).expect("a request");
            let (_, report) = self.ask(request).await;
            let details = report["details"].as_array().cloned().unwrap_or_default();
            if let Some(seat) = details.iter().find(|check| check["name"] == "seat") {
                return seat["detail"].as_str().unwrap_or_default().to_owned();
            }
            assert!(begin.elapsed() < PATIENCE, "the seat is not checked: {report}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends commands until this process decides them. Each one is accepted.
    async fn decides_after(&self, fault: &str) {
        let begin = Instant::now();
        while self.seat().await != "this process decides commands" {
            assert!(begin.elapsed() < PATIENCE, "the seat does not move after {fault}");
            let (status, answer) = self.send("ReceiveStock", goods()).await;
            assert_eq!(status, 200, "after {fault}: {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("{fault}: the seat has moved after {:?}", begin.elapsed());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failed test leaves no process behind. The kill fails if the process has ended already, which is fine.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn goods() -> Value {
    json!({ "sku": "oat", "quantity": 1 })
}

async fn two(database: &TestDatabase) -> (Process, Process) {
    done(&["migrate"], &[("DATABASE_URL", database.url())]);
    let (holder, other) = (Process::start(database), Process::start(database));
    assert_eq!(holder.seat().await, "this process decides commands");
    let decides = holder.url.trim_start_matches("http://");
    assert_eq!(other.seat().await, format!("{decides} decides commands"));
    let product = json!({ "product_id": uuid::Builder::from_random_bytes(1_u128.to_be_bytes()).into_uuid(), "name": "Oat", "variants": [{ "sku": "oat" }] });
    let (status, answer) = other.send("CreateProduct", product).await;
    assert_eq!(status, 200, "{answer}");
    (holder, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seat_moves_when_its_holder_is_asked_to_stop() {
    let database = database().await;
    let (mut holder, other) = two(&database).await;
    holder.signal(Signal::SIGTERM);
    other.decides_after("SIGTERM").await;
    assert!(holder.child.wait().expect("a child can be waited for").success(), "it stops cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seat_moves_when_its_holder_is_killed() {
    let database = database().await;
    let (holder, other) = two(&database).await;
    holder.signal(Signal::SIGKILL);
    other.decides_after("SIGKILL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seat_moves_when_its_holder_is_suspended_which_follows_when_it_continues() {
    let database = database().await;
    let (holder, other) = two(&database).await;
    holder.signal(Signal::SIGSTOP);
    other.decides_after("SIGSTOP").await;
    holder.signal(Signal::SIGCONT);
    let begin = Instant::now();
    let decides = format!("{} decides commands", other.url.trim_start_matches("http://"));
    while holder.seat().await != decides {
        assert!(begin.elapsed() < PATIENCE, "the process does not notice that it has lost the seat");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (status, answer) = holder.send("ReceiveStock", goods()).await;
    assert_eq!(status, 200, "{answer}");
}
