//! What can go wrong with the book, and the texts of errors with their causes.

use std::{error::Error, iter::successors};

use tokio_postgres::error::{Severity, SqlState};

use crate::database::AddressError;

/// The store failed. Whether a write that ended in an error is in the book is unknown. A retry with the same command id shows it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused, or the connection broke.
    #[error("the database failed: {}", chain(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The pool has no connection to give.
    #[error("no database connection: {}", pool_chain(.0))]
    Pool(#[from] deadpool_postgres::PoolError),
    /// The pool could not be built.
    #[error("the connection pool could not be built: {0}")]
    Build(#[from] deadpool_postgres::BuildError),
    /// The address of the database cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The schema could not be brought up to date.
    #[error("the schema could not be migrated: {0}")]
    Migration(#[from] refinery::Error),
    /// A migration was not applied, because the database has a later one of the same set.
    #[error(
        "migration {version} ({name}) was not applied, because {table} has a later one; the program is not the one that it was made for"
    )]
    OutOfOrder {
        /// The migration.
        version: i64,
        /// Its name.
        name: String,
        /// The table of applied migrations.
        table: String,
    },
    /// A store other than PostgreSQL did not answer, or refused.
    #[error("the store failed: {0}")]
    Unavailable(String),
    /// A unique key is violated, although a look-up in the same transaction has found it free. So another program writes to the
    /// book without the lock of its head.
    #[error("the book was written to without the lock of its head")]
    UniqueViolation,
    /// An append unit writes to a stream that it has not read.
    #[error("command {command_id} writes to stream {stream_id} without having read it")]
    UnreadStream {
        /// The command.
        command_id: uuid::Uuid,
        /// The stream.
        stream_id: String,
    },
}

impl StoreError {
    /// Whether the database has answered, and has refused. Otherwise it is out of reach.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Database(error) if error.as_db_error().is_some())
    }

    /// Whether the error says that a statement outside a transaction has changed nothing: PostgreSQL has refused it, and its connection
    /// lives on. After an error that ends the connection, the outcome is unknown.
    #[must_use]
    pub fn nothing_was_written(&self) -> bool {
        let Self::Database(error) = self else { return false };
        error.as_db_error().is_some_and(|refused| refused.parsed_severity() == Some(Severity::Error))
    }
}

fn pool_chain(error: &deadpool_postgres::PoolError) -> String {
    match error {
        deadpool_postgres::PoolError::Backend(error) => chain(error),
        other => other.to_string(),
    }
}

/// The text of a PostgreSQL error with its causes. Its own display is only "db error".
#[must_use]
pub fn chain(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{}: {}", db.code().code(), db.message()),
        None => {
            let causes = successors(Some(error as &dyn Error), |error| (*error).source());
            causes.map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
                "" => cause,
                // Some errors contain their cause already.
                text if text.contains(&cause) => text.to_owned(),
                text => format!("{text}: {cause}"),
            })
        }
    }
}

/// Whether PostgreSQL reports a data exception (class 22): a value that it cannot store, compute or read. Another attempt with the same
/// value would fail, too.
#[must_use]
pub fn is_data_error(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("22"))
}

/// Whether PostgreSQL refuses a row for what it holds, alone or beside another row. It is a value (class 22), a constraint other than a
/// unique key (23), two rows of one key in one statement (21), or a length such as that of an index entry (54). Another attempt with
/// the same row would fail, too.
#[must_use]
pub fn is_refused_row(error: &tokio_postgres::Error) -> bool {
    let of_row = |state: &str| ["21", "22", "23", "54"].iter().any(|class| state.starts_with(class));
    // A unique key is violated by two writers, and the row is not to blame.
    error.code().is_some_and(|state| *state != SqlState::UNIQUE_VIOLATION && of_row(state.code()))
}

/// Whether an error, or one of its causes, is that the database has no connection or no time for a statement now: it is out of reach or
/// stops, it has no free connection, or a time limit has passed.
#[must_use]
pub fn is_unavailable(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |error| (*error).source()).any(|cause| {
        let of_pool = cause.downcast_ref::<StoreError>().is_some_and(|error| matches!(error, StoreError::Pool(_)));
        let pool = of_pool || cause.is::<deadpool_postgres::PoolError>();
        pool || cause.downcast_ref::<tokio_postgres::Error>().is_some_and(is_passing)
    })
}

/// Whether PostgreSQL, or the lack of an answer, says that another attempt may succeed: no connection (08, 53), a time limit
/// (57014, 55P03), a stop or a start (57P), another transaction (40). A standby ends queries with 40001 when they hold up its replay.
fn is_passing(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(state) => {
            let code = state.code();
            ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
                || *state == SqlState::LOCK_NOT_AVAILABLE
        }
        None => error.is_closed() || error.source().is_some_and(<dyn Error>::is::<std::io::Error>),
    }
}

/// The text of an error with its causes, each once. Most errors of the workspace contain their cause already.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut chained = String::new();
    for cause in successors(Some(error), |error| (*error).source()) {
        // PostgreSQL's own display is only "db error". `chain` gives its code, its message and its causes.
        let database = cause.downcast_ref::<tokio_postgres::Error>();
        let text = database.map_or_else(|| cause.to_string(), chain);
        if !chained.contains(&text) {
            chained = if chained.is_empty() { text } else { format!("{chained}: {text}") };
        }
        if database.is_some() {
            break;
        }
    }
    chained
}
