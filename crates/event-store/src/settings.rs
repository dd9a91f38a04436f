//! Opening the book.

use std::{
    fmt,
    sync::{Arc, Mutex, Weak},
};

use deadpool_postgres::Pool;
use tokio::sync::watch;

use crate::{
    StoreError,
    database::{
        APPLICATION, Connector,
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
