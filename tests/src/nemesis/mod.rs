//! The nemesis: a black-box run against the engine in separate processes, under load, while it is killed, paused, cut off and denied
//! its disk; and afterwards the question whether every promise was kept.
//!
//! [`cluster`] runs the processes, [`proxy`] the network between them, [`rebuilds`] an operator who rebuilds views, [`imports`] somebody
//! who imports files, [`load`] the clients, whose [`history`] is the evidence; [`faults`] does the harm, by a seed; [`check`] is the judge. What a seed decides is what is done and in which order; how the
//! processes interleave is up to the machine, so the same seed makes the same attempt, not the same instant.

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
};

/// Who acts, in tokens and in the book.
pub const ACTOR: &str = "nemesis";
/// How many buyers and staff there are, and how many readers.
const TRADERS: usize = 9;
const READERS: usize = 2;
/// How long the cluster may take to be whole again. A machine that is busy is slow; an engine that hangs never recovers.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many commands are acknowledged between two faults at least, so that on a slow machine there is as much to check.
const BETWEEN_FAULTS: u64 = 40;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What decides everything.
    pub seed: u64,
    /// How long faults are injected at least. Every fault comes once at least.
    pub time: Duration,
    /// Which broker.
    pub broker: broker::Kind,
    /// Whether the book can be on a disk that can be full.
    pub storage: Storage,
    /// Which faults; all when empty.
    pub only: Vec<String>,
    /// The binary of the engine.
    pub binary: PathBuf,
    /// Whether to keep them and the history in any case.
    pub keep: bool,
    /// Where to keep data and logs.
    pub directory: PathBuf,
}

/// Runs it.
///
/// # Errors
/// When the run itself fails. What the engine does wrong is in the report.
pub async fn run(plan: &Plan) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let mut random = Random::new(plan.seed);
    let is_foreign = matches!(plan.broker, broker::Kind::Foreign(_));
    // A broker that is not ours may hold the topics of other runs.
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
    // What is not whole yet would be laid to the first fault.
    anyhow::ensure!(recover(&mut cluster, &shop, &mut random.fork()).await?, "the cluster never was whole");
    let rebuilds = Rebuilds::begin(&cluster, random.fork()).await?;
    let imports = Imports::begin(&cluster, random.fork())?;
    let (injected, mut healed) = torment(plan, &mut cluster, &shop, &mut random, begin).await?;
    let (rebuilds, imported) = (rebuilds.end().await?, imports.end().await?);
    shop.close();
    while let Some(ended) = clients.join_next().await {
        ended.context("a client panicked")?;
    }
    // The last word is on every view before anything is compared.
    let whole = recover(&mut cluster, &shop, &mut random).await?;
    healed.holds(whole, || "after the last fault it was never whole again".to_owned());
    let (calls, reads) = history.taken();
    let book = Book::read(&cluster.sql().await?).await?;
    let mut checks = vec![healed.done(), rebuilds.done()];
    let Imported { outcomes, checks: of_imports, counts: imports } = imported;
    let sent: Vec<Call> = calls.iter().cloned().chain(check::imports::calls(&book, &outcomes)).collect();
    checks.extend(check::all(&book, &sent, &reads));
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
        // Nothing is left behind on a broker that is not ours.
        faults::delete_topics(&cluster).await?;
    }
    cluster.stop().await?;
    Ok(report)
}

/// Keeps the evidence beside the logs.
fn keep(plan: &Plan, cluster: &Cluster, calls: &[Call], reads: &[Read]) -> anyhow::Result<()> {
    std::fs::write(plan.directory.join("calls.json"), serde_json::to_vec(calls)?)?;
    std::fs::write(plan.directory.join("reads.json"), serde_json::to_vec(reads)?)?;
    cluster.keep()
}

/// Injects faults, in rounds: each round every one of them once, in another order.
async fn torment(
    plan: &Plan,
    cluster: &mut Cluster,
    shop: &Shop,
    random: &mut Random,
    begin: Instant,
) -> anyhow::Result<(Vec<Injected>, Check)> {
    let mut healed = Check::new("the cluster is whole again after every fault");
    // How often it has to be asked whether it is whole must not change what comes next.
    let mut probes = random.fork();
    let mut injected = Vec::new();
    let long = plan.time > Duration::from_secs(180);
    let mut round: Vec<Fault> = Vec::new();
    let mut rounds = 0;
    while rounds == 0 || !round.is_empty() && rounds == 1 || begin.elapsed() < plan.time {
        if round.is_empty() {
            round = Fault::all(cluster.broker());
            round.retain(|fault| plan.only.is_empty() || plan.only.iter().any(|name| fault.name().contains(name)));
            anyhow::ensure!(!round.is_empty(), "there is no such fault");
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
            // Now, and not later, is the time to see where it stands.
            for command in [["relay", "status"], ["views", "list"]] {
                eprintln!("{}", cluster.run(&command).await?.1);
            }
        }
        healed.holds(whole, || format!("{} at {at:?} ({what}): not whole after {PATIENCE:?}", fault.name()));
        eprintln!("{:7.1} s  {}: {what}; recovered in {recovery:?}", begin.elapsed().as_secs_f64(), fault.name());
        injected.push(Injected { fault, at, what, recovery });
        wait(cluster, Duration::from_millis(random.between(100, if long { 3_000 } else { 500 }))).await?;
        let trades = !whole || trade_goes_on(cluster, shop).await?;
        healed.holds(trades, || format!("after {} the shop does not trade", fault.name()));
    }
    Ok((injected, healed))
}

/// Waits until some more commands are acknowledged; says whether that came to pass.
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

/// Waits until a command is acknowledged and seen; says whether that came to pass.
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

/// What the engine's own audit says, each of its checks as one of ours.
async fn verify(cluster: &Cluster) -> anyhow::Result<Vec<Check>> {
    let (_, printed) = cluster.run(&["verify", "--json"]).await?;
    let verdict: Value = serde_json::from_str(&printed).with_context(|| format!("daybook verify said: {printed}"))?;
    let checks = verdict["checks"].as_array().context("a verdict has checks")?;
    let number = |check: &Value, name: &str| check[name].as_u64().unwrap_or(0);
    let told = |check: &Value| Check {
        name: format!("verify: {}", check["name"].as_str().unwrap_or_default()),
        checked: number(check, "checked"),
        violations: number(check, "violations"),
        found: check["first"].as_str().map(str::to_owned).into_iter().collect(),
    };
    let mut ok = Check::new("daybook verify finds nothing");
    ok.holds(verdict["ok"] == true, || printed.clone());
    Ok(checks.iter().map(told).chain([ok.done()]).collect())
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
