//! An operator who rebuilds one view after the other while all the rest goes on: `daybook views rebuild`. Some rebuilds are killed
//! half-way, and some fail since the database is away; each is begun again until it comes to its end.

use std::{process::ExitStatus, time::Duration};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    check::Check,
    cluster::{Begin, Cluster},
    random::Random,
};

/// How often one view may be tried. An outage takes a few tries; a view that cannot be rebuilt takes all of them.
const TRIES: u32 = 200;
/// How many of a hundred rebuilds are killed.
const KILLED: u64 = 25;

/// The operator at work.
pub struct Rebuilds {
    work: JoinHandle<anyhow::Result<Check>>,
    enough: watch::Sender<bool>,
}

impl Rebuilds {
    /// Begins, by chance that can be repeated.
    ///
    /// # Errors
    /// When the views cannot be listed. Nobody may have been harmed yet.
    pub async fn begin(cluster: &Cluster, random: Random) -> anyhow::Result<Self> {
        let (enough, told) = watch::channel(false);
        let (_, listed) = cluster.run(&["views", "list", "--json"]).await?;
        let listed: Value = serde_json::from_str(&listed).with_context(|| format!("views are not listed: {listed}"))?;
        let names = listed.as_array().into_iter().flatten().filter_map(|view| view["name"].as_str().map(str::to_owned));
        let names: Vec<_> = names.collect();
        ensure!(!names.is_empty(), "there are no views");
        Ok(Self { work: tokio::spawn(work(cluster.commands(), names, random, told)), enough })
    }

    /// Lets the last one come to its end, and tells how many did. One that never does is a violation.
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
            // Once nothing is harmed any more, neither is the rebuild.
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
        // An error means that nobody wants to tell it any more, which is the end as well.
        if !is_done || tokio::time::timeout(pause, enough.wait_for(|enough| *enough)).await.is_ok() {
            break;
        }
    }
    Ok(check)
}

/// Rebuilds a view; killed after a while, if so wanted.
async fn rebuilt(begin: &Begin, view: &str, killed_after: Option<Duration>) -> anyhow::Result<ExitStatus> {
    let mut process = begin.command(&["views", "rebuild", view], "rebuild.log")?;
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = process.ended()? {
            return Ok(status);
        }
        if killed_after.is_some_and(|patience| waited >= patience) {
            process.kill()?;
            return process.ended()?.context("what was killed has ended");
        }
        let look = Duration::from_millis(20);
        tokio::time::sleep(look).await;
        waited += look;
    }
}
