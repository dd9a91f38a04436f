//! How a server is stopped: asked cleanly first, and killed at last.

use std::{
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::error::PostgresError;

/// How often a child that is to stop is looked at.
const SOON: Duration = Duration::from_millis(5);

/// What a server that is to stop is asked, and how long it may take: cleanly, which writes everything to the disk, at once, and
/// without asking.
pub(super) const SHUTDOWN: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(60)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(10)),
];

/// How the child ended, if it did.
pub(super) fn exited(child: &mut Child) -> Result<Option<ExitStatus>, PostgresError> {
    child.try_wait().map_err(PostgresError::io("look after PostgreSQL"))
}

/// Stops a child, with less and less courtesy.
pub(super) fn shut_down(child: &mut Child) -> Result<(), PostgresError> {
    for (signal, patience) in SHUTDOWN {
        if exited(child)?.is_some() {
            return Ok(());
        }
        let process = i32::try_from(child.id()).map_err(std::io::Error::other);
        let process = process.map_err(PostgresError::io("name the process of PostgreSQL"))?;
        // It is our child and not yet waited for, so the number is still its own.
        kill(Pid::from_raw(process), signal)
            .map_err(|errno| PostgresError::io(format!("send {signal} to PostgreSQL"))(errno.into()))?;
        let asked = Instant::now();
        while asked.elapsed() < patience {
            if exited(child)?.is_some() {
                return Ok(());
            }
            std::thread::sleep(SOON);
        }
        tracing::warn!(%signal, "PostgreSQL did not stop within {patience:?}");
    }
    Err(PostgresError::io("stop PostgreSQL")(std::io::Error::other("it outlived SIGKILL")))
}
