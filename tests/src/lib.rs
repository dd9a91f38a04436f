//! A shop that runs as a user runs it, and its HTTP client, for the journeys.
//!
//! The journeys use only the binary of the engine, its HTTP and GraphQL APIs, and Kafka.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests")]

pub mod engine;
pub mod idle_sockets;
pub mod nemesis;
pub mod simulation;
pub mod socket;
pub mod upgrade;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
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
use tempfile::TempDir;
use uuid::Uuid;

/// How long a shop may take to be ready, and to stop. Only a shop that hangs takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The binary that `cargo build` has put beside the tests and binaries of this crate.
#[must_use]
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    let profile = profile.expect("tests are in target/<profile>/deps");
    let binary = profile.join("daybook");
    assert!(binary.exists(), "{} is missing; run `cargo build --workspace` first", binary.display());
    binary
}

/// A directory for a shop.
#[must_use]
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("daybook-test-").tempdir().expect("a directory can be made")
}

/// The processes whose working directory or arguments name a directory, by `/proc`. None on systems without `/proc`.
#[must_use]
pub fn processes_in(directory: &Path) -> Vec<String> {
    let name = directory.to_string_lossy().into_owned();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| {
            let process = entry.ok()?.path();
            let command = String::from_utf8_lossy(&fs::read(process.join("cmdline")).ok()?).replace('\0', " ");
            let works_there = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
            (works_there || command.contains(&name)).then_some(command)
        })
        .collect()
}

/// A running `daybook up`.
pub struct Shop {
    child: Child,
    data: PathBuf,
    /// The contents of its `ready.json`.
    pub ready: Value,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer: its status, and its body as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, or null without one.
    pub body: Value,
}

impl Shop {
    /// Starts a shop in a directory and waits until it is ready.
    ///
    /// # Panics
    /// When the shop does not become ready.
    pub async fn up(directory: &Path) -> Self {
        Self::up_with(directory, "shop", &[]).await
    }

    /// Starts a shop with its data in a folder of a directory, and more flags.
    ///
    /// # Panics
    /// When the shop does not become ready.
    pub async fn up_with(directory: &Path, folder: &str, flags: &[&str]) -> Self {
        let data = directory.join(folder);
        if data.join("ready.json").exists() {
            // The file of a killed shop would be taken for that of this shop.
            fs::remove_file(data.join("ready.json")).expect("a file can be removed");
        }
        let log = File::options().create(true).append(true).open(directory.join("up.log")).expect("a log can be made");
        let child = Command::new(binary())
            .args(["up", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .args(flags)
            // On a busy machine the read models may need much longer than the default limit of five seconds.
            .env("DAYBOOK_CONSISTENCY_TIMEOUT", "170")
            .env("DAYBOOK_REQUEST_TIMEOUT", "180")
            .env_remove("DATABASE_URL")
            .env_remove("KAFKA_BROKERS")
            .stdout(log.try_clone().expect("a log can be shared"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary can be run");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut shop = Self { child, data, ready: Value::Null, client };
        let begin = Instant::now();
        while shop.ready.is_null() {
            assert!(begin.elapsed() < PATIENCE, "the shop is not ready: {}", log_of(directory));
            if let Some(status) = shop.child.try_wait().expect("a child can be asked") {
                panic!("the shop ended with {status}: {}", log_of(directory));
            }
            if let Ok(text) = fs::read_to_string(shop.data.join("ready.json")) {
                shop.ready = serde_json::from_str(&text).expect("ready.json is JSON");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        shop
    }

    /// A field of `ready.json`.
    ///
    /// # Panics
    /// When `ready.json` does not have it.
    #[must_use]
    pub fn ready(&self, field: &str) -> &str {
        self.ready[field].as_str().expect("ready.json has the field")
    }

    /// Stops the shop as Ctrl-C does, and returns its exit status.
    ///
    /// # Panics
    /// When the shop does not end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGINT);
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "the shop does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the shop with SIGKILL, as a power cut would.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("a killed child ends");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid fits");
        kill(Pid::from_raw(pid), signal).expect("a child can be signalled");
    }

    /// Runs another command of the binary beside it, and returns its exit code and what it printed.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn cli(&self, args: &[&str]) -> (i32, String) {
        let data = self.data.to_str().expect("the path is text");
        let output = Command::new(binary())
            .args(args)
            .args(["--data", data])
            .env_remove("DATABASE_URL")
            .env_remove("KAFKA_BROKERS")
            .current_dir(self.data.parent().expect("the shop is in a directory"))
            .output()
            .expect("the binary can be run");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = output.status.code().unwrap_or(-1);
        if code != 0 {
            eprintln!("{args:?} said: {}", String::from_utf8_lossy(&output.stderr));
        }
        (code, printed)
    }

    /// Sends a request with a JSON body, if there is one.
    ///
    /// # Panics
    /// When the shop does not answer.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.ready("url")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("the request is well formed");
        let response = self.client.request(request).await.expect("the shop answers");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
        Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    /// Sends a command as the administrator.
    pub async fn command(&self, name: &str, body: &Value) -> Answer {
        self.command_as(self.ready("admin_token"), name, Uuid::nil(), body).await
    }

    /// Sends a command with a token and an idempotency key. A nil UUID means no key.
    pub async fn command_as(&self, token: &str, name: &str, key: Uuid, body: &Value) -> Answer {
        let (authorization, key_text) = (format!("Bearer {token}"), key.to_string());
        let mut headers = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
        if !key.is_nil() {
            headers.push(("idempotency-key", &key_text));
        }
        self.send("POST", &format!("/commands/{name}"), &headers, body.to_string()).await
    }

    /// Sends a GraphQL request as the administrator, or as a guest of the storefront without a token.
    pub async fn graphql(&self, path: &str, token: Option<&str>, query: &str, variables: &Value) -> Answer {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        if let Some(authorization) = &authorization {
            headers.push(("authorization", authorization));
        }
        self.send("POST", path, &headers, json!({ "query": query, "variables": variables }).to_string()).await
    }

    /// How many kilobytes of memory the shop uses.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn resident_kb(&self) -> std::io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kb.ok_or_else(|| std::io::Error::other("the system does not report the memory"))
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // A failed test must leave no shop behind. The kill fails if the shop has ended already, which is fine.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Puts a product on sale, with the SKU `oat`.
///
/// # Panics
/// When it is refused.
pub async fn sell(shop: &Shop) {
    let id = Uuid::from_u128(1);
    let product = json!({ "product_id": id, "name": "Oat milk", "variants": [{ "sku": "oat" }], "publish": true });
    let price = json!({ "sku": "oat", "price": { "minor_units": 199, "currency": "EUR" } });
    for (name, body) in [("CreateProduct", product), ("SetPrice", price)] {
        let answer = shop.command(name, &body).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
}

fn log_of(directory: &Path) -> String {
    fs::read_to_string(directory.join("up.log")).unwrap_or_default()
}
