//! The engine as in production: one process per role, one PostgreSQL, one broker, and a network between them that can be disturbed.

mod commands;
mod member;
mod server;

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use daybook_edge::tokens::Keys;
use daybook_embedded::postgres::{Postgres, PostgresSettings};
use nix::sys::signal::Signal;
use tokio_postgres::{Client, NoTls};

use self::{
    member::Member,
    server::{target, through, with_disk},
};
use super::{
    broker::{self, Broker, after},
    database,
    disk::{Disk, Storage},
    process::Process,
    proxy::{Network, Proxy, Speech, Target},
};

pub use self::{
    commands::Begin,
    member::{IMPORT, Link, ROLES, WITH_BROKER, WITH_POSTGRES},
};

/// How long a process may take to be ready. Only a process that hangs takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The delay between an import and PostgreSQL in each direction. It makes an import slow enough to be killed half-way.
const FAR: Duration = Duration::from_millis(6);
const SECRET: &str = "the nemesis of a shop has a secret of its own";

/// The settings of a cluster.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The directory for data and logs.
    pub directory: PathBuf,
    /// The binary of the engine.
    pub binary: PathBuf,
    /// The kind of broker.
    pub broker: broker::Kind,
    /// The prefix of the topics.
    pub prefix: String,
    /// Whether the book can have a disk of its own.
    pub storage: Storage,
}

/// A running cluster.
pub struct Cluster {
    parts: Parts,
    postgres: Postgres,
    /// The disk of the tables of the book, or why they have none of their own.
    disk: Result<Disk, String>,
    broker: Broker,
    members: Vec<Member>,
    /// The proxy between imports and PostgreSQL.
    import: Proxy,
    /// The proxy between imports and that proxy, which only delays.
    far: Proxy,
    /// Roles and brokers that ended without a kill.
    pub ended_by_themselves: Vec<String>,
}

impl Cluster {
    /// Starts the cluster, and returns when it is ready.
    ///
    /// # Errors
    /// When a process does not start.
    pub async fn start(parts: Parts) -> anyhow::Result<Self> {
        let postgres = Postgres::start(&PostgresSettings::durable(parts.directory.join("postgres"))).await?;
        let disk = match &parts.storage {
            Storage::Own => Ok(with_disk(&parts.directory, postgres.database_url()).await?),
            Storage::Refused(reason) => Err(reason.clone()),
        };
        let broker = Broker::start(&parts.broker, &parts.directory, &parts.prefix).await?;
        let server = target(postgres.database_url())?;
        let mut members = Vec::new();
        for name in ROLES {
            members.push(Member {
                name,
                process: None,
                ready: false,
                postgres: Proxy::open(server.clone(), Speech::Any).await?,
                broker: Proxy::open(Target::Nowhere, Speech::Kafka).await?,
                commands: Proxy::open(Target::Nowhere, Speech::Any).await?,
                front: Proxy::open(Target::Nowhere, Speech::Any).await?,
            });
        }
        let import = Proxy::open(server, Speech::Any).await?;
        let far = Proxy::open(Target::Port(import.address()), Speech::Any).await?;
        far.set(Network::Slow(FAR))?;
        let ended_by_themselves = Vec::new();
        let mut cluster = Self { parts, postgres, disk, broker, members, import, far, ended_by_themselves };
        cluster.lead_to_broker()?;
        let (code, said) = cluster.run(&["migrate"]).await?;
        ensure!(code == 0, "the schema cannot be created: {said}");
        for name in ROLES {
            cluster.launch(name)?;
        }
        cluster.until_ready().await?;
        Ok(cluster)
    }

    /// The addresses for commands: one for each command-api.
    #[must_use]
    pub fn apis(&self) -> Vec<SocketAddr> {
        let apis = self.members.iter().filter(|member| member.name.starts_with("command-api"));
        apis.map(|member| member.front.address()).collect()
    }

    /// The address for queries.
    ///
    /// # Panics
    /// Never, since the roles include a query-api.
    #[must_use]
    pub fn queries(&self) -> SocketAddr {
        let api = self.members.iter().find(|member| member.name.starts_with("query-api"));
        api.expect("the query-api is in the list of roles").front.address()
    }

    /// The broker's own address, without a proxy.
    #[must_use]
    pub fn kafka(&self) -> &str {
        self.broker.address()
    }

    /// The kind of broker.
    #[must_use]
    pub const fn broker(&self) -> &broker::Kind {
        self.broker.kind()
    }

    /// The disk under the tables of the book, or why they have none of their own.
    ///
    /// # Errors
    /// The reason, if they have none.
    pub const fn disk(&self) -> Result<&Disk, &String> {
        self.disk.as_ref()
    }

    /// The topics.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        broker::topics(&self.parts.prefix).at("").topology.topics()
    }

    /// A connection to PostgreSQL without a proxy.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn sql(&self) -> anyhow::Result<Client> {
        let (client, connection) = tokio_postgres::connect(self.postgres.database_url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A connection to PostgreSQL, as soon as it answers.
    ///
    /// # Errors
    /// When it does not answer for a long time.
    pub async fn sql_patiently(&self) -> anyhow::Result<Client> {
        let begin = Instant::now();
        loop {
            match self.sql().await {
                Ok(client) => return Ok(client),
                Err(error) if begin.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// The keys that sign tokens.
    ///
    /// # Errors
    /// When the secret is too short.
    pub fn keys(&self) -> anyhow::Result<Keys> {
        Ok(Keys::new(SECRET.as_bytes())?)
    }

    fn member(&mut self, name: &str) -> anyhow::Result<&mut Member> {
        self.members.iter_mut().find(|member| member.name == name).with_context(|| format!("the cluster has no {name}"))
    }

    /// Starts a role.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn launch(&mut self, name: &str) -> anyhow::Result<()> {
        let (is_foreign, mut kafka) = (self.broker.port()?.is_none(), self.kafka().to_owned());
        let Parts { directory, binary, prefix, broker: kind, .. } = self.parts.clone();
        let log = directory.join(format!("{name}.log"));
        let url = self.postgres.database_url().to_owned();
        let member = self.member(name)?;
        let role = name.rsplit_once('-').map_or(name, |(role, _)| role);
        let database_url = through(&url, &member.postgres, name)?;
        let command_url = format!("http://{}", member.commands.address());
        // What is forwarded to it passes the same network as what clients send.
        let advertise = member.front.address().to_string();
        if !is_foreign {
            kafka = member.broker.address().to_string();
        }
        let partitions = broker::PARTITIONS.to_string();
        let fetch_wait = if kind == broker::Kind::Embedded { "20" } else { "500" };
        let flags = [
            ("--roles", role),
            ("--listen", "127.0.0.1:0"),
            ("--advertise", &advertise),
            ("--database-url", &database_url),
            ("--kafka-brokers", &kafka),
            ("--secret", SECRET),
            ("--command-url", &command_url),
            ("--topic-prefix", &prefix),
            ("--partitions", &partitions),
            ("--fetch-wait-ms", fetch_wait),
        ];
        let flags = flags.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
        let args: Vec<String> = std::iter::once("serve".to_owned()).chain(flags).collect();
        (member.process, member.ready) = (Some(Process::start(&binary, &args, &log)?), false);
        Ok(())
    }

    /// Kills a role with SIGKILL, as a power cut would.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let member = self.member(name)?;
        if let Some(mut process) = member.process.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Sends a role a signal.
    ///
    /// # Errors
    /// When it is not running.
    pub fn signal(&mut self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let member = self.member(name)?;
        member.process.as_ref().with_context(|| format!("{name} does not run"))?.signal(signal)
    }

    /// Disturbs the network on a link of a role or of imports.
    ///
    /// # Errors
    /// When the role does not exist, or does not have that link.
    pub fn disturb(&mut self, name: &str, link: Link, network: Network) -> anyhow::Result<()> {
        if name == IMPORT {
            ensure!(link == Link::Postgres, "an import talks to PostgreSQL only");
            return Ok(self.import.set(network)?);
        }
        let member = self.member(name)?;
        let proxy = match link {
            Link::Postgres => &member.postgres,
            Link::Broker => &member.broker,
            Link::Clients => &member.front,
            Link::Commands => &member.commands,
        };
        Ok(proxy.set(network)?)
    }

    /// Kills the broker.
    ///
    /// # Errors
    /// When it is external.
    pub fn kill_broker(&mut self) -> anyhow::Result<()> {
        self.broker.kill()
    }

    /// Restarts the broker. Its clients find it at the same address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn launch_broker(&mut self) -> anyhow::Result<()> {
        self.broker.launch().await?;
        self.lead_to_broker()
    }

    fn lead_to_broker(&self) -> anyhow::Result<()> {
        if let Some(port) = self.broker.port()? {
            self.members.iter().for_each(|member| member.broker.lead_to(Target::Port(port)));
        }
        Ok(())
    }

    /// Kills every process of PostgreSQL, and returns how many. Its keeper restarts it.
    ///
    /// # Errors
    /// When it is not running.
    pub fn crash_postgres(&self) -> anyhow::Result<usize> {
        database::crash(&self.postgres_directory().join("cluster"))
    }

    /// The data directory of PostgreSQL, with its log.
    #[must_use]
    pub fn postgres_directory(&self) -> PathBuf {
        self.parts.directory.join("postgres")
    }

    /// Copies the disk in memory to the data directory, since it ends with this process.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn keep(&self) -> anyhow::Result<()> {
        match &self.disk {
            Ok(disk) => disk.keep(&self.parts.directory.join("postgres/tablespace-kept")),
            Err(_) => Ok(()),
        }
    }

    /// Restarts roles and brokers that ended by themselves, and finds the ports of roles that became ready.
    ///
    /// # Errors
    /// When the system fails.
    pub async fn tend(&mut self) -> anyhow::Result<()> {
        if let Some(how) = self.broker.ended()? {
            self.ended_by_themselves.push(how);
            self.launch_broker().await?;
        }
        let (mut ended, mut commands) = (Vec::new(), None);
        for member in &mut self.members {
            let Some(process) = &mut member.process else { continue };
            if let Some(status) = process.ended()? {
                let said = process.said();
                let last = said.lines().next_back().unwrap_or_default();
                ended.push((member.name, format!("{} ended by itself, with {status}: {last}", member.name)));
            } else if !member.ready
                && let Some(address) = after(&process.said(), "daybook is ready on http://")
            {
                member.ready = true;
                let port = Target::Port(address.parse()?);
                member.front.lead_to(port.clone());
                if member.name == "command-api-0" {
                    commands = Some(port);
                }
            }
        }
        if let Some(port) = commands {
            self.members.iter().for_each(|member| member.commands.lead_to(port.clone()));
        }
        for (name, how) in ended {
            self.ended_by_themselves.push(how);
            self.launch(name)?;
        }
        Ok(())
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        while self.members.iter().any(|member| !member.ready) {
            ensure!(begin.elapsed() < PATIENCE, "not every role is ready; see {}", self.parts.directory.display());
            self.tend().await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Stops PostgreSQL cleanly, after all other processes.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.members.clear();
        Ok(self.postgres.stop().await?)
    }
}
