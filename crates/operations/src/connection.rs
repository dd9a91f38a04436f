//! The addresses of the servers, as flags. A running `daybook up` supplies what is missing.

use std::path::PathBuf;

use clap::Args;
use daybook_embedded::data_directory::Ready;
use daybook_event_store::{Daybook, StoreSettings};

/// The addresses of the servers, for commands that work beside a running engine.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The data directory of a running `daybook up`.
    #[arg(long, default_value = "./.daybook", global = true)]
    pub data: PathBuf,
    /// The PostgreSQL that holds the book.
    #[arg(long, env = "DATABASE_URL", global = true)]
    pub database_url: Option<String>,
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
        let database_url = match &self.database_url {
            Some(url) => url.clone(),
            None => Ready::read(&self.data)?.database_url,
        };
        Ok(Daybook::open(&StoreSettings { database_url, max_connections: 16 })?)
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
