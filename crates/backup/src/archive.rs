//! Archiving: pg_receivewal follows the write-ahead log, a moment behind the server, so that a restore can go to any moment.
//!
//! A replication slot makes the server keep what was not received yet (up to a bound), so a pause leaves no gap. Where there was
//! no slot, or the bound was passed, the log goes on elsewhere and only a new base back-up leads there.
//!
//! It is kept by a thread of its own, because the kernel takes the end of the *thread* that started a process for the death of its
//! parent.

use std::{
    convert::Infallible,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use daybook_embedded::supervisor::{Identity, Supervisor};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio_postgres::Client;

use super::{
    BackupError, Source, source,
    store::{Store, entries, private},
    tools::Tools,
    wal::Wal,
};

const PROGRAM: &str = "pg_receivewal";
/// The replication slot.
const SLOT: &str = "daybook_archive";
/// How often the program is looked at.
const WATCH: Duration = Duration::from_millis(50);
/// How long to wait before it is started again.
const PAUSE: Duration = Duration::from_secs(2);
/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// An archive that is being filled. Let go of, it stops.
pub struct Archive {
    hold: Option<mpsc::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
    needs_base: bool,
    _lock: File,
}

impl Archive {
    /// Begins to archive the log of a server into a directory of back-ups, or goes on.
    ///
    /// # Errors
    /// [`BackupError`] says why nothing can be archived.
    pub async fn start(source: &Source, to: &Path) -> Result<Self, BackupError> {
        let client = source.connect().await?;
        let server = source::server(&client).await?;
        let tools = Tools::of_version(server.major)?;
        let program = tools.program(PROGRAM)?;
        let store = Store::open_or_make(to, &server.system_identifier)?;
        let lock = store.lock("archive.lock")?;
        let fresh = ensure_slot(&client).await?;
        let directory = place(&store, server.timeline, fresh)?;
        let wal = Wal::read(&store, server.wal_segment_bytes)?;
        let leads_on = |base: &super::Base| {
            base.server.timeline == server.timeline && wal.reach(base, server.timeline).missing.is_none()
        };
        let needs_base = fresh || !store.bases()?.iter().any(leads_on);
        let executable = Supervisor::this_executable().map_err(BackupError::io("find this executable"))?;
        // A client writes what whoever calls it may; only servers give root up.
        let supervisor = Supervisor { executable, identity: Identity::Own, directory: directory.clone() };
        let source = source.clone();
        let receive = move || {
            let mut command = supervisor.command(&program);
            command.arg("--directory").arg(&directory).args(["--slot", SLOT, "--synchronous", "--no-password"]);
            source.tell(&mut command);
            command
        };
        let (hold, wanted) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("wal-archive".to_owned())
            .spawn(move || keep(&receive, &wanted))
            .map_err(BackupError::io("start a thread"))?;
        Ok(Self { hold: Some(hold), thread: Some(thread), needs_base, _lock: lock })
    }

    /// Whether no base back-up leads to what is archived now.
    #[must_use]
    pub const fn needs_base(&self) -> bool {
        self.needs_base
    }

    /// Stops it, and returns when what was received is on the disk. A server that is stopped before this has sent everything.
    pub async fn stop(mut self) {
        drop(self.hold.take());
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the thread of the archive panicked");
            }
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        drop(self.hold.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the archive panicked");
        }
    }
}

/// Nobody archives the log any more: the server need not keep it. Returns whether somebody did.
///
/// # Errors
/// When the database failed.
pub async fn forget(source: &Source) -> Result<bool, BackupError> {
    let client = source.connect().await?;
    let sql =
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active";
    Ok(client.execute(sql, &[&SLOT]).await? > 0)
}

/// Sees to it that the server keeps what was not received yet. Returns whether it begins to do so only now.
async fn ensure_slot(client: &Client) -> Result<bool, BackupError> {
    let known = client
        .query_opt("SELECT coalesce(wal_status, '') FROM pg_replication_slots WHERE slot_name = $1", &[&SLOT])
        .await?;
    match known.map(|row| row.try_get::<_, String>(0)).transpose()? {
        Some(status) if status != "lost" => return Ok(false),
        Some(_) => {
            tracing::warn!("the archive was away for so long that the server has thrown away what it lacks");
            client.execute("SELECT pg_drop_replication_slot($1)", &[&SLOT]).await?;
        }
        None => {}
    }
    client.execute("SELECT pg_create_physical_replication_slot($1, true)", &[&SLOT]).await?;
    Ok(true)
}

/// Where the log goes: pg_receivewal goes on after the last file of its directory, so what does not go on from it is put elsewhere.
fn place(store: &Store, timeline: u32, fresh: bool) -> Result<PathBuf, BackupError> {
    let wal = store.path().join("wal");
    private(&wal, true)?;
    let own = format!("{timeline:08X}");
    let runs = entries(&wal)?.filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        name.strip_prefix(&own)?.strip_prefix('.')?.parse::<u32>().ok()
    });
    let last = runs.max();
    let run = match last {
        None => 1,
        Some(last) => last + u32::from(fresh),
    };
    let directory = wal.join(format!("{own}.{run}"));
    private(&directory, true)?;
    Ok(directory)
}

/// Keeps the program running for as long as it is wanted.
fn keep(receive: &dyn Fn() -> Command, wanted: &Receiver<Infallible>) {
    loop {
        match spawn(receive()) {
            Ok(mut child) => {
                if watch(&mut child, wanted) {
                    return end(&mut child);
                }
            }
            Err(error) => tracing::error!(%error, "the write-ahead log is not archived: {PROGRAM} cannot be started"),
        }
        if released(wanted, PAUSE) {
            return;
        }
    }
}

fn spawn(mut command: Command) -> std::io::Result<Child> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(errors) = child.stderr.take() {
        thread::Builder::new().name("wal-archive-log".to_owned()).spawn(move || {
            // It ends with the program, or with what cannot be read any more.
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                tracing::warn!("{line}");
            }
        })?;
    }
    Ok(child)
}

/// Waits until it is not wanted any more (`true`), or has ended by itself.
fn watch(child: &mut Child, wanted: &Receiver<Infallible>) -> bool {
    loop {
        if released(wanted, WATCH) {
            return true;
        }
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                tracing::error!(%status, "{PROGRAM} has ended; starting it again");
                return false;
            }
            Err(error) => {
                tracing::error!(%error, "{PROGRAM} cannot be watched");
                return false;
            }
        }
    }
}

fn released(wanted: &Receiver<Infallible>, wait: Duration) -> bool {
    matches!(wanted.recv_timeout(wait), Err(RecvTimeoutError::Disconnected))
}

/// Asks it to end, which makes it write what it has to the disk.
fn end(child: &mut Child) {
    let asked = i32::try_from(child.id()).map(|id| kill(Pid::from_raw(id), Signal::SIGINT));
    let since = Instant::now();
    while matches!(asked, Ok(Ok(()))) && since.elapsed() < PATIENCE {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(WATCH);
    }
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::error!(%error, "{PROGRAM} could not be stopped");
    }
}
