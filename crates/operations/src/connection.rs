//! The addresses of the servers, as flags. A running `daybook up` supplies what is missing.

use std::path::{Path, PathBuf};

use clap::Args;
use daybook_embedded::data_directory::Ready;
use daybook_event_store::{Connector, Daybook, PoolSettings, Secret};

use crate::Usage;

/// The connections of a command's pool.
const CONNECTIONS: usize = 16;

/// The address of the PostgreSQL, as a flag or from a file.
#[derive(Debug, Clone, Default, Args)]
pub struct DatabaseUrl {
    /// The PostgreSQL that holds the book: postgres://user:password@host/database?sslmode=verify-full&sslrootcert=FILE.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<Secret>,
    /// A file that holds this URL. It is read again on SIGHUP and after a failed login.
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", global = true)]
    pub database_url_file: Option<PathBuf>,
}

impl DatabaseUrl {
    /// The URL, if one is given.
    ///
    /// # Errors
    /// When it is given twice, or its file cannot be read.
    pub fn given(&self) -> anyhow::Result<Option<Secret>> {
        secret("database-url", self.database_url.as_ref(), self.database_url_file.as_deref())
    }
}

/// A secret that is given by a flag or by a file, if it is given.
///
/// # Errors
/// When it is given twice, or its file cannot be read.
pub fn secret(flag: &str, text: Option<&Secret>, file: Option<&Path>) -> anyhow::Result<Option<Secret>> {
    match (text, file) {
        (Some(_), Some(_)) => Err(Usage(format!("--{flag} and --{flag}-file are both set; set one of them")).into()),
        (Some(text), None) => Ok(Some(text.clone())),
        (None, Some(file)) => Ok(Some(Secret::file(file)?)),
        (None, None) => Ok(None),
    }
}

/// The addresses of the servers, for commands that work beside a running engine.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The data directory of a running `daybook up`.
    #[arg(long, default_value = "./.daybook", global = true)]
    pub data: PathBuf,
    #[command(flatten)]
    database: DatabaseUrl,
    /// The Kafka brokers.
    #[arg(long, env = "KAFKA_BROKERS", global = true)]
    pub kafka_brokers: Option<String>,
}

impl Connection {
    /// Opens the book.
    ///
    /// # Errors
    /// When its address is unknown.
    pub fn book(&self) -> anyhow::Result<Daybook> {
        let url = match self.database.given()? {
            Some(url) => url,
            None => Ready::read(&self.data)?.database_url.into(),
        };
        let connector = Connector::new(url, "daybook/operations")?;
        Ok(Daybook::over(connector, &PoolSettings::of(CONNECTIONS))?)
    }

    /// The address of the database, and the data directory where a running `daybook up` supplies it.
    ///
    /// # Errors
    /// When it is unknown.
    pub fn database(&self) -> anyhow::Result<(Secret, Option<PathBuf>)> {
        match self.database.given()? {
            Some(url) => Ok((url, None)),
            None => Ok((Ready::read(&self.data)?.database_url.into(), Some(self.data.clone()))),
        }
    }

    /// The addresses of the brokers.
    ///
    /// # Errors
    /// When they are unknown.
    pub fn brokers(&self) -> anyhow::Result<String> {
        match &self.kafka_brokers {
            Some(brokers) => Ok(brokers.clone()),
            None => Ok(Ready::read(&self.data)?.kafka_brokers),
        }
    }
}
