//! The engine as it runs for real: one process a role, one PostgreSQL, one broker, and a network between them that can be disturbed.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use daybook::embedded::postgres::{Postgres, PostgresSettings};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio_postgres::{Client, NoTls, config::Host};

use super::{
    broker,
    process::Process,
    proxy::{Network, Proxy, Target},
};

/// How long a process may take to be ready. A machine that is busy is slow; a process that hangs never ends.
const PATIENCE: Duration = Duration::from_secs(120);
const SECRET: &str = "the nemesis of a shop has a secret of its own";

/// The processes: the name of each, which begins with its role.
pub const ROLES: [&str; 7] =
    ["command-api-0", "command-api-1", "relay-0", "relay-1", "projectors-0", "projectors-1", "query-api-0"];

/// A process of the engine, with the network around it.
struct Member {
    name: &'static str,
    process: Option<Process>,
    /// Whether its port is known already.
    ready: bool,
    /// Between it and PostgreSQL.
    postgres: Proxy,
    /// Between others and it.
    front: Proxy,
}

/// The broker: our own process, or somebody else's.
enum Broker {
    Own { process: Process, address: String },
    Real { address: String },
}

/// All of it.
pub struct Cluster {
    directory: PathBuf,
    binary: PathBuf,
    postgres: Postgres,
    broker: Broker,
    members: Vec<Member>,
    prefix: String,
    /// Roles that ended though nobody had killed them.
    pub ended_by_themselves: Vec<String>,
}

impl Cluster {
    /// Starts everything, with logs and data in a directory, and returns when it is ready.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(directory: &Path, binary: &Path, kafka: Option<String>, prefix: &str) -> anyhow::Result<Self> {
        let postgres = Postgres::start(&PostgresSettings::durable(directory.join("postgres"))).await?;
        let broker = match kafka {
            Some(address) => Broker::Real { address },
            None => Broker::start(directory, prefix).await?,
        };
        let target = target(postgres.database_url())?;
        let mut members = Vec::new();
        for name in ROLES {
            let (postgres, front) = (Proxy::open(target.clone()).await?, Proxy::open(Target::Nowhere).await?);
            members.push(Member { name, process: None, ready: false, postgres, front });
        }
        let mut cluster = Self {
            directory: directory.to_owned(),
            binary: binary.to_owned(),
            postgres,
            broker,
            members,
            prefix: prefix.to_owned(),
            ended_by_themselves: Vec::new(),
        };
        let (code, said) = cluster.run(&["migrate"])?;
        ensure!(code == 0, "the schema cannot be made: {said}");
        for name in ROLES {
            cluster.launch(name)?;
        }
        cluster.until_ready().await?;
        Ok(cluster)
    }

    /// Where clients send commands: one port for each command-api.
    #[must_use]
    pub fn apis(&self) -> Vec<SocketAddr> {
        let apis = self.members.iter().filter(|member| member.name.starts_with("command-api"));
        apis.map(|member| member.front.address()).collect()
    }

    /// Where clients send queries.
    ///
    /// # Panics
    /// Never: there is one.
    #[must_use]
    pub fn queries(&self) -> SocketAddr {
        let api = self.members.iter().find(|member| member.name.starts_with("query-api"));
        api.expect("it is in the list of roles").front.address()
    }

    /// The broker's address.
    #[must_use]
    pub fn kafka(&self) -> &str {
        match &self.broker {
            Broker::Own { address, .. } | Broker::Real { address } => address,
        }
    }

    /// Whether the broker is somebody else's, and not ours to kill.
    #[must_use]
    pub const fn has_real_kafka(&self) -> bool {
        matches!(self.broker, Broker::Real { .. })
    }

    /// The topics.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        broker::topics(&self.prefix).at("").topology.topics()
    }

    /// A connection to PostgreSQL that no proxy disturbs.
    ///
    /// # Errors
    /// When there is none.
    pub async fn sql(&self) -> anyhow::Result<Client> {
        let (client, connection) = tokio_postgres::connect(self.postgres.database_url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A connection to PostgreSQL, as soon as there is one.
    ///
    /// # Errors
    /// When there is none for a long time.
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

    /// Runs another command of the binary beside the cluster; returns its exit code and what it printed.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<(i32, String)> {
        let output = Command::new(&self.binary)
            .args(args)
            .env("DATABASE_URL", self.postgres.database_url())
            .env("KAFKA_BROKERS", self.kafka())
            .env("DAYBOOK_SECRET", SECRET)
            .env("DAYBOOK_TOPIC_PREFIX", &self.prefix)
            .env("DAYBOOK_PARTITIONS", broker::PARTITIONS.to_string())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = output.status.code().unwrap_or(-1);
        if printed.is_empty() {
            return Ok((code, String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok((code, printed))
    }

    /// A token for everything.
    ///
    /// # Errors
    /// When there is none.
    pub fn token(&self) -> anyhow::Result<String> {
        let (code, token) = self.run(&["token", "--role", "admin", "--name", super::ACTOR])?;
        ensure!(code == 0, "there is no token: {token}");
        Ok(token.trim().to_owned())
    }

    fn member(&mut self, name: &str) -> anyhow::Result<&mut Member> {
        self.members.iter_mut().find(|member| member.name == name).with_context(|| format!("there is no {name}"))
    }

    /// Starts a role.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn launch(&mut self, name: &str) -> anyhow::Result<()> {
        let (kafka, api, prefix) = (self.kafka().to_owned(), self.apis()[0], self.prefix.clone());
        let (binary, log) = (self.binary.clone(), self.directory.join(format!("{name}.log")));
        let url = self.postgres.database_url().to_owned();
        let member = self.member(name)?;
        let role = name.rsplit_once('-').map_or(name, |(role, _)| role);
        let (database_url, command_url) = (through(&url, &member.postgres, name)?, format!("http://{api}"));
        let partitions = broker::PARTITIONS.to_string();
        let flags = [
            ("--roles", role),
            ("--listen", "127.0.0.1:0"),
            ("--database-url", &database_url),
            ("--kafka-brokers", &kafka),
            ("--secret", SECRET),
            ("--command-url", &command_url),
            ("--topic-prefix", &prefix),
            ("--partitions", &partitions),
        ];
        let flags = flags.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
        let args: Vec<String> = std::iter::once("serve".to_owned()).chain(flags).collect();
        (member.process, member.ready) = (Some(Process::start(&binary, &args, &log)?), false);
        Ok(())
    }

    /// Kills a role, as a power cut does.
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

    /// Disturbs the network between a role and PostgreSQL.
    ///
    /// # Errors
    /// When there is no such role.
    pub fn disturb_postgres(&mut self, name: &str, network: Network) -> anyhow::Result<()> {
        self.member(name)?.postgres.set(network);
        Ok(())
    }

    /// Disturbs the network between clients and a role.
    ///
    /// # Errors
    /// When there is no such role.
    pub fn disturb_clients(&mut self, name: &str, network: Network) -> anyhow::Result<()> {
        self.member(name)?.front.set(network);
        Ok(())
    }

    /// Takes the broker off the network, or puts it back.
    ///
    /// # Errors
    /// When it is not ours.
    pub fn disturb_broker(&mut self, is_up: bool) -> anyhow::Result<()> {
        use std::io::Write;
        let Broker::Own { process, .. } = &mut self.broker else { bail!("the broker is not ours") };
        let stdin = process.stdin().context("the broker listens")?;
        Ok(writeln!(stdin, "{}", if is_up { "up" } else { "down" })?)
    }

    /// Kills the broker, and starts another one, which knows nothing; whoever talks to it is started anew with its address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn lose_broker(&mut self) -> anyhow::Result<()> {
        if let Broker::Own { process, .. } = &mut self.broker {
            process.kill()?;
        }
        self.broker = Broker::start(&self.directory, &self.prefix).await?;
        for name in ROLES.iter().filter(|name| name.starts_with("relay") || name.starts_with("projectors")) {
            self.kill(name)?;
            self.launch(name)?;
        }
        Ok(())
    }

    /// Kills every process of PostgreSQL at once. Its keeper brings it back.
    ///
    /// # Errors
    /// When it is not running.
    pub fn crash_postgres(&self) -> anyhow::Result<()> {
        let file = self.directory.join("postgres/cluster/postmaster.pid");
        let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let pid = text.lines().next().context("the file begins with a process id")?.trim().parse()?;
        // It was started as the leader of a group of its own.
        Ok(killpg(Pid::from_raw(pid), Signal::SIGKILL)?)
    }

    /// Starts what has ended by itself, and finds the port of what has become ready.
    ///
    /// # Errors
    /// When the system fails.
    pub fn tend(&mut self) -> anyhow::Result<()> {
        let mut ended = Vec::new();
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
                member.front.lead_to(Target::Port(address.parse()?));
            }
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
            ensure!(begin.elapsed() < PATIENCE, "not every role is ready; see {}", self.directory.display());
            self.tend()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Stops PostgreSQL cleanly, after everything else.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.members.clear();
        Ok(self.postgres.stop().await?)
    }
}

impl Broker {
    async fn start(directory: &Path, prefix: &str) -> anyhow::Result<Self> {
        let args = [broker::SUBCOMMAND.to_owned(), prefix.to_owned()];
        let process = Process::start(&std::env::current_exe()?, &args, &directory.join("broker.log"))?;
        let begin = Instant::now();
        loop {
            if let Some(address) = after(&process.said(), "broker at ") {
                return Ok(Self::Own { process, address });
            }
            ensure!(begin.elapsed() < PATIENCE, "the broker does not start: {}", process.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The rest of the line that begins like this, once it is whole.
fn after(text: &str, begin: &str) -> Option<String> {
    let (_, rest) = text.split_once(begin)?;
    let (line, _) = rest.split_once('\n')?;
    Some(line.trim().to_owned())
}

/// Where a proxy in front of PostgreSQL leads.
fn target(url: &str) -> anyhow::Result<Target> {
    let config: tokio_postgres::Config = url.parse()?;
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Unix(directory)) => Ok(Target::Socket(directory.join(format!(".s.PGSQL.{port}")))),
        Some(Host::Tcp(host)) => Ok(Target::Port(format!("{host}:{port}").parse()?)),
        None => bail!("PostgreSQL has no address"),
    }
}

/// The same database, through a proxy, under the name of whoever connects.
fn through(url: &str, proxy: &Proxy, name: &str) -> anyhow::Result<String> {
    let config: tokio_postgres::Config = url.parse()?;
    let user = config.get_user().context("there is a user")?;
    let password = config.get_password().map(|word| format!(":{}", String::from_utf8_lossy(word))).unwrap_or_default();
    let database = config.get_dbname().context("there is a database")?;
    Ok(format!("postgresql://{user}{password}@{}/{database}?application_name={name}", proxy.address()))
}
