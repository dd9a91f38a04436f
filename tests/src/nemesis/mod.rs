//! The nemesis: a black-box run of the engine in separate processes, under load. Meanwhile processes are killed and suspended, networks
//! are cut, and disks are filled. Afterwards checks test every guarantee.
//!
//! [`cluster`] runs the processes, and [`proxy`] the network between them. [`rebuilds`] is an operator who rebuilds views, [`imports`] one
//! who imports files. [`load`] runs the clients, which record their [`history`]. [`faults`] injects the faults. [`check`] holds the checks,
//! which begin when the reactors have come to [`rest`].
//!
//! The seed decides which faults are injected, and in which order. The machine decides how the processes interleave. So the same seed
//! makes the same attempt, and not the same execution.

pub mod book;
pub mod broker;
pub mod check;
pub mod client;
pub mod cluster;
pub mod database;
pub mod disk;
pub mod faults;
pub mod history;
pub mod imports;
pub mod load;
pub mod process;
pub mod proxy;
pub mod random;
pub mod rebuilds;
pub mod report;
pub mod rest;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;
use tokio::task::JoinSet;

use self::{
    book::Book,
    check::Check,
    client::Client,
    cluster::{Cluster, Parts},
    disk::Storage,
    faults::{Fault, wait},
    history::{Call, History, Read},
    imports::{Imported, Imports},
    load::{Shop, Trader},
    random::Random,
    rebuilds::Rebuilds,
    report::{Commands, Injected, Report},
    rest::Rest,
};

/// The actor in tokens and in the book.
pub const ACTOR: &str = "nemesis";
/// How many buyers and staff there are, and how many readers.
const TRADERS: usize = 9;
const READERS: usize = 2;
/// How long the cluster may take to recover. Only an engine that hangs takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// The least number of acknowledged commands between two faults, so that a slow machine checks as much.
const BETWEEN_FAULTS: u64 = 40;

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of all random choices.
    pub seed: u64,
    /// For how long faults are injected at least. Every fault is injected at least once.
    pub time: Duration,
    /// The kind of broker.
    pub broker: broker::Kind,
    /// Whether the book can have a disk that can be filled.
    pub storage: Storage,
    /// The faults, by parts of their names. All faults if empty.
    pub only: Vec<String>,
    /// The binary of the engine.
    pub binary: PathBuf,
    /// Whether to keep data, logs and history even without a violation.
    pub keep: bool,
    /// The directory for data and logs.
    pub directory: PathBuf,
}

/// Runs the nemesis.
///
/// # Errors
/// When the run itself fails. Violations by the engine are in the report.
pub async fn run(plan: &Plan) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let mut random = Random::new(plan.seed);
    let is_foreign = matches!(plan.broker, broker::Kind::Foreign(_));
    // An external broker may hold the topics of other runs.
    let prefix = if is_foreign { format!("nemesis-{}", client::now().timestamp_millis()) } else { ACTOR.to_owned() };
    let parts = Parts {
        directory: plan.directory.clone(),
        binary: plan.binary.clone(),
        broker: plan.broker.clone(),
        prefix,
        storage: plan.storage.clone(),
    };
    let mut cluster = Cluster::start(parts).await?;
    let history = Arc::new(History::default());
    let client = Client::new(cluster.apis(), cluster.queries(), cluster.keys()?, Arc::clone(&history));
    let shop = Shop::open(client, &mut random.fork()).await?;
    let mut clients = JoinSet::new();
    for nr in 0..TRADERS {
        let who = match nr {
            0 => Trader::First,
            1..6 => Trader::ByCommands,
            _ => Trader::ByMutations,
        };
        clients.spawn(shop.clone().trade(random.fork(), who));
    }
    for _ in 0..READERS {
        clients.spawn(shop.clone().look(random.fork()));
    }
    // Otherwise a slow start would be attributed to the first fault.
    anyhow::ensure!(recover(&mut cluster, &shop, &mut random.fork()).await?, "the cluster did not become ready");
    let rebuilds = Rebuilds::begin(&cluster, random.fork()).await?;
    let imports = Imports::begin(&cluster, random.fork())?;
    let (injected, mut healed) = torment(plan, &mut cluster, &shop, &mut random, begin).await?;
    let (rebuilds, imported) = (rebuilds.end().await?, imports.end().await?);
    shop.close();
    while let Some(ended) = clients.join_next().await {
        ended.context("a client panicked")?;
    }
    let ended = client::now();
    // What expires ends before the views are compared, and the views must show the last event.
    rest::reached(&mut cluster).await?;
    let whole = recover(&mut cluster, &shop, &mut random).await?;
    healed.holds(whole, || "the cluster did not recover after the last fault".to_owned());
    let Rest { book, timers, unrest } = rest::reached(&mut cluster).await?;
    healed.holds(unrest.is_none(), || format!("the reactors did not come to rest: {}", unrest.unwrap_or_default()));
    let (calls, reads) = history.taken();
    let mut checks = vec![healed.done(), rebuilds.done()];
    let Imported { outcomes, checks: of_imports, counts: imports } = imported;
    let sent: Vec<Call> = calls.iter().cloned().chain(check::imports::calls(&book, &outcomes)).collect();
    checks.extend(check::all(&book, &sent, &reads));
    checks.extend(check::reactions::checks(&book, &timers, ended));
    checks.extend(of_imports);
    checks.extend(check::imports::checks(&book, &outcomes));
    checks.extend(wire(&cluster, &book).await?);
    checks.extend(verify(&cluster).await?);
    let report = Report {
        seed: plan.seed,
        took: begin.elapsed(),
        injected,
        checks,
        commands: count(&book, &calls, &reads),
        imports,
        ended_by_themselves: std::mem::take(&mut cluster.ended_by_themselves),
        logs: plan.directory.clone(),
    };
    if plan.keep || report.violations() > 0 {
        keep(plan, &cluster, &calls, &reads)?;
    } else if is_foreign {
        // The topics are deleted from an external broker.
        faults::delete_topics(&cluster).await?;
    }
    cluster.stop().await?;
    Ok(report)
}

/// Writes the history beside the logs.
fn keep(plan: &Plan, cluster: &Cluster, calls: &[Call], reads: &[Read]) -> anyhow::Result<()> {
    std::fs::write(plan.directory.join("calls.json"), serde_json::to_vec(calls)?)?;
    std::fs::write(plan.directory.join("reads.json"), serde_json::to_vec(reads)?)?;
    cluster.keep()
}

/// Injects faults in rounds. Each round has every fault once, in another order.
async fn torment(
    plan: &Plan,
    cluster: &mut Cluster,
    shop: &Shop,
    random: &mut Random,
    begin: Instant,
) -> anyhow::Result<(Vec<Injected>, Check)> {
    let mut healed = Check::new("the cluster is whole again after every fault");
    // The number of polls for recovery must not change the next random choices.
    let mut probes = random.fork();
    let mut injected = Vec::new();
    let long = plan.time > Duration::from_secs(180);
    let mut round: Vec<Fault> = Vec::new();
    let mut rounds = 0;
    while rounds == 0 || !round.is_empty() && rounds == 1 || begin.elapsed() < plan.time {
        if round.is_empty() {
            round = Fault::all(cluster.broker());
            round.retain(|fault| plan.only.is_empty() || plan.only.iter().any(|name| fault.name().contains(name)));
            anyhow::ensure!(!round.is_empty(), "no fault has such a name");
            random.shuffle(&mut round);
            rounds += 1;
        }
        let Some(fault) = round.pop() else { continue };
        let at = begin.elapsed();
        eprintln!("{:7.1} s  {} …", at.as_secs_f64(), fault.name());
        let (harmless, what) = fault.inject(cluster, shop, &mut random.fork(), long).await?;
        let whole = recover(cluster, shop, &mut probes).await?;
        let recovery = whole.then(|| harmless.elapsed());
        if !whole {
            // Its state is shown now, before it changes.
            for command in [["relay", "status"], ["views", "list"]] {
                eprintln!("{}", cluster.run(&command).await?.1);
            }
        }
        healed.holds(whole, || format!("{} at {at:?} ({what}): not recovered after {PATIENCE:?}", fault.name()));
        eprintln!("{:7.1} s  {}: {what}; recovered in {recovery:?}", begin.elapsed().as_secs_f64(), fault.name());
        injected.push(Injected { fault, at, what, recovery });
        wait(cluster, Duration::from_millis(random.between(100, if long { 3_000 } else { 500 }))).await?;
        let trades = !whole || trade_goes_on(cluster, shop).await?;
        healed.holds(trades, || format!("after {} the shop does not trade", fault.name()));
    }
    Ok((injected, healed))
}

/// Waits until some more commands are acknowledged. Returns whether they were.
async fn trade_goes_on(cluster: &mut Cluster, shop: &Shop) -> anyhow::Result<bool> {
    let (begin, enough) = (Instant::now(), shop.acknowledged() + BETWEEN_FAULTS);
    while begin.elapsed() < PATIENCE {
        if shop.acknowledged() >= enough {
            return Ok(true);
        }
        wait(cluster, Duration::from_millis(20)).await?;
    }
    Ok(false)
}

/// Waits until a command is acknowledged and its effect is shown. Returns whether it was.
async fn recover(cluster: &mut Cluster, shop: &Shop, random: &mut Random) -> anyhow::Result<bool> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let mut probe = std::pin::pin!(shop.is_whole(random));
        let whole = loop {
            cluster.tend().await?;
            tokio::select! {
                whole = &mut probe => break whole,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        };
        if whole {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn wire(cluster: &Cluster, book: &Book) -> anyhow::Result<Vec<Check>> {
    let (kafka, topics) = (cluster.kafka().to_owned(), cluster.topics());
    let reading = tokio::task::spawn_blocking(move || check::wire::read(&kafka, &topics, broker::PARTITIONS));
    let keeps_all = *cluster.broker() != broker::Kind::Embedded;
    let messages = reading.await??;
    let head = cluster.sql().await?.query_one("SELECT position FROM head", &[]).await?.try_get(0)?;
    Ok(check::wire::checks(book, &messages, keeps_all, head))
}

/// Runs `daybook verify`, and converts each of its checks.
async fn verify(cluster: &Cluster) -> anyhow::Result<Vec<Check>> {
    let (_, printed) = cluster.run(&["verify", "--json"]).await?;
    let verdict: Value =
        serde_json::from_str(&printed).with_context(|| format!("daybook verify printed: {printed}"))?;
    let checks = verdict["checks"].as_array().context("a verdict has checks")?;
    let number = |check: &Value, name: &str| check[name].as_u64().unwrap_or(0);
    let converted = |check: &Value| Check {
        name: format!("verify: {}", check["name"].as_str().unwrap_or_default()),
        checked: number(check, "checked"),
        violations: number(check, "violations"),
        found: check["first"].as_str().map(str::to_owned).into_iter().collect(),
    };
    let mut ok = Check::new("daybook verify finds nothing");
    ok.holds(verdict["ok"] == true, || printed.clone());
    Ok(checks.iter().map(converted).chain([ok.done()]).collect())
}

fn count(book: &Book, calls: &[Call], reads: &[Read]) -> Commands {
    let acknowledged = calls.iter().filter(|call| call.acknowledged().is_some()).count();
    let refused = calls.iter().filter(|call| call.acknowledged().is_none() && call.refused().is_some());
    let late = refused.clone().filter(|call| book.commands.contains_key(&call.key)).count();
    let refused = refused.count();
    Commands {
        sent: calls.len(),
        acknowledged,
        refused,
        open: calls.len() - acknowledged - refused,
        late,
        reads: reads.len(),
    }
}
