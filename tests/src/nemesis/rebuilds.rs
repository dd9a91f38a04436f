//! An operator who rebuilds one view after the other during the run: `daybook views rebuild`. Some rebuilds are killed half-way, and some
//! fail during an outage of the database. Each is repeated until it ends.

use std::{process::ExitStatus, time::Duration};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    check::Check,
    cluster::{Begin, Cluster},
    random::Random,
};

/// How often the rebuild of a view may be tried. An outage takes a few tries. A view that cannot be rebuilt takes all of them.
const TRIES: u32 = 200;
/// The percentage of rebuilds that are killed.
const KILLED: u64 = 25;

/// The rebuilding operator.
pub struct Rebuilds {
    work: JoinHandle<anyhow::Result<Check>>,
    enough: watch::Sender<bool>,
}

impl Rebuilds {
    /// Starts the operator with a seeded source of randomness.
    ///
    /// # Errors
    /// When the views cannot be listed. No fault may have been injected yet.
    pub async fn begin(cluster: &Cluster, random: Random) -> anyhow::Result<Self> {
        let (enough, stop) = watch::channel(false);
        let (_, listed) = cluster.run(&["views", "list", "--json"]).await?;
        let listed: Value = serde_json::from_str(&listed).with_context(|| format!("views are not listed: {listed}"))?;
        let names = listed.as_array().into_iter().flatten().filter_map(|view| view["name"].as_str().map(str::to_owned));
        let names: Vec<_> = names.collect();
        ensure!(!names.is_empty(), "the list of views is empty");
        Ok(Self { work: tokio::spawn(work(cluster.commands(), names, random, stop)), enough })
    }

    /// Waits for the end of the last rebuild, and returns the check that counts all. A rebuild that never ends is a violation.
    ///
    /// # Errors
    /// When a command cannot be run.
    pub async fn end(self) -> anyhow::Result<Check> {
        self.enough.send_replace(true);
        self.work.await?
    }
}

async fn work(
    begin: Begin,
    views: Vec<String>,
    mut random: Random,
    mut enough: watch::Receiver<bool>,
) -> anyhow::Result<Check> {
    let mut check = Check::new("every rebuild of a view comes to its end");
    for view in views.iter().cycle() {
        let mut ended = None;
        for _ in 0..TRIES {
            // After the last fault, rebuilds are not killed any more.
            let patience = Duration::from_millis(random.between(20, 1_000));
            let killed = random.percent(KILLED) && !*enough.borrow();
            ended = Some(rebuilt(&begin, view, killed.then_some(patience)).await?);
            if ended.is_some_and(|ended| ended.success()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let is_done = ended.is_some_and(|ended| ended.success());
        check.holds(is_done, || format!("{view} was not rebuilt in {TRIES} tries; see rebuild.log"));
        let pause = Duration::from_millis(random.between(5_000, 15_000));
        // An error means that the sender is dropped, which also means the end.
        if !is_done || tokio::time::timeout(pause, enough.wait_for(|enough| *enough)).await.is_ok() {
            break;
        }
    }
    Ok(check)
}

/// Rebuilds a view, and kills the process after a while if asked to.
async fn rebuilt(begin: &Begin, view: &str, killed_after: Option<Duration>) -> anyhow::Result<ExitStatus> {
    let mut process = begin.command(&["views", "rebuild", view], "rebuild.log")?;
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = process.ended()? {
            return Ok(status);
        }
        if killed_after.is_some_and(|patience| waited >= patience) {
            process.kill()?;
            return process.ended()?.context("a killed process has ended");
        }
        let look = Duration::from_millis(20);
        tokio::time::sleep(look).await;
        waited += look;
    }
}
