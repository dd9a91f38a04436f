//! Stopping a server: by a clean request first, by SIGKILL last.

use std::{
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::error::PostgresError;

/// How often a child that is to stop is checked.
const POLL: Duration = Duration::from_millis(5);

/// The signals that stop a server, and how long each may take: a fast shutdown with a checkpoint, an immediate one, and a kill.
pub(super) const SHUTDOWN: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(60)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(10)),
];

/// The exit status of a child that has ended.
pub(super) fn exited(child: &mut Child) -> Result<Option<ExitStatus>, PostgresError> {
    child.try_wait().map_err(PostgresError::io("watch PostgreSQL"))
}

/// Stops a child by one signal after the other.
pub(super) fn shut_down(child: &mut Child) -> Result<(), PostgresError> {
    for (signal, patience) in SHUTDOWN {
        if exited(child)?.is_some() {
            return Ok(());
        }
        let process = i32::try_from(child.id()).map_err(std::io::Error::other);
        let process = process.map_err(PostgresError::io("find the process of PostgreSQL"))?;
        // The child was not reaped yet, so its id cannot have been reused.
        kill(Pid::from_raw(process), signal)
            .map_err(|errno| PostgresError::io(format!("send {signal} to PostgreSQL"))(errno.into()))?;
        let asked = Instant::now();
        while asked.elapsed() < patience {
            if exited(child)?.is_some() {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        tracing::warn!(%signal, "PostgreSQL did not stop within {patience:?}");
    }
    Err(PostgresError::io("stop PostgreSQL")(std::io::Error::other("it outlived SIGKILL")))
}
