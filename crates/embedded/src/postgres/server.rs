//! One server on one data directory: made ready, initialised, launched, shut down. It blocks; it belongs to the
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
    directory::{DataDirectory, give, private_directory},
    error::PostgresError,
    orphans, privileges,
    shutdown::{exited, shut_down},
};
use crate::supervisor::Supervisor;

/// How often a child is looked at while something is expected of it soon.
const SOON: Duration = Duration::from_millis(5);

/// How many ports are tried when somebody else takes the one that was free a moment ago.
const PORTS_TRIED: u32 = 3;

/// Open as long as the server is wanted; nothing is ever sent through it.
pub(super) type Wanted = Receiver<std::convert::Infallible>;

/// Waits a while, and says whether the server is no longer wanted.
pub(super) fn released(wanted: &Wanted, wait: Duration) -> bool {
    match wanted.recv_timeout(wait) {
        Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => true,
        Ok(never) => match never {},
    }
}

/// A server that is ready to be launched, any number of times.
pub(super) struct Server {
    directory: DataDirectory,
    binaries: Binaries,
    supervisor: Supervisor,
    address: Address,
    password: String,
    durable: bool,
    /// Settings that have the last word, as `name=value`.
    more: Vec<String>,
    /// Held for as long as this lives.
    _lock: File,
}

impl Server {
    /// Takes the data directory, finds the programs, and makes the cluster when there is none.
    pub(super) fn prepare(
        settings: &PostgresSettings,
        more: Vec<String>,
        wanted: &Wanted,
    ) -> Result<Self, PostgresError> {
        let directory = DataDirectory::open(&settings.data_dir)?;
        let lock = directory.lock()?;
        let (cluster, version) = (directory.cluster(), directory.cluster_version()?);
        let binaries = Search::here().find(version.map(|major| (major, cluster.as_path())))?;
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
            server.initialise(wanted)?;
        }
        // A move, or another way of giving up root, may have changed who must own it.
        give(&server.directory.cluster(), owner)?;
        give(&server.directory.password(), owner)?;
        Ok(server)
    }

    pub(super) fn url(&self) -> String {
        self.address.url(&self.password)
    }

    /// Launches for the first time, when nobody knows the address yet and another port will do as well.
    pub(super) fn launch_first(&mut self, wanted: &Wanted) -> Result<Child, PostgresError> {
        for _ in 1..PORTS_TRIED {
            match (self.launch(wanted), &self.address) {
                (Err(PostgresError::Start { .. }), Address::Port(_)) => self.address = Address::free_port()?,
                (outcome, _) => return outcome,
            }
        }
        self.launch(wanted)
    }

    /// Launches, and returns when it takes connections. Recovery after a crash takes as long as it takes.
    pub(super) fn launch(&self, wanted: &Wanted) -> Result<Child, PostgresError> {
        orphans::clear(&self.directory.cluster())?;
        let owner = self.supervisor.identity.owner();
        configuration::write(&self.directory, &self.address, &self.binaries, self.durable, owner)?;
        let log = self.directory.open_log()?;
        let said_before = log.metadata().map_err(PostgresError::io("measure the log"))?.len();
        let mut arguments = vec!["-D".into(), self.directory.cluster()];
        arguments.extend(self.more.iter().flat_map(|setting| ["-c".into(), setting.into()]));
        let mut child = self.spawn("postgres", &arguments, log)?;
        match self.until_ready(&mut child, wanted) {
            Ok(None) => Ok(child),
            Ok(Some(status)) => Err(PostgresError::Start {
                status: status.to_string(),
                log: self.directory.log(),
                output: self.directory.log_since(said_before),
            }),
            Err(error) => {
                shut_down(&mut child)?;
                Err(error)
            }
        }
    }

    /// Keeps the log at its size.
    pub(super) fn rotate_log(&self) {
        if let Err(error) = self.directory.rotate_log() {
            tracing::warn!(%error, "the log of PostgreSQL cannot be set aside");
        }
    }

    fn until_ready(&self, child: &mut Child, wanted: &Wanted) -> Result<Option<ExitStatus>, PostgresError> {
        let mut last_word = Instant::now();
        loop {
            if let Some(status) = exited(child)? {
                return Ok(Some(status));
            }
            if self.is_ready(child.id()) {
                return Ok(None);
            }
            if last_word.elapsed() > Duration::from_secs(5) {
                last_word = Instant::now();
                tracing::info!("PostgreSQL is still starting (after a crash it reads its log again)");
            }
            if released(wanted, SOON) {
                return Err(PostgresError::Stopped);
            }
        }
    }

    /// PostgreSQL says so on the eighth line of its `postmaster.pid`; that is where pg_ctl looks as well.
    fn is_ready(&self, process: u32) -> bool {
        let Ok(text) = fs::read_to_string(self.directory.cluster().join("postmaster.pid")) else { return false };
        let mut lines = text.lines().map(str::trim);
        lines.next() == Some(&process.to_string()) && lines.nth(6) == Some("ready")
    }

    /// Makes the cluster beside its place, and moves it there when it is whole.
    fn initialise(&self, wanted: &Wanted) -> Result<(), PostgresError> {
        tracing::info!(
            version = self.binaries.major,
            "making a PostgreSQL cluster in {}",
            self.directory.path().display()
        );
        let beside = self.directory.initialising();
        orphans::clear(&beside)?;
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(PostgresError::io(format!("remove {}", beside.display())))?;
        }
        private_directory(&beside, self.supervisor.identity.owner())?;

        let log = self.directory.open_log()?;
        let said_before = log.metadata().map_err(PostgresError::io("measure the log"))?.len();
        let mut child = self.spawn("initdb", &self.initdb_arguments(), log)?;
        let status = loop {
            match exited(&mut child)? {
                Some(status) => break status,
                None if released(wanted, SOON) => {
                    shut_down(&mut child)?;
                    return Err(PostgresError::Stopped);
                }
                None => {}
            }
        };
        if !status.success() {
            let output = self.directory.log_since(said_before);
            return Err(PostgresError::Initialise { status: status.to_string(), output });
        }
        let in_place = self.directory.cluster();
        fs::rename(&beside, &in_place)
            .and_then(|()| File::open(self.directory.path())?.sync_all())
            .map_err(PostgresError::io(format!("move the new cluster to {}", in_place.display())))
    }

    fn initdb_arguments(&self) -> Vec<PathBuf> {
        let mut arguments: Vec<PathBuf> = vec!["-D".into(), self.directory.initialising()];
        let mut say = |argument: String| arguments.push(argument.into());
        say(format!("--username={NAME}"));
        say("--encoding=UTF8".to_owned());
        // Ordered by code point, which no upgrade of the system changes under an index; letters are those of Unicode.
        if self.binaries.major >= 17 {
            say("--locale=C".to_owned());
            say("--locale-provider=builtin".to_owned());
            say("--builtin-locale=C.UTF-8".to_owned());
        } else if cfg!(target_os = "macos") {
            say("--locale=C".to_owned());
            say("--lc-ctype=en_US.UTF-8".to_owned());
        } else {
            say("--locale=C.UTF-8".to_owned());
        }
        say("--auth-local=trust".to_owned());
        say("--auth-host=scram-sha-256".to_owned());
        if !self.durable {
            say("--no-sync".to_owned());
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
