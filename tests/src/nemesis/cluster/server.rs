//! The PostgreSQL server of a cluster: its address, its proxies, and the disk of its tables.

use std::path::Path;

use anyhow::{Context, bail};
use tokio_postgres::{NoTls, config::Host};

use crate::nemesis::{
    disk::Disk,
    proxy::{Proxy, Target},
};

/// Puts the database on a disk of its own.
pub(super) async fn with_disk(directory: &Path, url: &str) -> anyhow::Result<Disk> {
    let cluster = directory.join("postgres/cluster");
    let disk = Disk::mount(directory.join("postgres/tablespace"), &cluster)?;
    let mut config: tokio_postgres::Config = url.parse()?;
    let database = config.get_dbname().context("the URL has a database")?.to_owned();
    let (sql, connection) = config.dbname("postgres").connect(NoTls).await?;
    tokio::spawn(connection);
    disk.carry(&sql, &database).await?;
    Ok(disk)
}

/// The target of a proxy in front of PostgreSQL.
pub(super) fn target(url: &str) -> anyhow::Result<Target> {
    let config: tokio_postgres::Config = url.parse()?;
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Unix(directory)) => Ok(Target::Socket(directory.join(format!(".s.PGSQL.{port}")))),
        Some(Host::Tcp(host)) => Ok(Target::Port(format!("{host}:{port}").parse()?)),
        None => bail!("PostgreSQL has no address"),
    }
}

/// The URL of the same database through a proxy, with the name of the client.
pub(super) fn through(url: &str, proxy: &Proxy, name: &str) -> anyhow::Result<String> {
    let config: tokio_postgres::Config = url.parse()?;
    let user = config.get_user().context("the URL has a user")?;
    let password = config.get_password().map(|word| format!(":{}", String::from_utf8_lossy(word))).unwrap_or_default();
    let database = config.get_dbname().context("the URL has a database")?;
    Ok(format!("postgresql://{user}{password}@{}/{database}?application_name={name}", proxy.address()))
}
