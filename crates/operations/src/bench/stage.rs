//! The database of a measurement, on a private durable PostgreSQL or on a given one.

use anyhow::Context;
use daybook_embedded::postgres::{Postgres, PostgresSettings};
use daybook_event_store::{Connector, Daybook, StoreSettings};
use tempfile::TempDir;
use tokio_postgres::Client;

/// A PostgreSQL with an empty book.
pub(super) struct Stage {
    own: Option<(Postgres, TempDir)>,
    server_url: String,
    database: String,
    /// The book.
    pub(super) book: Daybook,
    /// The URL of the book.
    pub(super) database_url: String,
}

impl Stage {
    /// Makes the database.
    pub(super) async fn set_up(given: Option<&str>) -> anyhow::Result<Self> {
        let (own, server_url) = match given {
            Some(url) => (None, url.to_owned()),
            None => {
                let directory = tempfile::Builder::new().prefix("daybook-bench-").tempdir()?;
                let settings = PostgresSettings::durable(directory.path().join("data"));
                let postgres = Postgres::start(&settings).await.context("the private PostgreSQL did not start")?;
                let url = postgres.database_url().to_owned();
                (Some((postgres, directory)), url)
            }
        };
        let database = format!("daybook_bench_{}", std::process::id());
        let client = connect(&server_url).await?;
        client.batch_execute(&format!("CREATE DATABASE {database}")).await?;
        let database_url = in_database(&server_url, &database)?;
        let book = Daybook::open(&StoreSettings { database_url: database_url.clone(), max_connections: 8 })?;
        crate::migrate(&book).await?;
        Ok(Self { own, server_url, database, book, database_url })
    }

    /// A plain connection to the database of the measurement.
    pub(super) async fn connect(&self) -> anyhow::Result<Client> {
        connect(&self.database_url).await
    }

    /// Makes a checkpoint, so that the server reuses old segments of its write-ahead log like one that has run for a while. A given
    /// server is left unchanged.
    pub(super) async fn settle(&self) -> anyhow::Result<()> {
        if self.own.is_some() {
            self.connect().await?.batch_execute("CHECKPOINT").await?;
        }
        Ok(())
    }

    /// Drops the database, and stops a private server.
    pub(super) async fn tear_down(self) -> anyhow::Result<()> {
        self.book.pool().close();
        let client = connect(&self.server_url).await?;
        client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.database)).await?;
        if let Some((postgres, _directory)) = self.own {
            postgres.stop().await?;
        }
        Ok(())
    }
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    Connector::new(url, "daybook/bench")?.connect().await.context("PostgreSQL is out of reach")
}

/// The same server, another database.
fn in_database(url: &str, database: &str) -> anyhow::Result<String> {
    if !url.contains("://") {
        return Ok(format!("{url} dbname={database}"));
    }
    let (head, query) = url.split_once('?').map_or((url, None), |(head, query)| (head, Some(query)));
    let after_scheme = head.find("://").map_or(0, |at| at + 3);
    let end = head[after_scheme..].find('/').map_or(head.len(), |at| after_scheme + at);
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    Ok(format!("{}/{database}{query}", &head[..end]))
}
