//! Which relay leads.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Cluster, ROLES};

/// The relay that leads, as soon as one does.
pub(super) async fn leader(cluster: &Cluster) -> anyhow::Result<&'static str> {
    let begin = Instant::now();
    let sql = cluster.sql_patiently().await?;
    loop {
        let row = sql
            .query_opt(
                "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND a.application_name LIKE 'relay-%'
                 LIMIT 1",
                &[],
            )
            .await?;
        if let Some(row) = row {
            let name: String = row.try_get(0)?;
            return ROLES.into_iter().find(|role| *role == name).context("a relay of ours");
        }
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(60), "no relay leads");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
