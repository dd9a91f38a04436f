//! What can keep a private PostgreSQL from running, each said so that its reader knows what to do.

use std::{io, path::PathBuf};

/// Why there is no private PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable server binaries.
    #[error(
        "PostgreSQL 15 or later is needed, and its server programs were not found.\n\
         Install them: `apt-get install postgresql` (Debian, Ubuntu), `dnf install postgresql-server` (Fedora),\n\
         `brew install postgresql@17` (macOS); or set DAYBOOK_PG_BIN to the directory that holds `postgres` and `initdb`;\n\
         or set DATABASE_URL to a server of your own. Looked in: {}",
        list(looked_in)
    )]
    NotInstalled {
        /// Every directory that was tried, with what was wrong with it.
        looked_in: Vec<String>,
    },
    /// The cluster was made by another major version than any that is installed.
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
        /// What was found instead.
        found: Vec<String>,
    },
    /// Another process serves this data directory.
    #[error("{} is in use by another daybook{}", directory.display(), process.map(|id| format!(" (process {id})")).unwrap_or_default())]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// The process that holds it, when it left its number.
        process: Option<u32>,
    },
    /// Started by root, and no way to run the server as somebody else.
    #[error(
        "PostgreSQL refuses to run as root, and no other way worked for {}:\n{}\n\
         Run daybook as an ordinary user, or choose a data directory that the user postgres can reach",
        directory.display(), tried.join("\n")
    )]
    NoUnprivilegedUser {
        /// The data directory.
        directory: PathBuf,
        /// Each way that was tried, and how it failed.
        tried: Vec<String>,
    },
    /// `initdb` failed.
    #[error("initdb failed ({status}):\n{output}")]
    Initialise {
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// The server did not come up.
    #[error("PostgreSQL did not start ({status}); {} ends with:\n{output}", log.display())]
    Start {
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// What it said in this attempt, or the end of it.
        output: String,
    },
    /// A server left over from a killed process does not go away.
    #[error("processes {processes:?} still use {} and did not stop when asked; stop them and try again", directory.display())]
    Orphan {
        /// The cluster's directory.
        directory: PathBuf,
        /// Those that still live.
        processes: Vec<i32>,
    },
    /// It was asked to stop before it was ready.
    #[error("PostgreSQL was stopped before it was ready")]
    Stopped,
    /// The server runs and does not answer as it should.
    #[error("the private PostgreSQL does not answer: {0}")]
    Database(#[from] tokio_postgres::Error),
    /// A file or a process could not be handled.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl PostgresError {
    /// Wraps what the system said with what was being done.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}
