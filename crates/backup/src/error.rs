//! The errors of back-ups and restores. Each message says what the operator can do.

use std::{io, path::PathBuf};

use daybook_embedded::postgres::PostgresError;
use daybook_event_store::{StoreError, chain, error_chain};

/// Why there is no back-up, or no restored book.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory holds other files.
    #[error("{} is not empty; {wanted}", directory.display())]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
        /// The directory that is expected.
        wanted: &'static str,
    },
    /// One of two directories lies within the other, whose end would be the end of both.
    #[error("{} lies within {}; take a directory beside it", inner.display(), outer.display())]
    Within {
        /// The directory that was named.
        inner: PathBuf,
        /// The one that holds it.
        outer: PathBuf,
    },
    /// The directory holds no back-up.
    #[error("{} holds no back-up of daybook", directory.display())]
    NoBackup {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory holds the back-ups of another database.
    #[error("{} holds back-ups of another PostgreSQL (its system identifier is {theirs}, this one's is {ours})", directory.display())]
    AnotherCluster {
        /// The directory.
        directory: PathBuf,
        /// The system identifier of the back-ups.
        theirs: String,
        /// The system identifier of the server.
        ours: String,
    },
    /// No base back-up has this label.
    #[error("there is no base back-up {label}; there are: {}", there.join(", "))]
    NoSuchBase {
        /// The label.
        label: String,
        /// The labels of the base back-ups.
        there: Vec<String>,
    },
    /// The target is before the first back-up that leads there.
    #[error("{asked} is before the back-up: {earliest}")]
    BeforeBackup {
        /// The time or position of the target.
        asked: String,
        /// The earliest target.
        earliest: String,
    },
    /// The target is after the end of the archive.
    #[error("{asked} is after the end of the back-up: {end}. Without a target, everything is restored")]
    AfterBackup {
        /// The time or position of the target.
        asked: String,
        /// Where the back-up ends.
        end: String,
    },
    /// The server has tablespaces, which are not backed up.
    #[error(
        "the database has tablespaces of its own, which daybook does not back up; use pg_basebackup --tablespace-mapping"
    )]
    Tablespaces,
    /// The server is a standby.
    #[error("the server is a standby; back up the primary, whose write-ahead log continues")]
    Standby,
    /// One of PostgreSQL's programs is missing.
    #[error(
        "{program} of PostgreSQL {major} is needed and is not in {}. Install it: `apt-get install postgresql-client-{major}` \
         (Debian, Ubuntu), `dnf install postgresql` (Fedora); or set DAYBOOK_PG_BIN to a directory that holds all of \
         PostgreSQL's programs", directory.display()
    )]
    ToolMissing {
        /// The program.
        program: &'static str,
        /// The version of the server.
        major: u32,
        /// The directory that was searched.
        directory: PathBuf,
    },
    /// The installed programs have other versions than the server.
    #[error(
        "the server is PostgreSQL {server}, and the programs that were found are of version {found}; install those of {server}"
    )]
    OtherVersion {
        /// The version of the server.
        server: u32,
        /// The versions that were found.
        found: String,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed ({status}):\n{output}")]
    Tool {
        /// The program.
        program: &'static str,
        /// The exit status.
        status: String,
        /// Its output.
        output: String,
    },
    /// A back-up is damaged.
    #[error("the back-up in {} is damaged:\n{what}", directory.display())]
    Damaged {
        /// The back-up.
        directory: PathBuf,
        /// The damage.
        what: String,
    },
    /// A part of the write-ahead log is missing.
    #[error(
        "the write-ahead log {segment} is missing, so what came after it cannot be restored. Go to a time or position before \
         it, or restore the base back-up alone with --without-archive"
    )]
    MissingWal {
        /// The first file that is missing.
        segment: String,
    },
    /// Another process works on the directory.
    #[error("{} is in use by another daybook", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The server that is backed up failed.
    #[error("the database failed: {}", chain(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The restored server failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The restored book failed.
    #[error(transparent)]
    Book(#[from] StoreError),
    /// Another step on the restored book failed.
    #[error("the restored book could not be finished: {}", error_chain(.0.as_ref()))]
    Unfinished(anyhow::Error),
    /// A file or a process could not be handled.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The operation that failed.
        doing: String,
        /// The error of the system.
        source: io::Error,
    },
}

impl BackupError {
    /// Wraps an error of the system with the operation that failed.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Whether the request was impossible, as opposed to a possible one that failed.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NotEmpty { .. }
                | Self::Within { .. }
                | Self::NoBackup { .. }
                | Self::AnotherCluster { .. }
                | Self::NoSuchBase { .. }
                | Self::BeforeBackup { .. }
                | Self::AfterBackup { .. }
                | Self::Tablespaces
                | Self::Standby
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    #[test]
    fn every_cause_is_named_once_whether_or_not_the_error_names_it_itself() {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let names_its_cause = anyhow::Error::from(BackupError::io("read the marker")(missing()));
        assert_eq!(error_chain(names_its_cause.as_ref()), "cannot read the marker: no such file");
        let names_no_cause = Err::<(), _>(missing()).context("the shop was not backed up").expect_err("it is one");
        assert_eq!(error_chain(names_no_cause.as_ref()), "the shop was not backed up: no such file");
        let both = names_its_cause.context("the shop was not backed up");
        assert_eq!(error_chain(both.as_ref()), "the shop was not backed up: cannot read the marker: no such file");
        let unfinished = anyhow::Error::from(BackupError::Unfinished(both));
        let text =
            "the restored book could not be finished: the shop was not backed up: cannot read the marker: no such file";
        assert_eq!(error_chain(unfinished.as_ref()), text);
    }
}
