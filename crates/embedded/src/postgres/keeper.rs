//! The thread that keeps PostgreSQL running until its [`Keeper`] is dropped.
//!
//! It is a thread and not a task: for the kernel the parent dies with the *thread* that started the child, and threads of an async
//! runtime end at any time. Only this thread handles the child, so no signal reaches a process id that was reused.

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
    server::{Server, StopSignal, stopped_within},
    shutdown::{exited, shut_down},
};

/// How often the server is checked.
const WATCH: Duration = Duration::from_millis(50);

/// How often the size of its log is checked.
const LOG_WATCH: Duration = Duration::from_secs(30);

/// The pause before the first restart. It doubles with each restart.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that has run this long begins with the first pause again.
const STEADY: Duration = Duration::from_secs(30);

/// The handle of the thread. A drop stops the server.
pub(super) struct Keeper {
    /// The thread stops the server when this is dropped.
    running: Option<mpsc::Sender<Infallible>>,
    ended: Option<oneshot::Receiver<Result<(), PostgresError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread. Returns the URL of the server when it accepts connections.
    pub(super) async fn start(settings: PostgresSettings, more: Vec<String>) -> Result<(Self, String), PostgresError> {
        let (running, stop) = mpsc::channel();
        let (send_ready, ready) = oneshot::channel();
        let (send_end, ended) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("postgres-keeper".to_owned())
            .spawn(move || {
                let end = keep(&settings, more, &stop, send_ready);
                // The receiver is gone when the keeper was dropped.
                send_end.send(end).ok();
            })
            .map_err(PostgresError::io("start a thread"))?;
        let mut keeper = Self { running: Some(running), ended: Some(ended), thread: Some(thread) };
        match ready.await {
            Ok(url) => Ok((keeper, url)),
            // The thread has ended before the server was ready, so its result says why.
            Err(_) => Err(keeper.end().await.err().unwrap_or(PostgresError::Stopped)),
        }
    }

    /// Stops the server. Returns when it has ended and the data directory is unlocked.
    pub(super) async fn stop(mut self) -> Result<(), PostgresError> {
        self.end().await
    }

    async fn end(&mut self) -> Result<(), PostgresError> {
        drop(self.running.take());
        match self.ended.take() {
            Some(ended) => ended.await.unwrap_or(Err(PostgresError::Stopped)),
            None => Ok(()),
        }
    }
}

impl Drop for Keeper {
    /// Waits for the end of the server, which takes a tenth of a second.
    fn drop(&mut self) {
        drop(self.running.take());
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
    stop: &StopSignal,
    ready: oneshot::Sender<String>,
) -> Result<(), PostgresError> {
    let mut server = Server::prepare(settings, more, stop)?;
    let mut child = server.launch_first(stop)?;
    if ready.send(server.url()).is_err() {
        return shut_down(&mut child);
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let start = Instant::now();
        let Some(status) = watch(&server, &mut child, stop)? else { return shut_down(&mut child) };
        tracing::error!(%status, "PostgreSQL ended unexpectedly; starting it again");
        if start.elapsed() > STEADY {
            pause = FIRST_PAUSE;
        }
        child = match relaunch(&server, &mut pause, stop) {
            Some(child) => child,
            None => return Ok(()),
        };
        tracing::info!("PostgreSQL runs again");
    }
}

/// Watches the server until it ends by itself, or until it is to stop (`None`).
fn watch(
    server: &Server,
    child: &mut Child,
    stop: &StopSignal,
) -> Result<Option<std::process::ExitStatus>, PostgresError> {
    let mut log_checked = Instant::now();
    loop {
        if stopped_within(stop, WATCH) {
            return Ok(None);
        }
        if let Some(status) = exited(child)? {
            return Ok(Some(status));
        }
        if log_checked.elapsed() > LOG_WATCH {
            log_checked = Instant::now();
            server.rotate_log();
        }
    }
}

/// Restarts the server, with growing pauses, until it runs or is to stop (`None`).
fn relaunch(server: &Server, pause: &mut Duration, stop: &StopSignal) -> Option<Child> {
    loop {
        if stopped_within(stop, *pause) {
            return None;
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        match server.launch(stop) {
            Ok(child) => return Some(child),
            Err(PostgresError::Stopped) => return None,
            Err(error) => tracing::error!(%error, "PostgreSQL cannot be started again yet"),
        }
    }
}
