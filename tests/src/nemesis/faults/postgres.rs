//! Faults of PostgreSQL beside a kill: it may not write, or its disk is full.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{Cluster, wait};
use crate::nemesis::database;

pub(super) async fn read_only(cluster: &mut Cluster, time: Duration) -> anyhow::Result<(Instant, String)> {
    let sql = cluster.sql_patiently().await?;
    sql.execute("ALTER SYSTEM SET default_transaction_read_only = on", &[]).await?;
    sql.execute("SELECT pg_reload_conf()", &[]).await?;
    wait(cluster, time).await?;
    sql.execute("ALTER SYSTEM RESET default_transaction_read_only", &[]).await?;
    sql.execute("SELECT pg_reload_conf()", &[]).await?;
    Ok((Instant::now(), format!("for {time:?}")))
}

/// Fills the disk under the tables. Without a disk of their own, a trigger raises the same error at every write.
pub(super) async fn disk_full(cluster: &mut Cluster, time: Duration) -> anyhow::Result<(Instant, String)> {
    let sql = cluster.sql_patiently().await?;
    let refused = match cluster.disk() {
        Ok(disk) => {
            database::prepare_ballast(&sql).await?;
            disk.fill()?;
            None
        }
        Err(reason) => Some(reason.clone()),
    };
    if let Some(reason) = refused {
        let (ended, what) = raise_disk_full(cluster, time).await?;
        return Ok((ended, format!("{what}, by a trigger, since the tables have no disk of their own: {reason}")));
    }
    let full = database::is_full(&sql).await;
    wait(cluster, time).await?;
    if let Ok(disk) = cluster.disk() {
        disk.free()?;
    }
    let ended = Instant::now();
    full?;
    database::drop_ballast(&sql).await?;
    Ok((ended, format!("for {time:?}")))
}

/// The tables whose writes fail as on a full disk.
const FILLED: [&str; 4] = ["events", "relay_partitions", "consumer_checkpoints", "reactions"];

async fn raise_disk_full(cluster: &mut Cluster, time: Duration) -> anyhow::Result<(Instant, String)> {
    let mut sql = cluster.sql_patiently().await?;
    sql.batch_execute(
        "CREATE OR REPLACE FUNCTION nemesis_disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$",
    )
    .await?;
    for table in FILLED {
        let trigger = format!(
            "CREATE TRIGGER nemesis_disk_full BEFORE INSERT OR UPDATE ON {table}
             FOR EACH STATEMENT EXECUTE FUNCTION nemesis_disk_full()"
        );
        sql.batch_execute(&trigger).await?;
    }
    wait(cluster, time).await?;
    let all = sql.transaction().await?;
    for table in FILLED {
        all.batch_execute(&format!("DROP TRIGGER nemesis_disk_full ON {table}")).await?;
    }
    all.commit().await?;
    Ok((Instant::now(), format!("for {time:?}")))
}

/// The limit of file sizes while PostgreSQL cannot write its log. Nearly all of a log segment is beyond it.
const LONGEST_FILE: u64 = 1 << 20;
/// How long PostgreSQL may take to notice.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets the writes of PostgreSQL fail until it ends.
pub(super) async fn log_full(cluster: &mut Cluster) -> anyhow::Result<(Instant, String)> {
    // PostgreSQL runs, and its log needs no recovery.
    cluster.sql_patiently().await?.batch_execute("CHECKPOINT").await?;
    let (data, log) = (cluster.postgres_directory().join("cluster"), cluster.postgres_directory().join("server.log"));
    let before = std::fs::metadata(&log)?.len();
    database::limit_files(&data, Some(LONGEST_FILE))?;
    let begin = Instant::now();
    let why = loop {
        let text = std::fs::read(&log)?;
        let new = String::from_utf8_lossy(text.get(usize::try_from(before)?..).unwrap_or_default()).into_owned();
        if let Some((_, why)) = new.split_once("PANIC:") {
            break why.lines().next().unwrap_or_default().trim().to_owned();
        }
        ensure!(begin.elapsed() < PATIENCE, "PostgreSQL writes its log though it must not");
        wait(cluster, Duration::from_millis(20)).await?;
    };
    // If it could not recover under the limit, its keeper has restarted it, or will, without the limit.
    database::limit_files(&data, None).ok();
    Ok((Instant::now(), why))
}
