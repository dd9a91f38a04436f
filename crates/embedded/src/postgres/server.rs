//! One server on one directory: prepared, initialised and launched. All of it blocks, so it runs on the
//! [`keeper`](super::keeper)'s thread.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use super::{
    PostgresSettings,
    binaries::{Binaries, Search},
    configuration::{self, Address, NAME},
    directory::{DataDirectory, change_owner, private_directory},
    error::PostgresError,
    orphans, privileges,
    shutdown::{exited, shut_down},
};
use crate::supervisor::Supervisor;

/// How often a child is checked while it starts.
const POLL: Duration = Duration::from_millis(5);

/// How many ports are tried when another process takes a free port first.
const PORTS_TRIED: u32 = 3;

/// Closed when the server is to stop. Nothing is sent through it.
pub(super) type StopSignal = Receiver<std::convert::Infallible>;

/// Waits, and says whether the server is to stop.
pub(super) fn stopped_within(stop: &StopSignal, wait: Duration) -> bool {
    match stop.recv_timeout(wait) {
        Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => true,
        Ok(never) => match never {},
    }
}

/// A server that can be launched, any number of times.
pub(super) struct Server {
    directory: DataDirectory,
    binaries: Binaries,
    supervisor: Supervisor,
    address: Address,
    password: String,
    durable: bool,
    /// Settings that override all others, as `name=value`.
    more: Vec<String>,
    /// The lock of the directory.
    _lock: File,
}

impl Server {
    /// Locks the directory, finds the programs, and makes the cluster if there is none.
    pub(super) fn prepare(
        settings: &PostgresSettings,
        more: Vec<String>,
        stop: &StopSignal,
    ) -> Result<Self, PostgresError> {
        let directory = DataDirectory::open(&settings.data_dir)?;
        let lock = directory.lock()?;
        let (cluster, version) = (directory.cluster(), directory.cluster_version()?);
        let binaries = Search::here().find(version).map_err(|missing| missing.for_cluster(&cluster, version))?;
        let executable = match &settings.supervisor {
            Some(executable) => executable.clone(),
            None => Supervisor::this_executable().map_err(PostgresError::io("find this executable"))?,
        };
        let supervisor = privileges::choose(&executable, &binaries, directory.path())?;
        let owner = supervisor.identity.owner();
        let password = configuration::password(&directory.password(), owner)?;
        let address = Address::choose(&directory)?;
        let server =
            Self { directory, binaries, supervisor, address, password, durable: settings.durable, more, _lock: lock };
        if version.is_none() {
            server.initialise(stop)?;
        }
        // The owner may be another one after a move, or when the server runs as another user now.
        change_owner(&server.directory.cluster(), owner)?;
        change_owner(&server.directory.password(), owner)?;
        Ok(server)
    }

    pub(super) fn url(&self) -> String {
        self.address.url(&self.password)
    }

    /// Launches for the first time. No client knows the address yet, so another port may be taken.
    pub(super) fn launch_first(&mut self, stop: &StopSignal) -> Result<Child, PostgresError> {
        for _ in 1..PORTS_TRIED {
            match (self.launch(stop), &self.address) {
                (Err(PostgresError::Start { .. }), Address::Port(_)) => self.address = Address::free_port()?,
                (outcome, _) => return outcome,
            }
        }
        self.launch(stop)
    }

    /// Launches, and returns when the server accepts connections. There is no time limit, since recovery may take long.
    pub(super) fn launch(&self, stop: &StopSignal) -> Result<Child, PostgresError> {
        orphans::clear(&self.directory.cluster())?;
        let owner = self.supervisor.identity.owner();
        configuration::write(&self.directory, &self.address, &self.binaries, self.durable, owner)?;
        let log = self.directory.open_log()?;
        let log_start = log.metadata().map_err(PostgresError::io("measure the log"))?.len();
        let mut arguments = vec!["-D".into(), self.directory.cluster()];
        arguments.extend(self.more.iter().flat_map(|setting| ["-c".into(), setting.into()]));
        let mut child = self.spawn("postgres", &arguments, log)?;
        match self.until_ready(&mut child, stop) {
            Ok(None) => Ok(child),
            Ok(Some(status)) => Err(PostgresError::Start {
                status: status.to_string(),
                log: self.directory.log(),
                output: self.directory.log_since(log_start),
            }),
            Err(error) => {
                shut_down(&mut child)?;
                Err(error)
            }
        }
    }

    /// Rotates the log if it is full.
    pub(super) fn rotate_log(&self) {
        if let Err(error) = self.directory.rotate_log() {
            tracing::warn!(%error, "the log of PostgreSQL cannot be rotated");
        }
    }

    fn until_ready(&self, child: &mut Child, stop: &StopSignal) -> Result<Option<ExitStatus>, PostgresError> {
        let mut reported = Instant::now();
        loop {
            if let Some(status) = exited(child)? {
                return Ok(Some(status));
            }
            if self.is_ready(child.id()) {
                return Ok(None);
            }
            if reported.elapsed() > Duration::from_secs(5) {
                reported = Instant::now();
                tracing::info!("PostgreSQL is still starting (after a crash it replays its log)");
            }
            if stopped_within(stop, POLL) {
                return Err(PostgresError::Stopped);
            }
        }
    }

    /// PostgreSQL writes its state to the eighth line of `postmaster.pid`. pg_ctl reads it there, too.
    fn is_ready(&self, process: u32) -> bool {
        let Ok(text) = fs::read_to_string(self.directory.cluster().join("postmaster.pid")) else { return false };
        let mut lines = text.lines().map(str::trim);
        lines.next() == Some(&process.to_string()) && lines.nth(6) == Some("ready")
    }

    /// Makes the cluster in another folder, and renames that when the cluster is complete.
    fn initialise(&self, stop: &StopSignal) -> Result<(), PostgresError> {
        tracing::info!(
            version = self.binaries.major,
            "making a PostgreSQL cluster in {}",
            self.directory.path().display()
        );
        let unfinished = self.directory.initialising();
        orphans::clear(&unfinished)?;
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(PostgresError::io(format!("remove {}", unfinished.display())))?;
        }
        private_directory(&unfinished, self.supervisor.identity.owner())?;

        let log = self.directory.open_log()?;
        let log_start = log.metadata().map_err(PostgresError::io("measure the log"))?.len();
        let mut child = self.spawn("initdb", &self.initdb_arguments(), log)?;
        let status = loop {
            match exited(&mut child)? {
                Some(status) => break status,
                None if stopped_within(stop, POLL) => {
                    shut_down(&mut child)?;
                    return Err(PostgresError::Stopped);
                }
                None => {}
            }
        };
        if !status.success() {
            let output = self.directory.log_since(log_start);
            return Err(PostgresError::Initialise { status: status.to_string(), output });
        }
        let cluster = self.directory.cluster();
        fs::rename(&unfinished, &cluster)
            .and_then(|()| File::open(self.directory.path())?.sync_all())
            .map_err(PostgresError::io(format!("move the new cluster to {}", cluster.display())))
    }

    fn initdb_arguments(&self) -> Vec<PathBuf> {
        let mut arguments: Vec<PathBuf> = vec!["-D".into(), self.directory.initialising()];
        let mut add = |argument: String| arguments.push(argument.into());
        add(format!("--username={NAME}"));
        add("--encoding=UTF8".to_owned());
        // Texts are ordered by code point, which no upgrade of the system changes. Letters are those of Unicode.
        if self.binaries.major >= 17 {
            add("--locale=C".to_owned());
            add("--locale-provider=builtin".to_owned());
            add("--builtin-locale=C.UTF-8".to_owned());
        } else if cfg!(target_os = "macos") {
            add("--locale=C".to_owned());
            add("--lc-ctype=en_US.UTF-8".to_owned());
        } else {
            add("--locale=C.UTF-8".to_owned());
        }
        add("--auth-local=trust".to_owned());
        add("--auth-host=scram-sha-256".to_owned());
        if !self.durable {
            add("--no-sync".to_owned());
        }
        arguments.push("--pwfile".into());
        arguments.push(self.directory.password());
        arguments
    }

    fn spawn(&self, program: &str, arguments: &[PathBuf], log: File) -> Result<Child, PostgresError> {
        let doing = || format!("start {program}");
        let also = log.try_clone().map_err(PostgresError::io(doing()))?;
        self.supervisor
            .command(&self.binaries.directory.join(program))
            .args(arguments)
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(also))
            .spawn()
            .map_err(PostgresError::io(doing()))
    }
}
