//! Restoring a book from its back-up into a new data directory, as of the end or of an earlier moment.
//!
//! PostgreSQL recovers the database. The read tables and the log of commands are in the same database, so they are of the same
//! instant. Then the book begins another history, since positions after the restored one will be assigned again. Its relay is asked to
//! adopt the topics. What does not belong here: making back-ups.

mod data_directory;
mod files;
mod plan;
mod recover;
mod tuning;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use chrono::{DateTime, Utc};
use daybook_event_store::Daybook;
use indicatif::ProgressBar;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    BackupError,
    apart::check_apart,
    base::EXTRA_FILES,
    store::{Store, is_file, private_file},
    tools::Tools,
};
use data_directory::NewDataDirectory;
use plan::{Plan, Stop};
use recover::{NewHistory, Recovered};

pub use plan::{Target, readable};

/// The request for a restore.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The directory of the back-ups.
    pub from: PathBuf,
    /// The data directory to make, for `daybook up`.
    pub data: PathBuf,
    /// The target.
    pub target: Target,
    /// The base back-up to start from, instead of the newest one that leads to the target.
    pub base: Option<String>,
    /// The timeline of the log to follow, instead of the newest one.
    pub timeline: Option<u32>,
    /// Whether the Kafka topics are left to the book that has filled them.
    pub leave_topics: bool,
}

/// A restored book.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// The base back-up that the restore started from.
    pub base: String,
    /// The data directory.
    pub data: PathBuf,
    /// The position of the last event.
    pub position: i64,
    /// When that event was written. None for an empty book.
    pub recorded_at: Option<DateTime<Utc>>,
    /// The identity of the new history.
    pub epoch: Uuid,
    /// Whether `daybook up` can use it. Otherwise it is for a PostgreSQL of the operator.
    pub embedded: bool,
    /// Whether the relay will adopt the topics.
    pub adopts_topics: bool,
    /// The duration of the restore.
    pub seconds: f64,
}

/// Restores a book. `begin` makes the progress bar once the plan is made. `migrate` brings the schema of an older book up to date.
///
/// # Errors
/// [`BackupError`] says why there is no restored book. Then nothing is left behind.
pub async fn restore(
    wanted: &Wanted,
    begin: impl FnOnce(&str) -> ProgressBar,
    migrate: impl AsyncFnOnce(&Daybook) -> anyhow::Result<()>,
) -> Result<Restored, BackupError> {
    let start = Instant::now();
    let store = Store::open(&wanted.from)?;
    check_apart(&wanted.data, &wanted.from)?;
    let plan = Plan::make(&store, wanted.target, wanted.base.as_deref(), wanted.timeline)?;
    let tools = Tools::of_version(plan.base.server.major)?;
    let directory = NewDataDirectory::take(&wanted.data)?;
    let bar = begin("comparing with the checksums");
    let recovered = async {
        tools.verify(&plan.directory.join("data")).await?;
        recover(&plan, &directory, wanted, migrate, &bar).await
    };
    let recovered = recovered.await;
    bar.finish_and_clear();
    let NewHistory { position, recorded_at, epoch } = match recovered {
        Ok(history) => history,
        Err(error) => {
            if let Err(error) = directory.discard() {
                tracing::warn!(%error, "the unfinished restore could not be removed");
            }
            return Err(error);
        }
    };
    Ok(Restored {
        data: directory.finish()?,
        position,
        recorded_at,
        epoch,
        embedded: plan.base.server.embedded,
        adopts_topics: !wanted.leave_topics,
        seconds: start.elapsed().as_secs_f64(),
        base: plan.base.label.into(),
    })
}

/// Recovers the book in a folder of the new data directory.
async fn recover(
    plan: &Plan,
    directory: &NewDataDirectory,
    wanted: &Wanted,
    migrate: impl AsyncFnOnce(&Daybook) -> anyhow::Result<()>,
    bar: &ProgressBar,
) -> Result<NewHistory, BackupError> {
    let (server, target) = (directory.server(), wanted.target);
    // The first recovery to a position is mostly discarded, so it runs without fsync.
    let mut durable = !matches!(target, Target::Position(_));
    let mut recovered = start(plan, &server, &Stop::from(target), durable, bar).await?;
    let outcome = async {
        if recover::needs_whole_archive(target) {
            recovered.check_complete(plan).await?;
        }
        match target {
            Target::Position(position) => recovered.first_after(position).await,
            _ => Ok(None),
        }
    };
    let too_far = match outcome.await {
        Ok(too_far) => too_far,
        Err(error) => return stopped(recovered, Err(error)).await,
    };
    if let Some(transaction) = too_far {
        // PostgreSQL cannot go back, so it recovers a second time.
        recovered.stop().await?;
        directory.clear()?;
        durable = true;
        recovered = start(plan, &server, &Stop::Before(transaction), durable, bar).await?;
    }
    bar.set_message("beginning another history");
    let history = recovered.begin_history(migrate, !wanted.leave_topics).await;
    let history = stopped(recovered, history).await?;
    if !durable {
        files::sync(server.clone()).await?;
    }
    files::restore_configuration(plan, &server)?;
    let secret = plan.directory.join(EXTRA_FILES[0].1);
    if is_file(&secret)? {
        let bytes = fs::read(&secret).map_err(BackupError::io(format!("read {}", secret.display())))?;
        private_file(&directory.file(EXTRA_FILES[0].0), &bytes)?;
    }
    Ok(history)
}

async fn start(
    plan: &Plan,
    server: &Path,
    stop: &Stop,
    durable: bool,
    bar: &ProgressBar,
) -> Result<Recovered, BackupError> {
    bar.set_message("copying the back-up");
    bar.set_position(0);
    bar.set_length(files::size(plan));
    files::copy_all(plan, server.to_owned(), bar).await?;
    bar.set_message("replaying the write-ahead log");
    Recovered::start(plan, server, stop, durable).await
}

/// Stops the server, and returns the outcome.
async fn stopped<T>(recovered: Recovered, outcome: Result<T, BackupError>) -> Result<T, BackupError> {
    let stopped = recovered.stop().await;
    outcome.and_then(|value| stopped.map(|()| value))
}
