//! The broker, as a process that can be killed. The embedded one is this executable as `nemesis __broker`, and loses its topics with its
//! process. Apache Kafka keeps its log. An external broker gets no faults.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use daybook_operations::Topics;

use super::process::Process;

/// The hidden subcommand that runs the embedded broker.
pub const SUBCOMMAND: &str = "__broker";

/// How many partitions each topic has.
pub const PARTITIONS: i32 = 4;

/// How long a broker may take to answer. Only a broker that hangs takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The prefix of the topics of a run.
#[must_use]
pub fn topics(prefix: &str) -> Topics {
    Topics { topic_prefix: prefix.to_owned(), partitions: PARTITIONS, replication: 1, fetch_wait_ms: None }
}

/// Which broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// librdkafka's own cluster. It starts without topics every time.
    Embedded,
    /// Apache Kafka, which this script (`.ci/kafka`) fetches and runs.
    Apache(PathBuf),
    /// An external broker at this address, which gets no faults.
    Foreign(String),
}

/// A running broker.
pub struct Broker {
    kind: Kind,
    directory: PathBuf,
    prefix: String,
    process: Option<Process>,
    address: String,
}

impl Broker {
    /// Starts a broker with its log and data in a directory, and returns when it answers.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(kind: &Kind, directory: &Path, prefix: &str) -> anyhow::Result<Self> {
        let address = if let Kind::Foreign(address) = kind { address.clone() } else { String::new() };
        let (directory, prefix) = (directory.to_owned(), prefix.to_owned());
        let mut broker = Self { kind: kind.clone(), directory, prefix, process: None, address };
        broker.launch().await?;
        Ok(broker)
    }

    /// Restarts the broker, with its data if it keeps any.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn launch(&mut self) -> anyhow::Result<()> {
        let log = self.directory.join("broker.log");
        let (process, sign) = match &self.kind {
            Kind::Foreign(_) => return Ok(()),
            Kind::Embedded => {
                let args = [SUBCOMMAND.to_owned(), self.prefix.clone()];
                (Process::start(&std::env::current_exe()?, &args, &log)?, "broker at ")
            }
            Kind::Apache(script) => {
                let args = ["serve".to_owned(), self.data().to_string_lossy().into_owned()];
                (Process::start(script, &args, &log)?, "Kafka Server started")
            }
        };
        let process = self.process.insert(process);
        let begin = Instant::now();
        let rest = loop {
            if let Some(rest) = after(&process.said(), sign) {
                break rest;
            }
            let gone = process.ended()?.is_some();
            ensure!(!gone && begin.elapsed() < PATIENCE, "the broker does not start: {}", process.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        self.address = match self.kind {
            Kind::Apache(_) => std::fs::read_to_string(self.data().join("address"))?.trim().to_owned(),
            _ => rest,
        };
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.directory.join("kafka")
    }

    /// Kills the broker with SIGKILL, as a power cut would.
    ///
    /// # Errors
    /// When it is external, or does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.process.take().context("the broker is not ours, or does not run")?.kill()?)
    }

    /// How the broker ended by itself, if it has. librdkafka's broker has assertions that fail when a client joins its group again over
    /// another connection.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn ended(&mut self) -> anyhow::Result<Option<String>> {
        let Some(process) = &mut self.process else { return Ok(None) };
        let Some(status) = process.ended()? else { return Ok(None) };
        let said = process.said();
        Ok(Some(format!("the broker ended by itself, with {status}: {}", said.lines().next_back().unwrap_or_default())))
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its port, for a proxy in front of it.
    ///
    /// # Errors
    /// When its address has no port.
    pub fn port(&self) -> anyhow::Result<Option<SocketAddr>> {
        match self.kind {
            Kind::Foreign(_) => Ok(None),
            _ => Ok(Some(self.address.parse()?)),
        }
    }

    /// The kind of broker.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }
}

/// Runs the embedded broker until its input ends.
///
/// # Errors
/// When it does not start.
pub fn run(prefix: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let broker = runtime.block_on(daybook_event_stream::broker::Broker::start(topics(prefix).embedded()))?;
    println!("broker at {}", broker.bootstrap_servers());
    std::io::stdout().flush()?;
    // The parent holds the input open.
    std::io::stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The rest of the line after a prefix, once the line is complete.
#[must_use]
pub fn after(text: &str, begin: &str) -> Option<String> {
    let (_, rest) = text.split_once(begin)?;
    let (line, _) = rest.split_once('\n')?;
    Some(line.trim().to_owned())
}
