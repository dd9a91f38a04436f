//! Faults of the command-api that holds the seat.

use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;

use super::{Cluster, ROLES, wait};

/// How long the seat may take to find a holder. Only an engine that hangs takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The command-api that holds the seat, as soon as one does.
pub(super) async fn holder(cluster: &mut Cluster) -> anyhow::Result<&'static str> {
    holder_but(cluster, "").await
}

/// The command-api that holds the seat, as soon as it is another one than `but`.
async fn holder_but(cluster: &mut Cluster, but: &str) -> anyhow::Result<&'static str> {
    let begin = Instant::now();
    let sql = cluster.sql_patiently().await?;
    loop {
        let row = sql
            .query_opt(
                "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                   AND a.application_name LIKE 'command-api-%' AND a.application_name <> $1
                 LIMIT 1",
                &[&but],
            )
            .await?;
        if let Some(row) = row {
            let name: String = row.try_get(0)?;
            return ROLES.into_iter().find(|role| *role == name).context("a command-api of ours");
        }
        anyhow::ensure!(begin.elapsed() < PATIENCE, "no command-api holds the seat");
        wait(cluster, Duration::from_millis(100)).await?;
    }
}

/// Suspends the holder until the other command-api has the seat, and then for a while.
pub(super) async fn paused(cluster: &mut Cluster) -> anyhow::Result<(Instant, String)> {
    let name = holder(cluster).await?;
    let begin = Instant::now();
    cluster.signal(name, Signal::SIGSTOP)?;
    let moved = holder_but(cluster, name).await;
    let took = begin.elapsed();
    wait(cluster, Duration::from_secs(1)).await?;
    cluster.signal(name, Signal::SIGCONT)?;
    let next = moved?;
    Ok((Instant::now(), format!("{name}, until {next} had the seat, after {took:?}")))
}
