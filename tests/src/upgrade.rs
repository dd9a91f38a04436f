//! An upgrade and its way back, under load: each role of the new program is started beside the old one before that stops.
//!
//! The load is whole orders, and a query that reads each of them. A client sends to the command-apis that are there; where it cannot
//! connect, it sends the same command with the same key again, as a gateway does. Any other answer than success is a failure.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use daybook_embedded::postgres::{Postgres, PostgresSettings};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    directory,
    engine::{Client, Engine, broker, command},
};

/// The order in which roles are changed. They are changed back in reverse.
const ORDER: [&str; 5] = ["projectors", "query-api", "relay", "reactors", "command-api"];
/// How many clients buy.
const CLIENTS: u128 = 4;
/// How long a client looks for a process that it can connect to.
const PATIENCE: Duration = Duration::from_secs(120);

/// The two programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// That of the previous commit.
    pub old: PathBuf,
    /// That of this commit.
    pub new: PathBuf,
}

/// What was done without a failure.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Orders that were placed and read back.
    pub orders: u64,
    /// Processes that were started.
    pub starts: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orders, starts } = self;
        write!(
            f,
            "{orders} orders were placed and read while {starts} processes started; nothing failed, nothing is parked"
        )
    }
}

/// The addresses of the processes that take requests, by role.
type Addresses = Arc<Mutex<BTreeMap<&'static str, Vec<String>>>>;

/// The shop: its database, its broker, and where its processes are.
struct Stage {
    directory: PathBuf,
    database_url: String,
    brokers: String,
    addresses: Addresses,
    starts: u64,
}

impl Stage {
    fn variables(&self) -> Vec<(&'static str, String)> {
        let command = self.addresses("command-api").first().cloned().unwrap_or_default();
        vec![
            ("DATABASE_URL", self.database_url.clone()),
            ("KAFKA_BROKERS", self.brokers.clone()),
            ("DAYBOOK_COMMAND_URL", command),
        ]
    }

    fn addresses(&self, role: &str) -> Vec<String> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).get(role).cloned().unwrap_or_default()
    }

    fn start(&mut self, program: &Path, role: &'static str) -> Engine {
        self.starts += 1;
        let log = self.directory.join(format!("{role}-{}.log", self.starts));
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let engine = Engine::of(program, &log, role, &variables);
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).entry(role).or_default().push(engine.url.clone());
        engine
    }

    /// Stops a process as an orchestrator does: it gets no new requests first.
    fn stop(&self, role: &str, engine: Engine) -> anyhow::Result<()> {
        if let Some(all) = self.addresses.lock().unwrap_or_else(PoisonError::into_inner).get_mut(role) {
            all.retain(|url| *url != engine.url);
        }
        engine.signal(Signal::SIGTERM);
        ensure!(engine.ended().success(), "{role} failed on its way out");
        Ok(())
    }

    fn cli(&self, program: &Path, args: &[&str]) -> anyhow::Result<String> {
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = command(program, args, &variables).output()?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{} {args:?}: {said}", program.display());
        Ok(said)
    }
}

/// Upgrades a shop under load, and undoes it.
///
/// # Errors
/// When a command or a query fails, a process does not start or stop, something is parked, or the audit finds something.
pub async fn run(programs: &Programs, side_by_side: Duration) -> anyhow::Result<Report> {
    let home = directory();
    let settings = PostgresSettings { data_dir: home.path().join("postgres"), durable: false, supervisor: None };
    let postgres = Postgres::start(&settings).await.context("the private PostgreSQL did not start")?;
    let broker = broker().await;
    let mut stage = Stage {
        directory: home.path().to_owned(),
        database_url: postgres.database_url().to_owned(),
        brokers: broker.bootstrap_servers().to_owned(),
        addresses: Addresses::default(),
        starts: 0,
    };
    let outcome = upgrade_and_back(programs, side_by_side, &mut stage).await;
    postgres.stop().await?;
    outcome
}

async fn upgrade_and_back(programs: &Programs, side_by_side: Duration, stage: &mut Stage) -> anyhow::Result<Report> {
    let Programs { old, new } = programs;
    stage.cli(old, &["migrate"])?;
    let mut running: BTreeMap<&str, Engine> = BTreeMap::new();
    // The command-api comes first, since query-api names it.
    for role in ORDER.into_iter().rev() {
        running.insert(role, stage.start(old, role));
    }
    let load = Load::begin(&stage.addresses);
    tokio::time::sleep(side_by_side).await;

    stage.cli(new, &["migrate"])?;
    // An old process that ends during an upgrade comes back.
    let killed = running.remove("reactors").context("the reactors run")?;
    stage.stop("reactors", killed)?;
    running.insert("reactors", stage.start(old, "reactors"));
    for (program, order) in [(new, ORDER.to_vec()), (old, ORDER.into_iter().rev().collect())] {
        for role in order {
            let beside = stage.start(program, role);
            tokio::time::sleep(side_by_side).await;
            if let Some(before) = running.insert(role, beside) {
                stage.stop(role, before)?;
            }
            load.check()?;
        }
        tokio::time::sleep(side_by_side).await;
    }
    let orders = load.end().await?;
    ensure!(orders > 0, "no order was placed");
    let parked = stage.cli(new, &["views", "parked", "--json"])?;
    ensure!(serde_json::from_str::<Vec<Value>>(parked.trim())?.is_empty(), "something is parked: {parked}");
    for program in [old, new] {
        stage.cli(program, &["verify", "--json"])?;
    }
    Ok(Report { orders, starts: stage.starts })
}

/// Clients that place orders and read them, until they are stopped or something fails.
struct Load {
    stop: Arc<AtomicBool>,
    orders: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<String>>>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn begin(addresses: &Addresses) -> Self {
        let mut load =
            Self { stop: Arc::default(), orders: Arc::default(), failure: Arc::default(), clients: Vec::new() };
        for number in 0..CLIENTS {
            let (stop, orders, failure) = (Arc::clone(&load.stop), Arc::clone(&load.orders), Arc::clone(&load.failure));
            let buyer = Buyer { number, addresses: Arc::clone(addresses), client: Client::default() };
            load.clients.push(tokio::spawn(async move {
                let bought = buyer.buy(&stop, &orders).await;
                if let Err(error) = bought {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{error:#}"));
                }
            }));
        }
        load
    }

    fn check(&self) -> anyhow::Result<()> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => anyhow::bail!("a request failed: {failure}"),
            None => Ok(()),
        }
    }

    async fn end(self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.check()?;
        let (failure, orders) = (Arc::clone(&self.failure), Arc::clone(&self.orders));
        for client in self.clients {
            client.await?;
        }
        match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(failure) => anyhow::bail!("a request failed: {failure}"),
            None => Ok(orders.load(Ordering::Relaxed)),
        }
    }
}

/// A client of the shop.
struct Buyer {
    number: u128,
    addresses: Addresses,
    client: Client,
}

impl Buyer {
    async fn buy(&self, stop: &AtomicBool, orders: &AtomicU64) -> anyhow::Result<()> {
        let sku = format!("sku-{}", self.number);
        let product = json!({ "product_id": uuid::Builder::from_random_bytes((self.number + 1).to_be_bytes()).into_uuid(), "name": &sku,
                              "slug": &sku, "variants": [{ "sku": &sku }], "publish": true });
        self.command("CreateProduct", &product).await?;
        self.command("SetPrice", &json!({ "sku": &sku, "price": { "minor_units": 199, "currency": "EUR" } })).await?;
        self.command("ReceiveStock", &json!({ "sku": &sku, "quantity": 1_000_000 })).await?;
        let mut number = 0_u128;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let id = |kind: u128| {
                uuid::Builder::from_random_bytes(((kind << 120) | (self.number << 64) | number).to_be_bytes())
                    .into_uuid()
            };
            let (cart, order) = (id(1), id(2));
            self.command("OpenCart", &json!({ "cart_id": cart, "currency": "EUR" })).await?;
            self.command("AddLine", &json!({ "cart_id": cart, "sku": &sku, "quantity": 1 })).await?;
            let placed = self.command("PlaceOrder", &json!({ "cart_id": cart, "order_id": order })).await?;
            let position = &placed["position"];
            let query =
                json!({ "query": format!("{{ order(id: \"{order}\", minPosition: {position}) {{ phase }} }}") });
            let answer = self.send("query-api", "/admin/graphql", Uuid::nil(), &query).await?;
            ensure!(!answer["data"]["order"].is_null(), "the order is not shown: {answer}");
            orders.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn command(&self, name: &str, body: &Value) -> anyhow::Result<Value> {
        #[expect(clippy::disallowed_methods, reason = "a client chooses its keys by chance")]
        let key = Uuid::new_v4();
        self.send("command-api", &format!("/commands/{name}"), key, body).await.with_context(|| name.to_owned())
    }

    /// Sends a request to a process of a role, and to another one where it cannot connect.
    async fn send(&self, role: &str, path: &str, key: Uuid, body: &Value) -> anyhow::Result<Value> {
        let begun = Instant::now();
        for try_nr in 0.. {
            let url = {
                let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
                let all = addresses.get(role).map_or(&[][..], Vec::as_slice);
                all.get((try_nr + usize::try_from(self.number)?) % all.len().max(1)).cloned()
            };
            let sent = match url {
                Some(url) => self.client.send("POST", &format!("{url}{path}"), key, body).await,
                None => None,
            };
            match sent {
                Some((200, answer)) => return Ok(answer),
                Some((status, answer)) => anyhow::bail!("{role} answers {status}: {answer}"),
                None => ensure!(begun.elapsed() < PATIENCE, "no process of {role} can be connected to"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Value::Null)
    }
}
