//! What can keep a book from being backed up or restored, each said so that its reader knows what to do.

use std::{io, path::PathBuf};

use daybook_embedded::postgres::PostgresError;
use daybook_event_store::{StoreError, chain, error_chain};

/// Why there is no back-up, or no restored book.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory holds something else.
    #[error("{} is not empty; {wanted}", directory.display())]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
        /// What would do.
        wanted: &'static str,
    },
    /// There is no back-up to be found.
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
        /// Whose back-ups they are.
        theirs: String,
        /// Who was to be backed up.
        ours: String,
    },
    /// No base back-up has this label.
    #[error("there is no base back-up {label}; there are: {}", there.join(", "))]
    NoSuchBase {
        /// What was asked for.
        label: String,
        /// What there is.
        there: Vec<String>,
    },
    /// What was asked for lies before the first back-up that could lead there.
    #[error("{asked} is before the back-up: {earliest}")]
    BeforeBackup {
        /// The time or position that was asked for.
        asked: String,
        /// The earliest that there is.
        earliest: String,
    },
    /// What was asked for lies after all that was archived.
    #[error("{asked} is after the end of the back-up: {end}. Without a target, everything is restored")]
    AfterBackup {
        /// The time or position that was asked for.
        asked: String,
        /// Where the back-up ends.
        end: String,
    },
    /// The server keeps data where a back-up cannot put it.
    #[error(
        "the database has tablespaces of its own, which daybook does not back up; use pg_basebackup --tablespace-mapping"
    )]
    Tablespaces,
    /// The server is itself a copy.
    #[error("the server is a standby; back the primary up, whose write-ahead log goes on")]
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
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The programs that are installed are of other versions than the server.
    #[error(
        "the server is PostgreSQL {server}, and the programs that were found are of version {found}; install those of {server}"
    )]
    OtherVersion {
        /// The version of the server.
        server: u32,
        /// Those that were found.
        found: String,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed ({status}):\n{output}")]
    Tool {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it said.
        output: String,
    },
    /// A back-up is not what it was when it was made.
    #[error("the back-up in {} is damaged:\n{what}", directory.display())]
    Damaged {
        /// The back-up.
        directory: PathBuf,
        /// What is wrong with it.
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
    /// Somebody else writes to the directory.
    #[error("{} is in use by another daybook", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The server that was to be backed up failed.
    #[error("the database failed: {}", chain(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The restored server failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The restored book failed.
    #[error(transparent)]
    Book(#[from] StoreError),
    /// Anything else about the restored book.
    #[error("the restored book could not be finished: {}", error_chain(.0.as_ref()))]
    Unfinished(anyhow::Error),
    /// A file or a process could not be handled.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl BackupError {
    /// Wraps what the system said with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Whether something impossible was asked for, rather than that something possible failed.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NotEmpty { .. }
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
    fn every_cause_is_told_once_whether_or_not_the_error_says_it_itself() {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let says_it = anyhow::Error::from(BackupError::io("read the marker")(missing()));
        assert_eq!(error_chain(says_it.as_ref()), "cannot read the marker: no such file");
        let does_not = Err::<(), _>(missing()).context("the shop was not backed up").expect_err("it is one");
        assert_eq!(error_chain(does_not.as_ref()), "the shop was not backed up: no such file");
        let both = says_it.context("the shop was not backed up");
        assert_eq!(error_chain(both.as_ref()), "the shop was not backed up: cannot read the marker: no such file");
        let unfinished = anyhow::Error::from(BackupError::Unfinished(both));
        let said =
            "the restored book could not be finished: the shop was not backed up: cannot read the marker: no such file";
        assert_eq!(error_chain(unfinished.as_ref()), said);
    }
}
