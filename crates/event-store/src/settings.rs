//! Opening the book, and what can go wrong with it.

use std::{
    error::Error,
    iter::successors,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio::sync::watch;
use tokio_postgres::{Config, NoTls};

use crate::notify::{Listener, Notifier};

mod migrations {
    // The macro's own code has no docs and casts.
    #![allow(missing_docs, clippy::all)]
    refinery::embed_migrations!("migrations");
}

/// Where the book is, and how many connections its readers may use.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// A PostgreSQL connection string or URL.
    pub database_url: String,
    /// The most connections for reading, at least 1.
    pub max_connections: usize,
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
    /// The schema could not be brought up to date.
    #[error("the schema could not be migrated: {0}")]
    Migration(#[from] refinery::Error),
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

/// How long a transaction may be idle before PostgreSQL ends it. A process that is suspended in the middle of one keeps its locks.
/// Without this limit, the process that takes over would wait until the first one resumes.
const ABANDONED: Duration = Duration::from_secs(10);

/// After how much silence either end of a connection probes the other. A silent network does not end a connection: by default,
/// Linux probes after two hours, and gives up unacknowledged data after a quarter of an hour.
const SILENCE: Duration = Duration::from_secs(3);
/// How many probes may stay unanswered, one a second, before the connection ends.
const PROBES: u32 = 3;
/// For how long sent data may stay unacknowledged before the connection ends. The locks of the other end, such as the relay's
/// lead, are free then.
const UNACKNOWLEDGED: Duration = Duration::from_secs(6);
/// How long connecting to the database may take.
const CONNECTING: Duration = Duration::from_secs(5);

/// Adds the time limits that every connection has. A limit that the connection string sets is kept.
fn with_time_limits(mut config: Config) -> Config {
    let (silence, unacknowledged) = (SILENCE.as_secs(), UNACKNOWLEDGED.as_millis());
    let own = config.get_options().unwrap_or_default();
    let options = format!(
        "-c idle_in_transaction_session_timeout={}s -c tcp_keepalives_idle={silence} -c tcp_keepalives_interval=1 \
         -c tcp_keepalives_count={PROBES} -c tcp_user_timeout={unacknowledged} {own}",
        ABANDONED.as_secs()
    );
    config.options(options);
    let unset = Config::new();
    if config.get_keepalives_idle() == unset.get_keepalives_idle() {
        config.keepalives_idle(SILENCE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(1));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(PROBES);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECTING);
    }
    config
}

/// The book, opened. Cheap to clone.
#[derive(Clone)]
pub struct Daybook {
    pub(crate) config: Arc<Config>,
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
    /// [`StoreError::Database`] when the connection string cannot be read.
    pub fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let config = with_time_limits(settings.database_url.parse()?);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config.clone(), NoTls, recycling);
        let pool = Pool::builder(manager).max_size(settings.max_connections.max(1)).build()?;
        let config = Arc::new(config);
        let notifier = Notifier::new(Arc::clone(&config));
        Ok(Self { config, pool, head: Arc::new(watch::Sender::new(0)), notifier, listener: Arc::default() })
    }

    /// The pool, for read models and checkpoints that live in the same database.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Brings the book's tables up to date. Does nothing if they are.
    ///
    /// # Errors
    /// [`StoreError`] when the database is out of reach or a migration fails.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.migrate_with(migrations::migrations::runner(), "daybook_migrations").await
    }

    /// Runs the migrations of a crate whose tables are in the book's database. A table of its own records them. Of several processes
    /// that start together, one migrates at a time.
    ///
    /// # Errors
    /// [`StoreError`] when the database is out of reach or a migration fails.
    pub async fn migrate_with(&self, mut runner: refinery::Runner, table: &str) -> Result<(), StoreError> {
        let mut client = self.connect().await?;
        client.batch_execute("SELECT pg_advisory_lock(hashtext('daybook migrations'))").await?;
        runner.set_migration_table_name(table);
        runner.run_async(&mut client).await?;
        Ok(())
    }

    /// A connection of its own, outside the pool; it ends when the client is dropped.
    ///
    /// # Errors
    /// [`StoreError`] when the database is out of reach.
    pub async fn connect(&self) -> Result<tokio_postgres::Client, StoreError> {
        let (client, connection) = self.config.connect(NoTls).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "a database connection broke");
            }
        });
        Ok(client)
    }
}
