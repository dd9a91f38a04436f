//! Several command-apis, each a process of its own, on the book of a measurement.

use std::{net::SocketAddr, process::Stdio};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};

use super::{
    http::{Caller, SECRET, keys, token},
    stage::Stage,
};

/// What a process prints when it takes commands.
const READY: &str = "daybook is ready on http://";

/// Running command-apis. They end when this is dropped.
pub(super) struct Processes {
    processes: Vec<Process>,
    token: String,
}

struct Process {
    _child: Child,
    /// Kept open, since a process that prints into a closed pipe would end.
    _output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Processes {
    /// Starts so many, one after the other. The first one takes the seat.
    pub(super) async fn start(stage: &Stage, count: u32) -> anyhow::Result<Self> {
        let token = token(&keys()?)?;
        let mut processes = Vec::new();
        for _ in 0..count {
            processes.push(start_one(stage).await?);
        }
        Ok(Self { processes, token })
    }

    /// A caller with a connection of its own to one of the first `among` processes, by its number.
    pub(super) async fn caller(&self, number: u32, among: usize) -> anyhow::Result<Caller> {
        let nr = usize::try_from(number)? % among.clamp(1, self.processes.len());
        Caller::connect(self.processes[nr].address, &self.token).await
    }
}

async fn start_one(stage: &Stage) -> anyhow::Result<Process> {
    let executable = std::env::current_exe().context("the running program cannot be found")?;
    let secret = std::str::from_utf8(SECRET).context("the secret of the bench is a text")?;
    let mut child = Command::new(executable)
        .args(["serve", "--roles", "command-api", "--listen", "127.0.0.1:0"])
        // A rate limit would be measured instead of the engine. This role uses no broker.
        .args(["--rate-per-staff", "off", "--kafka-brokers", "127.0.0.1:1"])
        .env("DATABASE_URL", &stage.database_url)
        .env("DAYBOOK_SECRET", secret)
        .env_remove("DAYBOOK_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("a command-api cannot be started")?;
    let mut output = BufReader::new(child.stdout.take().context("the output is piped")?);
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(output.read_line(&mut line).await? > 0, "a command-api has ended");
        if let Some(address) = line.trim().strip_prefix(READY) {
            let address = address.parse().context("a command-api has an address")?;
            return Ok(Process { _child: child, _output: output, address });
        }
    }
}
