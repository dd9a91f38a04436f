//! The thread that keeps PostgreSQL running for as long as somebody holds its [`Keeper`].
//!
//! It is a thread of its own, not a task, because the kernel takes the end of the *thread* that started a process for the
//! death of its parent, and the threads of an async runtime come and go. It alone touches the child, so a signal never
//! meets a process id that was given to somebody else meanwhile.

use std::{
    convert::Infallible,
    process::Child,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    PostgresSettings,
    error::PostgresError,
    server::{Server, Wanted, released},
    shutdown::{exited, shut_down},
};

/// How often the server is looked at.
const WATCH: Duration = Duration::from_millis(50);

/// How often its log is measured.
const LOG_WATCH: Duration = Duration::from_secs(30);

/// The pause before a restart doubles from the first to the second, and begins anew when a server has run this long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const STEADY: Duration = Duration::from_secs(30);

/// Holds the server: letting go stops it.
pub(super) struct Keeper {
    hold: Option<mpsc::Sender<Infallible>>,
    ended: Option<oneshot::Receiver<Result<(), PostgresError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread, and returns when the server takes connections, with its URL.
    pub(super) async fn start(settings: PostgresSettings, more: Vec<String>) -> Result<(Self, String), PostgresError> {
        let (hold, wanted) = mpsc::channel();
        let (tell_ready, ready) = oneshot::channel();
        let (tell_end, ended) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("postgres-keeper".to_owned())
            .spawn(move || {
                let end = keep(&settings, more, &wanted, tell_ready);
                // Nobody listens when the keeper was dropped.
                tell_end.send(end).ok();
            })
            .map_err(PostgresError::io("start a thread"))?;
        let mut keeper = Self { hold: Some(hold), ended: Some(ended), thread: Some(thread) };
        match ready.await {
            Ok(url) => Ok((keeper, url)),
            // It ended without being ready, and says why at its end.
            Err(_) => Err(keeper.end().await.err().unwrap_or(PostgresError::Stopped)),
        }
    }

    /// Stops the server, and returns when it is gone and the data directory is free.
    pub(super) async fn stop(mut self) -> Result<(), PostgresError> {
        self.end().await
    }

    async fn end(&mut self) -> Result<(), PostgresError> {
        drop(self.hold.take());
        match self.ended.take() {
            Some(ended) => ended.await.unwrap_or(Err(PostgresError::Stopped)),
            None => Ok(()),
        }
    }
}

impl Drop for Keeper {
    /// The safety net: waits for the server to be gone, which takes a tenth of a second.
    fn drop(&mut self) {
        drop(self.hold.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that kept PostgreSQL panicked");
        }
    }
}

fn keep(
    settings: &PostgresSettings,
    more: Vec<String>,
    wanted: &Wanted,
    ready: oneshot::Sender<String>,
) -> Result<(), PostgresError> {
    let mut server = Server::prepare(settings, more, wanted)?;
    let mut child = server.launch_first(wanted)?;
    if ready.send(server.url()).is_err() {
        return shut_down(&mut child);
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let start = Instant::now();
        let Some(status) = watch(&server, &mut child, wanted)? else { return shut_down(&mut child) };
        tracing::error!(%status, "PostgreSQL ended unexpectedly; starting it again");
        if start.elapsed() > STEADY {
            pause = FIRST_PAUSE;
        }
        child = match relaunch(&server, &mut pause, wanted) {
            Some(child) => child,
            None => return Ok(()),
        };
        tracing::info!("PostgreSQL is back");
    }
}

/// Watches until the server ends by itself, or is no longer wanted (`None`).
fn watch(
    server: &Server,
    child: &mut Child,
    wanted: &Wanted,
) -> Result<Option<std::process::ExitStatus>, PostgresError> {
    let mut log_seen = Instant::now();
    loop {
        if released(wanted, WATCH) {
            return Ok(None);
        }
        if let Some(status) = exited(child)? {
            return Ok(Some(status));
        }
        if log_seen.elapsed() > LOG_WATCH {
            log_seen = Instant::now();
            server.rotate_log();
        }
    }
}

/// Tries until the server runs, more and more slowly, or until it is no longer wanted (`None`).
fn relaunch(server: &Server, pause: &mut Duration, wanted: &Wanted) -> Option<Child> {
    loop {
        if released(wanted, *pause) {
            return None;
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        match server.launch(wanted) {
            Ok(child) => return Some(child),
            Err(PostgresError::Stopped) => return None,
            Err(error) => tracing::error!(%error, "PostgreSQL cannot be started again yet"),
        }
    }
}
