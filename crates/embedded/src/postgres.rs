//! A private PostgreSQL: found on this machine, initialised under a data directory, kept running, stopped at the end.
//!
//! - It is as durable as any PostgreSQL: an acknowledged commit is on the disk.
//! - It is out of the way: its own directory, a socket that only its owner can reach (or a loopback port with a password
//!   where the path is too long for a socket), its own process group, and never root.
//! - It goes when we go, even by kill -9, and comes back when somebody kills it.

use std::path::PathBuf;

pub mod binaries;
mod configuration;
mod directory;
mod error;
mod keeper;
mod orphans;
mod privileges;
mod server;
mod shutdown;

pub use error::PostgresError;

use configuration::NAME;
use keeper::Keeper;

/// What a private PostgreSQL needs to know.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// The directory for all that it keeps. Made when it is not there; used by one process at a time.
    pub data_dir: PathBuf,
    /// Whether a commit survives a power cut. Only tests say no.
    pub durable: bool,
    /// The executable whose `main` begins with [`run_if_asked`](super::supervisor::run_if_asked); this one when `None`.
    pub supervisor: Option<PathBuf>,
}

impl PostgresSettings {
    /// A durable server in this directory, started by way of this executable.
    #[must_use]
    pub fn durable(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), durable: true, supervisor: None }
    }
}

/// A private PostgreSQL that runs. Call [`stop`](Self::stop) at the end; dropping it stops it as well, and blocks meanwhile.
pub struct Postgres {
    keeper: Keeper,
    url: String,
}

impl Postgres {
    /// Starts the server, making its cluster and its database the first time (a few seconds), and returns when it
    /// answers. From then on it is restarted whenever it ends by itself, at the same address.
    pub async fn start(settings: &PostgresSettings) -> Result<Self, PostgresError> {
        let (keeper, url) = Keeper::start(settings.clone(), Vec::new()).await?;
        let postgres = Self { keeper, url };
        postgres.ensure_database().await?;
        Ok(postgres)
    }

    /// Starts the server on a cluster that was put into the directory, with more settings, which have the last word; what
    /// databases there are is left as it is. Returns when it takes writes: a recovery is waited for.
    pub async fn recover(settings: &PostgresSettings, more: Vec<String>) -> Result<Self, PostgresError> {
        let (keeper, url) = Keeper::start(settings.clone(), more).await?;
        Ok(Self { keeper, url })
    }

    /// The URL of its database, for every PostgreSQL client on this machine. It may hold a password.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.url
    }

    /// Stops it cleanly, ending the connections that are left, and returns when no process of it lives.
    pub async fn stop(self) -> Result<(), PostgresError> {
        self.keeper.stop().await
    }

    /// Makes the database unless an earlier start did; a start that was killed in between is healed by the next.
    async fn ensure_database(&self) -> Result<(), PostgresError> {
        let mut config: tokio_postgres::Config = self.url.parse()?;
        config.dbname("postgres");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let there = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&NAME]).await?;
        if there.is_none() {
            client.batch_execute(&format!("CREATE DATABASE {NAME}")).await?;
        }
        drop(client);
        match connection.await {
            Ok(outcome) => Ok(outcome?),
            Err(error) => Err(PostgresError::io("talk to PostgreSQL")(error.into())),
        }
    }
}

impl std::fmt::Debug for Postgres {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}
