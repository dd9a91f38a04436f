//! Recovery: PostgreSQL replays the log up to the target, and then the book begins another history.

use std::path::Path;

use chrono::{DateTime, Utc};
use daybook_embedded::postgres::{Postgres, PostgresError, PostgresSettings};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_event_stream::relay;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::plan::{Plan, Stop, Target, readable};
use crate::{BackupError, source::connection_string, wal::lsn};

/// The book after a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewHistory {
    pub(super) position: i64,
    pub(super) recorded_at: Option<DateTime<Utc>>,
    pub(super) epoch: Uuid,
}

/// A server that has recovered.
pub(super) struct Recovered {
    postgres: Postgres,
    url: String,
}

impl Recovered {
    /// Starts the server on the copied files. Returns when it has recovered.
    pub(super) async fn start(plan: &Plan, server: &Path, stop: &Stop, durable: bool) -> Result<Self, BackupError> {
        let settings = PostgresSettings { durable, ..PostgresSettings::durable(server) };
        let postgres = Postgres::recover(&settings, plan.settings(stop)).await;
        let postgres = postgres.map_err(|error| explain(error, plan, stop))?;
        let url = match url(&postgres, plan) {
            Ok(url) => url,
            Err(error) => {
                postgres.stop().await?;
                return Err(error);
            }
        };
        Ok(Self { postgres, url })
    }

    /// The transaction that wrote the event after a position. None when the book ends at the position.
    pub(super) async fn first_after(&self, position: i64) -> Result<Option<String>, BackupError> {
        let client = self.connect().await?;
        let head: i64 = client.query_one("SELECT position FROM head", &[]).await?.try_get(0)?;
        if head < position {
            let (asked, end) = (format!("position {position}"), format!("it ends at position {head}"));
            return Err(BackupError::AfterBackup { asked, end });
        }
        let next = client.query_opt("SELECT xmin::text FROM events WHERE position = $1", &[&(position + 1)]).await?;
        Ok(next.map(|row| row.try_get(0)).transpose()?)
    }

    /// Checks that the recovery has reached the end of the archived log.
    pub(super) async fn check_complete(&self, plan: &Plan) -> Result<(), BackupError> {
        let Some((last, finished)) = plan.last else { return Ok(()) };
        let client = self.connect().await?;
        let sql = "SELECT pg_read_file('pg_wal/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '.history')";
        let history: String = client.query_one(sql, &[]).await?.try_get(0)?;
        // The last line names the fork of the new timeline, which is the end of the recovery.
        let forked = history.lines().rev().find_map(|line| lsn(line.split_ascii_whitespace().nth(1)?));
        let bytes = plan.base.server.wal_segment_bytes;
        let reached = forked.unwrap_or_default() / bytes.max(1);
        // A file that was still being received may end within a record.
        if last.number > reached + u64::from(!finished) {
            let what = format!(
                "the write-ahead log breaks off in file {reached:X} of its timeline, and continues to {}",
                last.name(bytes)
            );
            return Err(BackupError::Damaged { directory: plan.directory.clone(), what });
        }
        Ok(())
    }

    /// Begins another history before the book is used, since positions will be assigned again to other events.
    pub(super) async fn begin_history(
        &self,
        migrate: impl AsyncFnOnce(&Daybook) -> anyhow::Result<()>,
        adopt_topics: bool,
    ) -> Result<NewHistory, BackupError> {
        let book = Daybook::open(&StoreSettings { database_url: self.url.clone(), max_connections: 2 })?;
        // An older version may have made the back-up.
        migrate(&book).await.map_err(BackupError::Unfinished)?;
        if adopt_topics {
            relay::adopt(&book).await?;
        }
        let head = book.begin_history().await?;
        let client = self.connect().await?;
        let last = client.query_opt("SELECT recorded_at FROM events WHERE position = $1", &[&head.position]).await?;
        let recorded_at = last.map(|row| row.try_get(0)).transpose()?;
        Ok(NewHistory { position: head.position, recorded_at, epoch: head.epoch })
    }

    pub(super) async fn stop(self) -> Result<(), BackupError> {
        Ok(self.postgres.stop().await?)
    }

    async fn connect(&self) -> Result<Client, BackupError> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// The URL of the book, for the superuser of the cluster. `daybook up` need not have made the cluster.
fn url(postgres: &Postgres, plan: &Plan) -> Result<String, BackupError> {
    let server = &plan.base.server;
    if server.embedded {
        return Ok(postgres.database_url().to_owned());
    }
    let config: tokio_postgres::Config = postgres.database_url().parse()?;
    if config.get_password().is_some() {
        let why = "the path of the data directory is too long for a Unix socket; choose a shorter one";
        return Err(BackupError::Unfinished(anyhow::anyhow!(why)));
    }
    Ok(connection_string(&config, Some((&server.superuser, &server.database))))
}

/// Turns PostgreSQL's messages about a target that it cannot reach into errors of their own.
fn explain(error: PostgresError, plan: &Plan, stop: &Stop) -> BackupError {
    let PostgresError::Start { output, .. } = &error else { return error.into() };
    let asked = match stop {
        Stop::AtTime(time) => readable(*time),
        _ => return error.into(),
    };
    if output.contains("recovery ended before configured recovery target was reached") {
        let last = output.lines().rev().find_map(|line| line.split_once("last completed transaction was at log time "));
        let end = last.map_or("nothing was committed after the base back-up".to_owned(), |(_, time)| {
            format!("the last commit in it was at {time}")
        });
        return BackupError::AfterBackup { asked, end };
    }
    if output.contains("requested recovery stop point is before consistent recovery point") {
        let earliest =
            format!("the base back-up {} is consistent from {} on", plan.base.label, readable(plan.base.ended.at));
        return BackupError::BeforeBackup { asked, earliest };
    }
    error.into()
}

/// Whether the first recovery to a target must reach the end of the archive.
pub(super) const fn needs_whole_archive(target: Target) -> bool {
    matches!(target, Target::End | Target::Position(_))
}
