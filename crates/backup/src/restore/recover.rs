//! Recovering: PostgreSQL replays the log up to the target, and then the book begins another history.

use std::path::Path;

use chrono::{DateTime, Utc};
use daybook_embedded::postgres::{Postgres, PostgresError, PostgresSettings};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_event_stream::relay;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::plan::{Plan, Stop, Target, said};
use crate::{BackupError, source::connection_string, wal::lsn};

/// The book after a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
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
    /// Starts the server on the files that were laid out, and returns when it has recovered.
    pub(super) async fn start(plan: &Plan, server: &Path, stop: &Stop, durable: bool) -> Result<Self, BackupError> {
        let settings = PostgresSettings { durable, ..PostgresSettings::durable(server) };
        let postgres = Postgres::recover(&settings, plan.settings(stop)).await;
        let postgres = postgres.map_err(|error| explained(error, plan, stop))?;
        let url = match url(&postgres, plan) {
            Ok(url) => url,
            Err(error) => {
                postgres.stop().await?;
                return Err(error);
            }
        };
        Ok(Self { postgres, url })
    }

    /// The transaction before which to stop, for the book to end at a position at the latest; none when it does.
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

    /// Makes sure that nothing stopped the recovery before the end of what was archived.
    pub(super) async fn is_whole(&self, plan: &Plan) -> Result<(), BackupError> {
        let Some((last, finished)) = plan.last else { return Ok(()) };
        let client = self.connect().await?;
        let sql = "SELECT pg_read_file('pg_wal/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '.history')";
        let history: String = client.query_one(sql, &[]).await?.try_get(0)?;
        // The last line says where the timeline forked, which is where the recovery ended.
        let forked = history.lines().rev().find_map(|line| lsn(line.split_ascii_whitespace().nth(1)?));
        let bytes = plan.base.server.wal_segment_bytes;
        let reached = forked.unwrap_or_default() / bytes.max(1);
        // The end of a file that is still being received may be the first half of something.
        if last.number > reached + u64::from(!finished) {
            let what = format!(
                "the write-ahead log breaks off in file {reached:X} of its timeline, and goes on to {}",
                last.name(bytes)
            );
            return Err(BackupError::Damaged { directory: plan.directory.clone(), what });
        }
        Ok(())
    }

    /// Begins another history, before anybody uses the book: positions will be given again, to other events.
    pub(super) async fn begin_history(
        &self,
        migrate: impl AsyncFnOnce(&Daybook) -> anyhow::Result<()>,
        adopt_topics: bool,
    ) -> Result<Begun, BackupError> {
        let book = Daybook::open(&StoreSettings { database_url: self.url.clone(), max_connections: 2 })?;
        // The back-up may be one of an older version.
        migrate(&book).await.map_err(BackupError::Unfinished)?;
        if adopt_topics {
            relay::adopt(&book).await?;
        }
        let head = book.begin_history().await?;
        let client = self.connect().await?;
        let last = client.query_opt("SELECT recorded_at FROM events WHERE position = $1", &[&head.position]).await?;
        let recorded_at = last.map(|row| row.try_get(0)).transpose()?;
        Ok(Begun { position: head.position, recorded_at, epoch: head.epoch })
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

/// How to reach the book: as the superuser of the cluster, which need not have been made by `daybook up`.
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

/// What PostgreSQL says of a target that it cannot meet.
fn explained(error: PostgresError, plan: &Plan, stop: &Stop) -> BackupError {
    let PostgresError::Start { output, .. } = &error else { return error.into() };
    let asked = match stop {
        Stop::AtTime(time) => said(*time),
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
        let earliest = format!("the base back-up {} is whole from {} on", plan.base.label, said(plan.base.ended.at));
        return BackupError::BeforeBackup { asked, earliest };
    }
    error.into()
}

/// What a target means for the first recovery, and whether it must reach the end of the archive.
pub(super) const fn goes_to_the_end(target: Target) -> bool {
    matches!(target, Target::End | Target::Position(_))
}
