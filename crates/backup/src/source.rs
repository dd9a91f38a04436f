//! The server that is backed up: its address for PostgreSQL's programs, and its properties.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use daybook_event_store::{Connector, Secret, StoreError};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, Config, config::Host};
use uuid::Uuid;

use super::{BackupError, apart::check_apart};

/// The state of the book at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The moment, by the server's clock.
    pub at: DateTime<Utc>,
    /// The position of the last event.
    pub position: i64,
    /// The identity of the history.
    pub epoch: Uuid,
}

/// The properties of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The major version.
    pub major: u32,
    /// The identity of the cluster, which its copies share.
    pub system_identifier: String,
    /// The timeline of the write-ahead log. Every restore raises it.
    pub timeline: u32,
    /// The size of a file of the write-ahead log, in bytes.
    pub wal_segment_bytes: u64,
    /// The database that holds the book.
    pub database: String,
    /// The first superuser of the cluster.
    pub superuser: String,
    /// Whether it was made by `daybook up`.
    pub embedded: bool,
}

/// A server, and the data directory if a `daybook up` runs it.
#[derive(Debug, Clone)]
pub struct Source {
    connector: Connector,
    pub(crate) data: Option<PathBuf>,
}

const SERVER: &str = "
    SELECT current_setting('server_version_num')::int / 10000, (SELECT system_identifier::text FROM pg_control_system()),
           pg_is_in_recovery(), (SELECT bytes_per_wal_segment::bigint FROM pg_control_init()), current_database()::text,
           (SELECT rolname::text FROM pg_roles WHERE oid = 10), current_setting('cluster_name') = 'daybook',
           (SELECT count(*) > 2 FROM pg_tablespace)";

impl Source {
    /// A server, and the data directory that a `daybook up` runs it in.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(database_url: impl Into<Secret>, data: Option<PathBuf>) -> Result<Self, BackupError> {
        let connector = Connector::new(database_url, "daybook/backup").map_err(StoreError::from)?;
        Ok(Self { connector, data })
    }

    /// Checks that a directory for back-ups does not lie within the data directory.
    pub(crate) fn check_apart(&self, to: &Path) -> Result<(), BackupError> {
        self.data.as_deref().map_or(Ok(()), |data| check_apart(to, data))
    }

    pub(crate) async fn connect(&self) -> Result<Client, BackupError> {
        Ok(self.connector.connect().await?)
    }

    /// Adds the address of the server to the command of a program. The password is an environment variable, since all users can read a
    /// command line.
    pub(crate) fn configure(&self, command: &mut std::process::Command) {
        let config = self.connector.config();
        command.arg("--dbname").arg(connection_string(&config, None) + &self.connector.tls_parameters());
        if let Some(password) = config.get_password() {
            command.env("PGPASSWORD", String::from_utf8_lossy(password).into_owned());
        }
    }
}

/// A connection string of libpq for a configuration. `other` replaces its user and its database.
pub(crate) fn connection_string(config: &Config, other: Option<(&str, &str)>) -> String {
    let mut text = String::from("application_name=daybook_backup");
    let mut add = |key: &str, value: &str| {
        let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
        // Writing to a string does not fail.
        write!(text, " {key}='{quoted}'").ok();
    };
    let hosts: Vec<String> = config.get_hosts().iter().map(host).collect();
    let ports: Vec<String> = config.get_ports().iter().map(u16::to_string).collect();
    add("host", &hosts.join(","));
    if !ports.is_empty() {
        add("port", &ports.join(","));
    }
    let (user, database) = match other {
        Some((user, database)) => (Some(user), Some(database)),
        None => (config.get_user(), config.get_dbname()),
    };
    if let Some(user) = user {
        add("user", user);
    }
    if let Some(database) = database {
        add("dbname", database);
    }
    text
}

fn host(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(directory) => directory.to_string_lossy().into_owned(),
    }
}

/// The properties of a server.
pub(crate) async fn server(client: &Client) -> Result<Server, BackupError> {
    let row = client.query_one(SERVER, &[]).await?;
    if row.try_get(2)? {
        return Err(BackupError::Standby);
    }
    if row.try_get(7)? {
        return Err(BackupError::Tablespaces);
    }
    let (superuser, database): (String, String) = (row.try_get(5)?, row.try_get(4)?);
    let segment: i64 = row.try_get(3)?;
    let major: i32 = row.try_get(0)?;
    // A name begins with the eight digits of its timeline.
    let file: String = client.query_one("SELECT pg_walfile_name(pg_current_wal_lsn())", &[]).await?.try_get(0)?;
    Ok(Server {
        major: major.unsigned_abs(),
        system_identifier: row.try_get(1)?,
        timeline: u32::from_str_radix(file.get(..8).unwrap_or_default(), 16).unwrap_or(1),
        wal_segment_bytes: segment.unsigned_abs(),
        embedded: row.try_get::<_, bool>(6)? && superuser == "daybook" && database == "daybook",
        database,
        superuser,
    })
}

/// The state of the book now.
pub(crate) async fn mark(client: &Client) -> Result<Mark, BackupError> {
    let row = client.query_one("SELECT clock_timestamp(), position, epoch FROM head", &[]).await?;
    Ok(Mark { at: row.try_get(0)?, position: row.try_get(1)?, epoch: row.try_get(2)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_equals_the_url_without_its_password() {
        let config: Config = "postgresql://o'neil:secret@/shop?host=/my%20shop/run&port=5433".parse().expect("a URL");
        let text = connection_string(&config, None);
        assert!(!text.contains("secret"), "{text}");
        let again: Config = text.parse().expect("a connection string");
        assert_eq!(again.get_hosts(), config.get_hosts());
        assert_eq!((again.get_ports(), again.get_user()), (config.get_ports(), Some("o'neil")));
        let other: Config = connection_string(&config, Some(("root", "book"))).parse().expect("a connection string");
        assert_eq!((other.get_user(), other.get_dbname()), (Some("root"), Some("book")));
    }
}
