//! The errors of a private PostgreSQL. Each message says what the operator can do.

use std::{io, path::PathBuf};

/// Why there is no private PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable server programs were found.
    #[error(
        "PostgreSQL 15 or later is needed, and its server programs were not found.\n\
         Install them: `apt-get install postgresql` (Debian, Ubuntu), `dnf install postgresql-server` (Fedora),\n\
         `brew install postgresql@17` (macOS); or set DAYBOOK_PG_BIN to the directory that holds `postgres` and `initdb`;\n\
         or set DATABASE_URL to a server of your own. Looked in: {}",
        list(looked_in)
    )]
    NotInstalled {
        /// The directories that were searched, each with the reason.
        looked_in: Vec<String>,
    },
    /// No installed version matches the major version of the cluster.
    #[error(
        "{} was made by PostgreSQL {cluster}, which is not installed (found: {}). Install PostgreSQL {cluster}, or upgrade \
         the cluster with pg_upgrade",
        directory.display(), list(found)
    )]
    OtherVersion {
        /// The cluster's directory.
        directory: PathBuf,
        /// The major version that made it.
        cluster: u32,
        /// The versions that were found.
        found: Vec<String>,
    },
    /// Another process serves this data directory.
    #[error("{} is in use by another daybook{}", directory.display(), process.map(|id| format!(" (process {id})")).unwrap_or_default())]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// The process that uses it, if it has left its id.
        process: Option<u32>,
    },
    /// The process is root, and the server could not be run as another user.
    #[error(
        "PostgreSQL refuses to run as root, and no other way worked for {}:\n{}\n\
         Run daybook as an ordinary user, or choose a data directory that the user postgres can reach",
        directory.display(), tried.join("\n")
    )]
    NoUnprivilegedUser {
        /// The data directory.
        directory: PathBuf,
        /// Each user that was tried, and the failure.
        tried: Vec<String>,
    },
    /// `initdb` failed.
    #[error("initdb failed ({status}):\n{output}")]
    Initialise {
        /// The exit status.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// The server did not start.
    #[error("PostgreSQL did not start ({status}); {} ends with:\n{output}", log.display())]
    Start {
        /// The exit status.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// Its output in this attempt, or the end of it.
        output: String,
    },
    /// A server of a killed process cannot be stopped.
    #[error("processes {processes:?} still use {} and did not stop when asked; stop them and try again", directory.display())]
    Orphan {
        /// The cluster's directory.
        directory: PathBuf,
        /// The processes that still live.
        processes: Vec<i32>,
    },
    /// The server was stopped before it was ready.
    #[error("PostgreSQL was stopped before it was ready")]
    Stopped,
    /// The server runs, but a statement failed.
    #[error("the private PostgreSQL does not answer: {0}")]
    Database(#[from] tokio_postgres::Error),
    /// A file or a process could not be handled.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The operation that failed.
        doing: String,
        /// The error of the system.
        source: io::Error,
    },
}

impl PostgresError {
    /// Wraps an error of the system with the operation that failed.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}
