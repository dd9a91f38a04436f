//! Processes of `daybook serve`, with a PostgreSQL and a broker of the test.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use daybook_domain::Actor;
use daybook_edge::tokens::Keys;
use daybook_event_stream::broker::Broker;
use daybook_test_postgres::TestDatabase;
use daybook_tests::{
    binary,
    engine::done,
    nemesis::{
        broker::topics,
        proxy::{Proxy, Speech, Target},
    },
};
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

/// How long a test waits for what must happen. On a busy machine it takes long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What the processes of a test share: a database, and a broker behind a network that can be disturbed.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    /// The network between the processes and the broker.
    pub(crate) broker: Proxy,
    _broker: Broker,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = daybook_test_postgres::database().await;
        done(&["migrate"], &[("DATABASE_URL", database.url())]);
        let own = Broker::start(topics("daybook").embedded()).await.expect("a broker");
        let port = own.bootstrap_servers().parse().expect("the broker has an address");
        let broker = Proxy::open(Target::Port(port), Speech::Kafka).await.expect("a port is free");
        Self { database, broker, _broker: own }
    }

    /// Starts a process with some roles, and more flags.
    pub(crate) fn serve(&self, roles: &str, flags: &[&str]) -> Served {
        Served::start(self.database.url(), &self.broker.address().to_string(), roles, flags)
    }

    /// Starts a process with some roles, and returns when it is ready.
    pub(crate) async fn ready(&self, roles: &str, flags: &[&str]) -> Served {
        let served = self.serve(roles, flags);
        served.until("the process is ready", async |served| served.readiness().await.0 == 200).await;
        served
    }
}

/// A running process. It is killed when this is dropped.
pub(crate) struct Served {
    child: Child,
    /// The URL of its public port. It is printed when the process is ready, so a test that needs it earlier asks the system for it.
    printed: mpsc::Receiver<String>,
    /// The URL of its port for operators.
    pub(crate) operators: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Served {
    pub(crate) fn start(database_url: &str, brokers: &str, roles: &str, flags: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--roles", roles, "--database-url", database_url])
            .args(["--kafka-brokers", brokers, "--fetch-wait-ms", "20"])
            .args(["--consistency-timeout", "100", "--request-timeout", "120"])
            .args(flags)
            .env("DAYBOOK_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log(roles))
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("the output is piped")).lines();
        let line = lines.next().expect("a process says where operators find it").expect("a line");
        let operators = line.split_once(" on ").expect("the line has the URL").1.to_owned();
        let (print, printed) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("daybook is ready on ") {
                    print.send(url.to_owned()).ok();
                }
            }
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { child, printed, operators, client }
    }

    /// The URL of its public port, once it is ready.
    pub(crate) fn url(&self) -> String {
        self.printed.recv_timeout(PATIENCE).expect("the process says that it is ready")
    }

    /// Asks for a URL. The status is 0 when nobody answers.
    pub(crate) async fn get(&self, url: &str) -> (u16, String) {
        self.send(Request::get(url).body(Full::default()).expect("the request is valid")).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> (u16, String) {
        let Ok(response) = self.client.request(request).await else { return (0, String::new()) };
        let status = response.status().as_u16();
        let Ok(body) = response.into_body().collect().await else { return (0, String::new()) };
        (status, String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }

    /// The answer of a path on its port for operators.
    pub(crate) async fn operator(&self, path: &str) -> (u16, String) {
        self.get(&format!("{}{path}", self.operators)).await
    }

    /// The status of `/readyz`, and each check that decides, with its result.
    pub(crate) async fn readiness(&self) -> (u16, Vec<(String, bool)>) {
        let (status, body) = self.operator("/readyz").await;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        let checks = answer["checks"].as_array().cloned().unwrap_or_default();
        let named = |check: &Value| {
            (check["name"].as_str().unwrap_or_default().to_owned(), check["ok"].as_bool().unwrap_or_default())
        };
        (status, checks.iter().map(named).collect())
    }

    /// A check that decides nothing, from `/health`.
    pub(crate) async fn detail(&self, name: &str) -> Option<bool> {
        let (_, body) = self.operator("/health").await;
        let report: Value = serde_json::from_str(&body).ok()?;
        let details = report["details"].as_array()?;
        details.iter().find(|check| check["name"] == name)?["ok"].as_bool()
    }

    /// Waits until a condition holds.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self).await {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.operator("/health").await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits"));
        kill(pid, signal).expect("a child can be signalled");
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the process does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A failed test leaves no process behind. The kill fails if the process has ended already, which is fine.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Where a process logs: nowhere, or into a file of the folder that `DAYBOOK_TEST_LOGS` names.
fn log(roles: &str) -> Stdio {
    let Some(folder) = std::env::var_os("DAYBOOK_TEST_LOGS").map(PathBuf::from) else { return Stdio::null() };
    let file = std::fs::File::options().create(true).append(true).open(folder.join(format!("{roles}.log")));
    file.expect("a log can be made").into()
}

/// A token of an administrator.
#[expect(clippy::disallowed_methods, reason = "a process checks tokens by the clock of the machine")]
pub(crate) fn token() -> String {
    let keys = Keys::new(SECRET.as_bytes()).expect("the secret is long enough");
    let actor = Actor::Admin("test".to_owned());
    format!("Bearer {}", keys.sign(&actor, Utc::now(), TimeDelta::hours(1)).expect("a token"))
}

/// A request with a JSON body.
pub(crate) fn post(url: &str, path: &str, body: &Value) -> Request<Full<Bytes>> {
    let request = Request::post(format!("{url}{path}"))
        .header("content-type", "application/json")
        .header("authorization", token());
    request.body(Full::from(body.to_string())).expect("the request is valid")
}

/// A command that opens a new cart.
pub(crate) fn open_cart() -> Value {
    json!({ "cart_id": uuid::Builder::from_random_bytes(unique().to_be_bytes()).into_uuid(), "currency": "EUR" })
}

/// A mutation that opens a new cart, and reads it back.
pub(crate) fn cart_open() -> Value {
    let query = format!(
        "mutation {{ cartOpen(input: {{ cartId: \"{}\", currency: \"EUR\" }}) {{ cart {{ status }} userErrors {{ code }} }} }}",
        uuid::Builder::from_random_bytes(unique().to_be_bytes()).into_uuid()
    );
    json!({ "query": query })
}

/// A number that no other caller of this process gets.
fn unique() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    (0x018f_0000_0000_7000_8000_u128 << 48) | u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}
