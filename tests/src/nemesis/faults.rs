//! What is done to the cluster. Every fault has a beginning, a while, and an end; then the cluster has to be whole again.

use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

use super::{
    cluster::{Cluster, ROLES},
    load::Shop,
    proxy::Network,
    random::Random,
};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `kill -9` of one of the command-apis.
    KillCommandApi,
    /// `kill -9` of the relay that leads.
    KillRelayLeader,
    /// `kill -9` of the relay that stands by.
    KillRelayStandby,
    /// `kill -9` of one of the projectors.
    KillProjectors,
    /// `kill -9` of the query-api.
    KillQueryApi,
    /// `kill -9` of every process of PostgreSQL.
    KillPostgres,
    /// `kill -9` of the broker; a new one with empty topics takes its place.
    LoseBroker,
    /// Every topic is deleted.
    DeleteTopics,
    /// The broker is off the network for a while.
    CutBroker,
    /// The relay that leads is stopped (SIGSTOP), and goes on later.
    PauseRelay,
    /// The same, and PostgreSQL loses its connections meanwhile, so that the other one leads when it wakes up.
    PauseAndFenceRelay,
    /// One of the projectors is stopped for longer than its session at the broker holds, and goes on later.
    PauseProjectors,
    /// Connections between one role and PostgreSQL are cut.
    CutPostgres,
    /// Everything between all roles and PostgreSQL is late.
    SlowPostgres,
    /// Connections between clients and a command-api are cut.
    CutClients,
    /// Everything between clients and both command-apis is late.
    SlowClients,
    /// PostgreSQL refuses to write: `default_transaction_read_only`.
    ReadOnly,
    /// PostgreSQL says that the disk is full (53100) to whoever appends or checkpoints.
    DiskFull,
    /// The clock of a client jumps by a day, forth or back.
    ClockJump,
}

impl Fault {
    /// All that can be done to a cluster on this broker.
    #[must_use]
    pub fn all(has_real_kafka: bool) -> Vec<Self> {
        let everywhere = [
            Self::KillCommandApi,
            Self::KillRelayLeader,
            Self::KillRelayStandby,
            Self::KillProjectors,
            Self::KillQueryApi,
            Self::KillPostgres,
            Self::PauseRelay,
            Self::PauseAndFenceRelay,
            Self::PauseProjectors,
            Self::CutPostgres,
            Self::SlowPostgres,
            Self::CutClients,
            Self::SlowClients,
            Self::ReadOnly,
            Self::DiskFull,
            Self::ClockJump,
        ];
        let here: &[Self] = if has_real_kafka { &[Self::DeleteTopics] } else { &[Self::LoseBroker, Self::CutBroker] };
        everywhere.into_iter().chain(here.iter().copied()).collect()
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillCommandApi => "kill -9 command-api",
            Self::KillRelayLeader => "kill -9 relay (leader)",
            Self::KillRelayStandby => "kill -9 relay (standby)",
            Self::KillProjectors => "kill -9 projectors",
            Self::KillQueryApi => "kill -9 query-api",
            Self::KillPostgres => "kill -9 PostgreSQL",
            Self::LoseBroker => "kill -9 broker, topics lost",
            Self::DeleteTopics => "topics deleted",
            Self::CutBroker => "broker unreachable",
            Self::PauseRelay => "SIGSTOP relay (leader)",
            Self::PauseAndFenceRelay => "SIGSTOP relay (leader), superseded",
            Self::PauseProjectors => "SIGSTOP projectors",
            Self::CutPostgres => "connections to PostgreSQL cut",
            Self::SlowPostgres => "connections to PostgreSQL slow",
            Self::CutClients => "connections to command-api cut",
            Self::SlowClients => "connections to command-api slow",
            Self::ReadOnly => "PostgreSQL read-only",
            Self::DiskFull => "PostgreSQL disk full",
            Self::ClockJump => "clock of a client jumps",
        }
    }

    /// Does it and undoes it. Returns when it began to hurt no more, and what was hit.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn inject(
        self,
        cluster: &mut Cluster,
        shop: &Shop,
        random: &mut Random,
        long: bool,
    ) -> anyhow::Result<(Instant, String)> {
        let pause = Duration::from_millis(if long { random.between(500, 5_000) } else { random.between(300, 1_200) });
        // Longer than the session of a consumer at the broker holds, which is six seconds.
        let asleep = Duration::from_secs(if long { 10 } else { 8 });
        match self {
            Self::KillCommandApi => killed(cluster, random, &["command-api-0", "command-api-1"], pause).await,
            Self::KillProjectors => killed(cluster, random, &["projectors-0", "projectors-1"], pause).await,
            Self::KillQueryApi => killed(cluster, random, &["query-api-0"], pause).await,
            Self::KillRelayLeader => {
                let leader = leader(cluster).await?;
                killed(cluster, random, &[leader], pause).await
            }
            Self::KillRelayStandby => {
                let standby = if leader(cluster).await? == "relay-0" { "relay-1" } else { "relay-0" };
                killed(cluster, random, &[standby], pause).await
            }
            Self::KillPostgres => {
                cluster.crash_postgres()?;
                Ok((Instant::now(), "every process of the server".to_owned()))
            }
            Self::LoseBroker => {
                let begin = Instant::now();
                cluster.lose_broker().await?;
                Ok((begin, format!("the new one is at {}", cluster.kafka())))
            }
            Self::DeleteTopics => {
                delete_topics(cluster).await?;
                Ok((Instant::now(), cluster.topics().join(", ")))
            }
            Self::CutBroker => {
                cluster.disturb_broker(false)?;
                wait(cluster, pause).await?;
                cluster.disturb_broker(true)?;
                Ok((Instant::now(), format!("for {pause:?}")))
            }
            Self::PauseRelay => paused(cluster, leader(cluster).await?, asleep, false).await,
            Self::PauseAndFenceRelay => paused(cluster, leader(cluster).await?, asleep, true).await,
            Self::PauseProjectors => {
                let name = random.pick(&["projectors-0", "projectors-1"]).copied().context("one of two")?;
                paused(cluster, name, asleep, false).await
            }
            Self::CutPostgres => {
                let name = random.pick(&ROLES).copied().context("one of them")?;
                disturbed(cluster, &[name], Cluster::disturb_postgres, Network::Cut, pause).await
            }
            Self::SlowPostgres => {
                let slow = Network::Slow(Duration::from_millis(random.between(5, 60)));
                disturbed(cluster, &ROLES, Cluster::disturb_postgres, slow, pause * 2).await
            }
            Self::CutClients => {
                let name = random.pick(&ROLES[..2]).copied().context("one of two")?;
                disturbed(cluster, &[name], Cluster::disturb_clients, Network::Cut, pause).await
            }
            Self::SlowClients => {
                // Sometimes later than a client waits.
                let slow = Network::Slow(Duration::from_millis(random.between(50, 2_500)));
                disturbed(cluster, &ROLES[..2], Cluster::disturb_clients, slow, pause * 2).await
            }
            Self::ReadOnly => read_only(cluster, pause).await,
            Self::DiskFull => disk_full(cluster, pause).await,
            Self::ClockJump => {
                let seconds = if random.percent(50) { 86_400 } else { -86_400 };
                shop.skew(seconds);
                wait(cluster, pause * 2).await?;
                shop.skew(0);
                Ok((Instant::now(), format!("by {seconds} s, for {:?}", pause * 2)))
            }
        }
    }
}

/// Waits, and keeps an eye on the processes meanwhile.
///
/// # Errors
/// When the system fails.
pub async fn wait(cluster: &mut Cluster, time: Duration) -> anyhow::Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        cluster.tend()?;
        tokio::time::sleep(Duration::from_millis(20).min(time)).await;
    }
    Ok(())
}

async fn killed(
    cluster: &mut Cluster,
    random: &mut Random,
    among: &[&'static str],
    pause: Duration,
) -> anyhow::Result<(Instant, String)> {
    let name = random.pick(among).copied().context("somebody to kill")?;
    let begin = Instant::now();
    cluster.kill(name)?;
    wait(cluster, pause).await?;
    cluster.launch(name)?;
    Ok((begin, format!("{name}, started again after {pause:?}")))
}

async fn paused(
    cluster: &mut Cluster,
    name: &'static str,
    asleep: Duration,
    superseded: bool,
) -> anyhow::Result<(Instant, String)> {
    cluster.signal(name, Signal::SIGSTOP)?;
    if superseded {
        cluster.disturb_postgres(name, Network::Cut)?;
        wait(cluster, Duration::from_millis(200)).await?;
        cluster.disturb_postgres(name, Network::Whole)?;
    }
    wait(cluster, asleep).await?;
    cluster.signal(name, Signal::SIGCONT)?;
    Ok((Instant::now(), format!("{name}, for {asleep:?}")))
}

async fn disturbed(
    cluster: &mut Cluster,
    names: &[&'static str],
    disturb: impl Fn(&mut Cluster, &str, Network) -> anyhow::Result<()>,
    network: Network,
    time: Duration,
) -> anyhow::Result<(Instant, String)> {
    for name in names {
        disturb(cluster, name, network)?;
    }
    wait(cluster, time).await?;
    for name in names {
        disturb(cluster, name, Network::Whole)?;
    }
    Ok((Instant::now(), format!("{}: {network:?}, for {time:?}", names.join(", "))))
}

async fn read_only(cluster: &mut Cluster, time: Duration) -> anyhow::Result<(Instant, String)> {
    let sql = cluster.sql_patiently().await?;
    sql.execute("ALTER SYSTEM SET default_transaction_read_only = on", &[]).await?;
    sql.execute("SELECT pg_reload_conf()", &[]).await?;
    wait(cluster, time).await?;
    sql.execute("ALTER SYSTEM RESET default_transaction_read_only", &[]).await?;
    sql.execute("SELECT pg_reload_conf()", &[]).await?;
    Ok((Instant::now(), format!("for {time:?}")))
}

/// The tables whose writers are told that the disk is full.
const FILLED: [&str; 3] = ["events", "relay_partitions", "consumer_checkpoints"];

async fn disk_full(cluster: &mut Cluster, time: Duration) -> anyhow::Result<(Instant, String)> {
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

/// Deletes the topics of the run from a broker that can.
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

/// The relay that leads, as soon as one does.
async fn leader(cluster: &Cluster) -> anyhow::Result<&'static str> {
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
