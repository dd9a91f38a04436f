//! Processes of the engine, each with some roles, on a database and a broker of the test.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use daybook_domain::Actor;
use daybook_edge::tokens::Keys;
use daybook_event_stream::broker::Broker;
use daybook_operations::Topics;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::binary;

/// How long an expected change may take. Only what hangs takes longer.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// The secret that signs the tokens of the tests.
pub const SECRET: &str = "a secret of the tests of the database";

/// A broker with the topics of a shop.
///
/// # Panics
/// When it does not start.
pub async fn broker() -> Broker {
    let topics = Topics { topic_prefix: "daybook".to_owned(), partitions: 2, replication: 1, fetch_wait_ms: None };
    Broker::start(topics.embedded()).await.expect("the broker starts")
}

/// A command of a program, for a shop with the topics of [`broker`].
#[must_use]
pub fn command(program: &Path, args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .env_remove("DATABASE_URL")
        .env_remove("KAFKA_BROKERS")
        .env("DAYBOOK_PARTITIONS", "2")
        .env("DAYBOOK_FETCH_WAIT_MS", "20")
        .env("DAYBOOK_CONSISTENCY_TIMEOUT", "170")
        .env("DAYBOOK_REQUEST_TIMEOUT", "180")
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

/// Runs a command of the binary to its end.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn run(args: &[&str], variables: &[(&str, &str)]) -> Output {
    command(&binary(), args, variables).output().expect("the binary runs")
}

/// Runs a command that succeeds.
///
/// # Panics
/// When it fails.
pub fn done(args: &[&str], variables: &[(&str, &str)]) {
    let output = run(args, variables);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a command that fails, and returns what it said.
///
/// # Panics
/// When it succeeds.
#[must_use]
pub fn refused(args: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(args, variables);
    assert!(!output.status.success(), "{args:?} succeeded");
    String::from_utf8(output.stderr).expect("the output is text")
}

/// A running `daybook serve`. It is killed when it is dropped.
pub struct Engine {
    process: Child,
    /// The address of its HTTP server.
    pub url: String,
}

impl Engine {
    /// Starts roles, and waits until they are served.
    ///
    /// # Panics
    /// When they are not.
    #[must_use]
    pub fn start(directory: &Path, roles: &str, variables: &[(&str, &str)]) -> Self {
        Self::of(&binary(), &directory.join(format!("{roles}.log")), roles, variables)
    }

    /// Starts roles of a program, and waits until they are served.
    ///
    /// # Panics
    /// When they are not.
    #[must_use]
    pub fn of(program: &Path, log: &Path, roles: &str, variables: &[(&str, &str)]) -> Self {
        let file = File::create(log).expect("a log can be made");
        let process = command(program, &["serve", "--listen", "127.0.0.1:0", "--roles", roles], variables)
            .env("DAYBOOK_SECRET", SECRET)
            .stdout(file.try_clone().expect("a log can be shared"))
            .stderr(file)
            .spawn()
            .expect("the binary runs");
        let mut engine = Self { process, url: String::new() };
        let begun = Instant::now();
        loop {
            let said = fs::read_to_string(log).expect("a log can be read");
            if let Some(line) = said.lines().find(|line| line.starts_with("daybook is ready on ")) {
                line.rsplit(' ').next().unwrap_or_default().clone_into(&mut engine.url);
                return engine;
            }
            let ended = engine.process.try_wait().expect("a child can be asked");
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{roles} did not start: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a request with the token of an administrator. Returns the status and the body.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let sent = Client::default().send(method, &format!("{}{path}", self.url), Uuid::nil(), body).await;
        sent.expect("an answer")
    }

    /// Sends a command that is accepted, and returns its position.
    ///
    /// # Panics
    /// When it is not.
    pub async fn accepted(&self, name: &str, body: &Value) -> i64 {
        let (status, answer) = self.send("POST", &format!("/commands/{name}"), body).await;
        assert_eq!(status, 200, "{name}: {answer}");
        answer["position"].as_i64().expect("a receipt has a position")
    }

    /// The data of a query of the back-office. `POSITION` in it stands for a position that it sees.
    ///
    /// # Panics
    /// When it has errors.
    pub async fn query(&self, query: &str, position: i64) -> Value {
        let body = json!({ "query": query.replace("POSITION", &position.to_string()) });
        let (status, answer) = self.send("POST", "/admin/graphql", &body).await;
        assert_eq!((status, &answer["errors"]), (200, &Value::Null), "{query}: {answer}");
        answer["data"].clone()
    }

    /// Sends the process a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        let process = i32::try_from(self.process.id()).expect("a process id fits");
        kill(Pid::from_raw(process), signal).expect("the process runs");
    }
}

impl Engine {
    /// Waits until the process has ended.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn ended(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the process does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// An HTTP client that keeps its connections.
#[derive(Clone)]
pub struct Client(legacy::Client<HttpConnector, Full<Bytes>>);

impl Default for Client {
    fn default() -> Self {
        Self(legacy::Client::builder(TokioExecutor::new()).build_http())
    }
}

impl Client {
    /// Sends a request with the token of an administrator, and with an idempotency key unless that is nil. Returns the status and
    /// the body; nothing when the server cannot be reached, or hangs up.
    ///
    /// # Panics
    /// When the request is malformed.
    pub async fn send(&self, method: &str, url: &str, key: Uuid, body: &Value) -> Option<(u16, Value)> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {}", admin()))
            .header("content-type", "application/json");
        if !key.is_nil() {
            request = request.header("idempotency-key", key.to_string());
        }
        let request = request.body(Full::new(Bytes::from(body.to_string()))).expect("the request is well formed");
        let response = self.0.request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It fails if the process has ended already, which is fine.
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// A token of an administrator, for an hour.
///
/// # Panics
/// Never, since the secret is good.
#[must_use]
pub fn admin() -> String {
    let (actor, until) = (Actor::Admin("ada".to_owned()), TimeDelta::hours(1));
    let keys = Keys::new(SECRET.as_bytes()).expect("the secret is good");
    keys.sign(&actor, now(), until).expect("a token")
}

#[expect(clippy::disallowed_methods, reason = "a token of a test is valid now")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Waits until something is so.
///
/// # Panics
/// When it does not become so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A product with one variant, by number.
#[must_use]
pub fn product(number: u128) -> Value {
    let id = uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid();
    json!({ "product_id": id, "name": format!("Product {number}"), "variants": [{ "sku": format!("sku-{number}") }] })
}
