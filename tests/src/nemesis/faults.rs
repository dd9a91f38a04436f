//! The faults. Every fault has a beginning, a duration and an end. After it, the cluster has to recover.

mod broker;
mod postgres;
mod relay;
mod seat;

use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;

use super::{
    broker::Kind,
    cluster::{Cluster, Link, ROLES, WITH_BROKER, WITH_POSTGRES},
    load::Shop,
    proxy::{self, Network, Way},
    random::Random,
};
pub use broker::delete_topics;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `kill -9` of one of the command-apis.
    KillCommandApi,
    /// `kill -9` of the command-api that holds the seat.
    KillSeatHolder,
    /// `kill -9` of the relay that leads.
    KillRelayLeader,
    /// `kill -9` of the relay that stands by.
    KillRelayStandby,
    /// `kill -9` of one of the projectors.
    KillProjectors,
    /// `kill -9` of one of the reactors.
    KillReactors,
    /// `kill -9` of the query-api.
    KillQueryApi,
    /// `kill -9` of every process of PostgreSQL.
    KillPostgres,
    /// `kill -9` of the embedded broker. Its replacement has empty topics.
    LoseBroker,
    /// `kill -9` of Apache Kafka, which restarts with its data.
    KillBroker,
    /// Every topic is deleted.
    DeleteTopics,
    /// No role reaches the broker for a while.
    LoneBroker,
    /// Connections between one role and the broker are cut.
    CutBroker,
    /// All traffic between roles and the broker is delayed.
    SlowBroker,
    /// The command-api that holds the seat is suspended (SIGSTOP), and continues after the other one has taken the seat.
    PauseSeatHolder,
    /// The relay that leads is suspended (SIGSTOP), and continues later.
    PauseRelay,
    /// The same, and its connections to PostgreSQL end meanwhile. So the other relay leads when it continues.
    PauseAndFenceRelay,
    /// One of the projectors is suspended for longer than its session at the broker, and continues later.
    PauseProjectors,
    /// The same, of one of the reactors.
    PauseReactors,
    /// Connections between one role and PostgreSQL are cut.
    CutPostgres,
    /// All traffic between roles and PostgreSQL is delayed.
    SlowPostgres,
    /// No traffic passes between one role and PostgreSQL, without an error. Some of these connections never continue.
    SilentPostgres,
    /// The same in one direction. The lost traffic never arrives, and the receiver gets no error.
    HalfOpenPostgres,
    /// No traffic passes in one direction between one role and the broker, without an error.
    HalfOpenBroker,
    /// No traffic passes in one direction between clients and one of the APIs, without an error.
    HalfOpenClients,
    /// No traffic passes in one direction between the query-api and the command-api, without an error.
    HalfOpenCommands,
    /// Connections between clients and one of the APIs are cut.
    CutClients,
    /// All traffic between clients and the APIs is delayed.
    SlowClients,
    /// Connections between the query-api and the command-api are cut.
    CutCommands,
    /// All traffic between the query-api and the command-api is delayed.
    SlowCommands,
    /// PostgreSQL refuses to write: `default_transaction_read_only`.
    ReadOnly,
    /// The disk of the tables of the book and the views is full (53100).
    DiskFull,
    /// PostgreSQL cannot write its log, and ends (PANIC).
    LogFull,
    /// The clock of a client jumps by a day, forward or back.
    ClockJump,
}

impl Fault {
    /// All faults of a cluster with this broker.
    #[must_use]
    pub fn all(broker: &Kind) -> Vec<Self> {
        let everywhere = [
            Self::KillCommandApi,
            Self::KillSeatHolder,
            Self::KillRelayLeader,
            Self::KillRelayStandby,
            Self::KillProjectors,
            Self::KillReactors,
            Self::KillQueryApi,
            Self::KillPostgres,
            Self::PauseSeatHolder,
            Self::PauseRelay,
            Self::PauseAndFenceRelay,
            Self::PauseProjectors,
            Self::PauseReactors,
            Self::CutPostgres,
            Self::SlowPostgres,
            Self::SilentPostgres,
            Self::CutClients,
            Self::SlowClients,
            Self::CutCommands,
            Self::SlowCommands,
            Self::ReadOnly,
            Self::DiskFull,
            Self::LogFull,
            Self::ClockJump,
        ];
        let here: &[Self] = match broker {
            Kind::Embedded => &[Self::LoseBroker, Self::LoneBroker, Self::CutBroker, Self::SlowBroker],
            Kind::Apache(_) => {
                &[Self::KillBroker, Self::DeleteTopics, Self::LoneBroker, Self::CutBroker, Self::SlowBroker]
            }
            Kind::Foreign(_) => &[Self::DeleteTopics],
        };
        let mut all: Vec<_> = everywhere.into_iter().chain(here.iter().copied()).collect();
        if proxy::can_be_half_open() {
            all.extend([Self::HalfOpenPostgres, Self::HalfOpenClients, Self::HalfOpenCommands]);
            if !matches!(broker, Kind::Foreign(_)) {
                all.push(Self::HalfOpenBroker);
            }
        }
        all
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillCommandApi => "kill -9 command-api",
            Self::KillSeatHolder => "kill -9 command-api (seat)",
            Self::PauseSeatHolder => "SIGSTOP command-api (seat)",
            Self::KillRelayLeader => "kill -9 relay (leader)",
            Self::KillRelayStandby => "kill -9 relay (standby)",
            Self::KillProjectors => "kill -9 projectors",
            Self::KillReactors => "kill -9 reactors",
            Self::KillQueryApi => "kill -9 query-api",
            Self::KillPostgres => "kill -9 PostgreSQL",
            Self::LoseBroker => "kill -9 broker, topics lost",
            Self::KillBroker => "kill -9 broker",
            Self::DeleteTopics => "topics deleted",
            Self::LoneBroker => "broker unreachable",
            Self::CutBroker => "connections to the broker cut",
            Self::SlowBroker => "connections to the broker slow",
            Self::PauseRelay => "SIGSTOP relay (leader)",
            Self::PauseAndFenceRelay => "SIGSTOP relay (leader), superseded",
            Self::PauseProjectors => "SIGSTOP projectors",
            Self::PauseReactors => "SIGSTOP reactors",
            Self::CutPostgres => "connections to PostgreSQL cut",
            Self::SlowPostgres => "connections to PostgreSQL slow",
            Self::SilentPostgres => "connections to PostgreSQL silent",
            Self::HalfOpenPostgres => "connections to PostgreSQL half-open",
            Self::HalfOpenBroker => "connections to the broker half-open",
            Self::HalfOpenClients => "connections of clients half-open",
            Self::HalfOpenCommands => "query-api to command-api half-open",
            Self::CutClients => "connections of clients cut",
            Self::SlowClients => "connections of clients slow",
            Self::CutCommands => "query-api to command-api cut",
            Self::SlowCommands => "query-api to command-api slow",
            Self::ReadOnly => "PostgreSQL read-only",
            Self::DiskFull => "PostgreSQL disk full",
            Self::LogFull => "PostgreSQL cannot write its log",
            Self::ClockJump => "clock of a client jumps",
        }
    }

    /// Injects the fault and ends it. Returns the time of its end, and what it has hit.
    ///
    /// # Errors
    /// When it cannot be injected.
    pub async fn inject(
        self,
        cluster: &mut Cluster,
        shop: &Shop,
        random: &mut Random,
        long: bool,
    ) -> anyhow::Result<(Instant, String)> {
        let pause = Duration::from_millis(if long { random.between(500, 5_000) } else { random.between(300, 1_200) });
        match self {
            Self::KillCommandApi => killed(cluster, random, &["command-api-0", "command-api-1"], pause).await,
            Self::KillProjectors => killed(cluster, random, &["projectors-0", "projectors-1"], pause).await,
            Self::KillReactors => killed(cluster, random, &["reactors-0", "reactors-1"], pause).await,
            Self::KillQueryApi => killed(cluster, random, &["query-api-0"], pause).await,
            Self::KillSeatHolder => {
                let holder = seat::holder(cluster).await?;
                killed(cluster, random, &[holder], pause).await
            }
            Self::PauseSeatHolder => seat::paused(cluster).await,
            Self::KillRelayLeader => {
                let leader = relay::leader(cluster).await?;
                killed(cluster, random, &[leader], pause).await
            }
            Self::KillRelayStandby => {
                let standby = if relay::leader(cluster).await? == "relay-0" { "relay-1" } else { "relay-0" };
                killed(cluster, random, &[standby], pause).await
            }
            Self::KillPostgres => {
                let count = cluster.crash_postgres()?;
                Ok((Instant::now(), format!("{count} processes")))
            }
            Self::LoseBroker | Self::KillBroker => broker::killed(cluster, pause).await,
            Self::DeleteTopics => {
                delete_topics(cluster).await?;
                Ok((Instant::now(), cluster.topics().join(", ")))
            }
            Self::PauseRelay => paused(cluster, relay::leader(cluster).await?, asleep(long), false).await,
            Self::PauseAndFenceRelay => paused(cluster, relay::leader(cluster).await?, asleep(long), true).await,
            Self::PauseProjectors => outlasted(cluster, random, &["projectors-0", "projectors-1"], long).await,
            Self::PauseReactors => outlasted(cluster, random, &["reactors-0", "reactors-1"], long).await,
            Self::ReadOnly => postgres::read_only(cluster, pause).await,
            Self::DiskFull => postgres::disk_full(cluster, pause).await,
            Self::LogFull => postgres::log_full(cluster).await,
            Self::ClockJump => {
                let seconds = if random.percent(50) { 86_400 } else { -86_400 };
                shop.skew(seconds);
                wait(cluster, pause * 2).await?;
                shop.skew(0);
                Ok((Instant::now(), format!("by {seconds} s, for {:?}", pause * 2)))
            }
            Self::HalfOpenPostgres | Self::HalfOpenBroker | Self::HalfOpenClients | Self::HalfOpenCommands => {
                // Lost traffic stays lost, so even a short outage ends only by a time-out of one end.
                let time = if long { random.between(10_000, 20_000) } else { random.between(1_000, 2_000) };
                self.open_half(cluster, random, Duration::from_millis(time)).await
            }
            _ => self.disturb(cluster, random, pause).await,
        }
    }

    /// A half-open network, silent in one direction.
    async fn open_half(
        self,
        cluster: &mut Cluster,
        random: &mut Random,
        time: Duration,
    ) -> anyhow::Result<(Instant, String)> {
        let (among, link): (&[_], _) = match self {
            Self::HalfOpenPostgres => (&WITH_POSTGRES, Link::Postgres),
            Self::HalfOpenBroker => (&WITH_BROKER, Link::Broker),
            Self::HalfOpenClients => (&["command-api-0", "command-api-1", "query-api-0"], Link::Clients),
            _ => (&["query-api-0"], Link::Commands),
        };
        let name = random.pick(among).copied().context("one of them")?;
        let way = if random.percent(50) { Way::ToServer } else { Way::ToClient };
        disturbed(cluster, &[name], link, Network::HalfOpen(way), time).await
    }

    /// The faults of the network.
    async fn disturb(
        self,
        cluster: &mut Cluster,
        random: &mut Random,
        pause: Duration,
    ) -> anyhow::Result<(Instant, String)> {
        let apis = ["command-api-0", "command-api-1", "query-api-0"];
        let mut one = |among: &[&'static str]| random.pick(among).copied().context("one of them");
        let streaming: &[&'static str] = &WITH_BROKER;
        let cut = Network::Cut;
        match self {
            Self::LoneBroker => disturbed(cluster, streaming, Link::Broker, cut, pause).await,
            Self::CutBroker => disturbed(cluster, &[one(streaming)?], Link::Broker, cut, pause).await,
            Self::CutPostgres => disturbed(cluster, &[one(&WITH_POSTGRES)?], Link::Postgres, cut, pause).await,
            Self::CutClients => disturbed(cluster, &[one(&apis)?], Link::Clients, cut, pause).await,
            Self::CutCommands => disturbed(cluster, &["query-api-0"], Link::Commands, cut, pause).await,
            Self::SilentPostgres => {
                let name = one(&WITH_POSTGRES)?;
                let begun = disturbed(cluster, &[name], Link::Postgres, Network::Silent, pause * 2).await?;
                if random.percent(50) {
                    return Ok(begun);
                }
                // Some outages only delay the traffic, and some lose it.
                cluster.disturb(name, Link::Postgres, Network::Silent)?;
                wait(cluster, pause).await?;
                disturbed(cluster, &[name], Link::Postgres, cut, pause).await
            }
            _ => {
                // Sometimes the delay is longer than a client waits.
                let (names, link, longest): (&[_], _, _) = match self {
                    Self::SlowPostgres => (&WITH_POSTGRES, Link::Postgres, 60),
                    Self::SlowBroker => (streaming, Link::Broker, 400),
                    Self::SlowCommands => (&apis[2..], Link::Commands, 2_500),
                    _ => (&apis, Link::Clients, 2_500),
                };
                let slow = Network::Slow(Duration::from_millis(random.between(5, longest)));
                disturbed(cluster, names, link, slow, pause * 2).await
            }
        }
    }
}

/// How long a process is suspended.
const fn asleep(long: bool) -> Duration {
    Duration::from_secs(if long { 10 } else { 3 })
}

/// Waits, and restarts processes that end meanwhile.
///
/// # Errors
/// When the system fails.
pub async fn wait(cluster: &mut Cluster, time: Duration) -> anyhow::Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        cluster.tend().await?;
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
    let name = random.pick(among).copied().context("the list has a process")?;
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
        cluster.disturb(name, Link::Postgres, Network::Cut)?;
        wait(cluster, Duration::from_millis(200)).await?;
        cluster.disturb(name, Link::Postgres, Network::Whole)?;
    }
    wait(cluster, asleep).await?;
    cluster.signal(name, Signal::SIGCONT)?;
    Ok((Instant::now(), format!("{name}, for {asleep:?}")))
}

/// Suspends one of two processes for longer than its session at the broker, which is six seconds. So the other one takes its partitions.
async fn outlasted(
    cluster: &mut Cluster,
    random: &mut Random,
    among: &[&'static str],
    long: bool,
) -> anyhow::Result<(Instant, String)> {
    let name = random.pick(among).copied().context("one of two")?;
    paused(cluster, name, asleep(long).max(Duration::from_secs(8)), false).await
}

async fn disturbed(
    cluster: &mut Cluster,
    names: &[&'static str],
    link: Link,
    network: Network,
    time: Duration,
) -> anyhow::Result<(Instant, String)> {
    for name in names {
        cluster.disturb(name, link, network)?;
    }
    wait(cluster, time).await?;
    for name in names {
        cluster.disturb(name, link, Network::Whole)?;
    }
    Ok((Instant::now(), format!("{}: {network:?}, for {time:?}", names.join(", "))))
}
