//! Opening the book, and what can go wrong with it.

use std::{
    error::Error,
    fmt,
    iter::successors,
    sync::{Arc, Mutex, Weak},
};

use deadpool_postgres::Pool;
use tokio::sync::watch;
use tokio_postgres::error::SqlState;

use crate::{
    database::{
        APPLICATION, AddressError, Connector,
        pool::{self, CancelOnDrop, PoolSettings},
        redacted,
    },
    notify::{Listener, Notifier},
};

/// Where the book is, and how many connections its readers may use.
#[derive(Clone)]
pub struct StoreSettings {
    /// A PostgreSQL connection string or URL.
    pub database_url: String,
    /// The most connections for reading, at least 1.
    pub max_connections: usize,
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database_url, max_connections } = self;
        write!(f, "StoreSettings {{ {}, at most {max_connections} connections }}", redacted(database_url))
    }
}

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
    /// An append unit without events is a mistake of the caller.
    #[error("command {0} has no events to append")]
    EmptyUnit(uuid::Uuid),
    /// An append unit writes to a stream that it has not read.
    #[error("command {command_id} writes to stream {stream_id} without having read it")]
    UnreadStream {
        /// The command.
        command_id: uuid::Uuid,
        /// The stream.
        stream_id: String,
    },
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
/// (57014, 55P03), a stop or a start (57P).
fn is_passing(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(state) => {
            let code = state.code();
            ["08", "53", "57"].iter().any(|class| code.starts_with(class)) || *state == SqlState::LOCK_NOT_AVAILABLE
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

/// The book, opened. Cheap to clone.
#[derive(Clone)]
pub struct Daybook {
    pub(crate) connector: Connector,
    pub(crate) pool: Pool,
    pub(crate) head: Arc<watch::Sender<i64>>,
    pub(crate) notifier: Notifier,
    /// Listens for all followers of this process, while it has any.
    pub(crate) listener: Arc<Mutex<Weak<Listener>>>,
}

impl Daybook {
    /// Opens the book. Connections are made when they are needed, so this works before the database is up.
    ///
    /// # Errors
    /// [`StoreError::Address`] when the connection string cannot be read.
    pub fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let connector = Connector::new(settings.database_url.as_str(), APPLICATION)?;
        Self::over(connector, &PoolSettings::of(settings.max_connections))
    }

    /// Opens the book over a connector, with a pool.
    ///
    /// # Errors
    /// [`StoreError::Build`] when the pool cannot be built.
    pub fn over(connector: Connector, pool: &PoolSettings) -> Result<Self, StoreError> {
        let pool = pool::build(&connector, pool)?;
        let notifier = Notifier::new(connector.clone());
        Ok(Self { connector, pool, head: Arc::new(watch::Sender::new(0)), notifier, listener: Arc::default() })
    }

    /// The same book with a pool of its own, for one purpose. Followers and notifications are shared.
    ///
    /// # Errors
    /// [`StoreError::Build`] when the pool cannot be built.
    pub fn with_pool(&self, settings: &PoolSettings) -> Result<Self, StoreError> {
        Ok(Self { pool: pool::build(&self.connector, settings)?, ..self.clone() })
    }

    /// The pool, for read models and checkpoints that live in the same database.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A connection of the pool whose statement is cancelled when its caller goes away.
    ///
    /// # Errors
    /// [`StoreError::Pool`] when none is free in time, or none can be made.
    pub async fn cancelled_on_drop(&self) -> Result<CancelOnDrop, StoreError> {
        Ok(CancelOnDrop::new(self.connector.clone(), self.pool.get().await?))
    }

    /// A connection of its own, outside the pool and without its limits; it ends when the client is dropped.
    ///
    /// # Errors
    /// [`StoreError`] when the database is out of reach.
    pub async fn connect(&self) -> Result<tokio_postgres::Client, StoreError> {
        self.connector.connect().await
    }
}
