//! Faults of the broker itself.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

use super::{Cluster, wait};

/// Kills the broker, and restarts it after a while at the same address, with its data if it keeps any.
pub(super) async fn killed(cluster: &mut Cluster, pause: Duration) -> anyhow::Result<(Instant, String)> {
    let begin = Instant::now();
    cluster.kill_broker()?;
    wait(cluster, pause).await?;
    cluster.launch_broker().await?;
    Ok((begin, format!("started again after {pause:?}")))
}

/// Deletes the topics of the run, on a broker that supports it.
///
/// # Errors
/// When it refuses.
pub async fn delete_topics(cluster: &Cluster) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.kafka()).create()?;
    let topics = cluster.topics();
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    for deleted in admin.delete_topics(&names, &AdminOptions::new()).await? {
        if let Err((topic, code)) = deleted {
            anyhow::bail!("{topic} cannot be deleted: {code}");
        }
    }
    Ok(())
}
