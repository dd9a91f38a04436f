//! The archive: pg_receivewal receives the write-ahead log shortly after it is written, so that a restore can reach any moment.
//!
//! A replication slot makes the server keep the log that was not received yet, up to a bound. So a pause leaves no gap. Without a slot,
//! or beyond the bound, the log continues in another folder, and only a new base back-up leads there.
//!
//! A thread runs the program, since for the kernel the parent dies with the *thread* that started the child.

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
    store::{Store, entries, own_directory},
    tools::Tools,
    wal::{self, Wal},
};

const PROGRAM: &str = "pg_receivewal";
/// The replication slot.
const SLOT: &str = "daybook_archive";
/// How often the program is checked.
const WATCH: Duration = Duration::from_millis(50);
/// The pause before it is started again.
const PAUSE: Duration = Duration::from_secs(2);
/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running archive. A drop stops it.
pub struct Archive {
    /// The thread stops the program when this is dropped.
    running: Option<mpsc::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
    needs_base: bool,
    _lock: File,
}

impl Archive {
    /// Starts or continues to archive the log of a server into a directory of back-ups.
    ///
    /// # Errors
    /// [`BackupError`] says why nothing can be archived.
    pub async fn start(source: &Source, to: &Path) -> Result<Self, BackupError> {
        source.check_apart(to)?;
        let client = source.connect().await?;
        let server = source::server(&client).await?;
        let tools = Tools::of_version(server.major)?;
        let program = tools.program(PROGRAM)?;
        let store = Store::open_or_make(to, &server.system_identifier)?;
        let lock = store.lock("archive.lock")?;
        let fresh = ensure_slot(&client).await?;
        let directory = folder(&store, server.timeline, fresh)?;
        let wal = Wal::read(&store, server.wal_segment_bytes)?;
        let leads_on = |base: &super::Base| {
            base.server.timeline == server.timeline && wal.reach(base, server.timeline).missing.is_none()
        };
        let needs_base = fresh || !store.readable_bases()?.iter().any(leads_on);
        let executable = Supervisor::this_executable().map_err(BackupError::io("find this executable"))?;
        // A client runs as the user of this process. Only servers drop root.
        let supervisor = Supervisor { executable, identity: Identity::Own, directory: directory.clone() };
        let source = source.clone();
        let torn = directory.clone();
        let segment_bytes = server.wal_segment_bytes;
        let receive = move || {
            let mut command = supervisor.command(&program);
            command.arg("--directory").arg(&directory).args(["--slot", SLOT, "--synchronous", "--no-password"]);
            source.configure(&mut command);
            command
        };
        let (running, stop) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("wal-archive".to_owned())
            .spawn(move || keep(&receive, &|| wal::empty_torn(&torn, segment_bytes), &stop))
            .map_err(BackupError::io("start a thread"))?;
        Ok(Self { running: Some(running), thread: Some(thread), needs_base, _lock: lock })
    }

    /// Whether no base back-up leads to what is archived now.
    #[must_use]
    pub const fn needs_base(&self) -> bool {
        self.needs_base
    }

    /// Stops it. Returns when the received log is on the disk. A server that was stopped earlier has sent all of its log.
    pub async fn stop(mut self) {
        drop(self.running.take());
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
        drop(self.running.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the archive panicked");
        }
    }
}

/// How far the log is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Whether something receives the log at the moment.
    pub is_running: bool,
    /// How many bytes of the log are not archived yet.
    pub behind: i64,
}

/// How far the log is archived. None where no archive was begun, and on a standby, which does not know.
///
/// # Errors
/// When the database failed.
pub async fn received(client: &Client) -> Result<Option<Received>, tokio_postgres::Error> {
    let sql = "SELECT active, greatest(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn), 0)::bigint
               FROM pg_replication_slots WHERE slot_name = $1 AND NOT pg_is_in_recovery()";
    let Some(slot) = client.query_opt(sql, &[&SLOT]).await? else { return Ok(None) };
    // A slot from which nothing was received yet, or whose log was removed, has no place.
    let behind: Option<i64> = slot.try_get(1)?;
    Ok(Some(Received { is_running: slot.try_get(0)?, behind: behind.unwrap_or_default() }))
}

/// Drops the replication slot, so that the server need not keep the log for an archive. Returns whether there was one.
///
/// # Errors
/// When the database failed.
pub async fn forget(source: &Source) -> Result<bool, BackupError> {
    let client = source.connect().await?;
    let sql =
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active";
    Ok(client.execute(sql, &[&SLOT]).await? > 0)
}

/// Makes the replication slot if it is missing or lost. Returns whether it was made.
async fn ensure_slot(client: &Client) -> Result<bool, BackupError> {
    let known = client
        .query_opt("SELECT coalesce(wal_status, '') FROM pg_replication_slots WHERE slot_name = $1", &[&SLOT])
        .await?;
    match known.map(|row| row.try_get::<_, String>(0)).transpose()? {
        Some(status) if status != "lost" => return Ok(false),
        Some(_) => {
            tracing::warn!(
                "the archive has stopped for so long that the server has removed log which was not received"
            );
            client.execute("SELECT pg_drop_replication_slot($1)", &[&SLOT]).await?;
        }
        None => {}
    }
    client.execute("SELECT pg_create_physical_replication_slot($1, true)", &[&SLOT]).await?;
    Ok(true)
}

/// The folder of the log. pg_receivewal continues after the last file of its folder, so a log with a gap needs another folder.
fn folder(store: &Store, timeline: u32, fresh: bool) -> Result<PathBuf, BackupError> {
    let wal = store.path().join("wal");
    own_directory(&wal)?;
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
    own_directory(&directory)?;
    Ok(directory)
}

/// Restarts the program whenever it ends, until it is to stop. What a full disk has left behind is mended each time.
fn keep(receive: &dyn Fn() -> Command, mend: &dyn Fn() -> Result<(), BackupError>, stop: &Receiver<Infallible>) {
    loop {
        if let Err(error) = mend() {
            tracing::error!(%error, "the folder of the archived log cannot be mended");
        }
        match spawn(receive()) {
            Ok(mut child) => {
                if watch(&mut child, stop) {
                    return end(&mut child);
                }
            }
            Err(error) => tracing::error!(%error, "the write-ahead log is not archived: {PROGRAM} cannot be started"),
        }
        if stopped_within(stop, PAUSE) {
            return;
        }
    }
}

fn spawn(mut command: Command) -> std::io::Result<Child> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(errors) = child.stderr.take() {
        thread::Builder::new().name("wal-archive-log".to_owned()).spawn(move || {
            // It ends with the program, or at a line that cannot be read.
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                tracing::warn!("{line}");
            }
        })?;
    }
    Ok(child)
}

/// Waits until the program is to stop (`true`), or has ended by itself.
fn watch(child: &mut Child, stop: &Receiver<Infallible>) -> bool {
    loop {
        if stopped_within(stop, WATCH) {
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

fn stopped_within(stop: &Receiver<Infallible>, wait: Duration) -> bool {
    matches!(stop.recv_timeout(wait), Err(RecvTimeoutError::Disconnected))
}

/// Asks the program to end. It writes the received log to the disk first.
fn end(child: &mut Child) {
    let sent = i32::try_from(child.id()).map(|id| kill(Pid::from_raw(id), Signal::SIGINT));
    let since = Instant::now();
    while matches!(sent, Ok(Ok(()))) && since.elapsed() < PATIENCE {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(WATCH);
    }
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::error!(%error, "{PROGRAM} could not be stopped");
    }
}
