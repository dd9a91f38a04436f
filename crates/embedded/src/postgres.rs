//! A private PostgreSQL: found on this machine, initialised under a data directory, kept running, stopped at the end.
//!
//! - It is as durable as any PostgreSQL: an acknowledged commit is on the disk.
//! - It is isolated: it has a directory and a process group of its own, and never runs as root. It listens on a socket that only its
//!   owner can reach, or on a loopback port with a password where the path is too long for a socket.
//! - It ends when this process ends, even by kill -9. It is restarted when it is killed.

use std::path::PathBuf;

pub mod binaries;
mod configuration;
mod directory;
mod engine;
mod error;
mod keeper;
mod orphans;
mod privileges;
mod server;
mod shutdown;

pub use error::PostgresError;

use configuration::NAME;
use keeper::Keeper;

/// The settings of a private PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// The directory of all its files. It is made when it is missing, and used by one process at a time.
    pub data_dir: PathBuf,
    /// Whether a commit survives a power cut. It is false in tests only.
    pub durable: bool,
    /// The executable whose `main` begins with [`run_if_asked`](super::supervisor::run_if_asked). This executable when `None`.
    pub supervisor: Option<PathBuf>,
}

impl PostgresSettings {
    /// A durable server in this directory, started through this executable.
    #[must_use]
    pub fn durable(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), durable: true, supervisor: None }
    }
}

/// A running private PostgreSQL. Call [`stop`](Self::stop) at the end. A drop stops it, too, but blocks the thread.
pub struct Postgres {
    keeper: Keeper,
    url: String,
}

impl Postgres {
    /// Starts the server and returns when it answers. The first start makes its cluster and its database, which takes a few seconds. A
    /// server that ends by itself is restarted at the same address.
    pub async fn start(settings: &PostgresSettings) -> Result<Self, PostgresError> {
        let (keeper, url) = Keeper::start(settings.clone(), Vec::new()).await?;
        let postgres = Self { keeper, url };
        postgres.ensure_database().await?;
        Ok(postgres)
    }

    /// Starts the server on a cluster that was copied into the directory. The `more` settings override all others. Databases are left
    /// unchanged. It returns when the server accepts writes, so after a recovery.
    pub async fn recover(settings: &PostgresSettings, more: Vec<String>) -> Result<Self, PostgresError> {
        let (keeper, url) = Keeper::start(settings.clone(), more).await?;
        Ok(Self { keeper, url })
    }

    /// The URL of its database, for every PostgreSQL client on this machine. It may hold a password.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.url
    }

    /// Stops it cleanly, and closes the connections that are left. It returns when no process of the server lives.
    pub async fn stop(self) -> Result<(), PostgresError> {
        self.keeper.stop().await
    }

    /// Makes the database if it is missing, as after a first start that was killed.
    async fn ensure_database(&self) -> Result<(), PostgresError> {
        let mut config: tokio_postgres::Config = self.url.parse()?;
        config.dbname("postgres");
        self.as_superuser(config, async |client| {
            let existing = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&NAME]).await?;
            if existing.is_none() {
                client.batch_execute(&format!("CREATE DATABASE {NAME}")).await?;
            }
            Ok(())
        })
        .await
    }

    /// Works on a connection of its own, and ends it.
    async fn as_superuser(
        &self,
        config: tokio_postgres::Config,
        work: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<(), tokio_postgres::Error>,
    ) -> Result<(), PostgresError> {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        work(&client).await?;
        drop(client);
        match connection.await {
            Ok(outcome) => Ok(outcome?),
            Err(error) => Err(PostgresError::io("talk to PostgreSQL")(error.into())),
        }
    }
}

impl std::fmt::Debug for Postgres {
    /// The URL is left out, since it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}
