//! A book from its back-up, as it was at the end or at a moment before, in a new data directory.
//!
//! PostgreSQL recovers it; the read tables and the log of commands are in the same database, so they are as of the same instant.
//! Then the book begins another history, since positions after the restored one will be given again, and its relay is told to
//! make the topics anew. What does not belong here: making back-ups.

mod files;
mod place;
mod plan;
mod recover;

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
    base::KEPT,
    store::{Store, private_file},
    tools::Tools,
};
use place::Place;
use plan::{Plan, Stop};
use recover::{Begun, Recovered};

pub use plan::{Target, said};

/// What is to be restored, and where to.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The directory of the back-ups.
    pub from: PathBuf,
    /// The data directory to make, for `daybook up`.
    pub data: PathBuf,
    /// Up to where.
    pub target: Target,
    /// The base back-up to begin with, instead of the newest one that leads there.
    pub base: Option<String>,
    /// The timeline of the log to follow, instead of the newest one.
    pub timeline: Option<u32>,
    /// Whether the Kafka topics are left to the book that they are of.
    pub leave_topics: bool,
}

/// What was restored.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// The base back-up that it began with.
    pub base: String,
    /// The data directory.
    pub data: PathBuf,
    /// The position of the last event.
    pub position: i64,
    /// When that event was written; none in an empty book.
    pub recorded_at: Option<DateTime<Utc>>,
    /// The identity of the history that begins.
    pub epoch: Uuid,
    /// Whether `daybook up` can be started on it; otherwise it is a PostgreSQL of the operator's own.
    pub embedded: bool,
    /// Whether the relay will make the topics anew.
    pub adopts_topics: bool,
    /// How long it took.
    pub seconds: f64,
}

/// Restores. `begin` makes the bar that shows how far it is, once it is clear that it can be done; `migrate` brings the schema of
/// a book up to date that was backed up by an older version.
///
/// # Errors
/// [`BackupError`] says why there is no restored book; then nothing is left behind.
pub async fn restore(
    wanted: &Wanted,
    begin: impl FnOnce(&str) -> ProgressBar,
    migrate: impl AsyncFnOnce(&Daybook) -> anyhow::Result<()>,
) -> Result<Restored, BackupError> {
    let begun = Instant::now();
    let store = Store::open(&wanted.from)?;
    let plan = Plan::make(&store, wanted.target, wanted.base.as_deref(), wanted.timeline)?;
    let tools = Tools::of_version(plan.base.server.major)?;
    let place = Place::take(&wanted.data)?;
    let bar = begin("comparing with the checksums");
    let recovered = async {
        tools.verify(&plan.directory.join("data")).await?;
        recover(&plan, &place, wanted, migrate, &bar).await
    };
    let recovered = recovered.await;
    bar.finish_and_clear();
    let Begun { position, recorded_at, epoch } = match recovered {
        Ok(begun) => begun,
        Err(error) => {
            if let Err(error) = place.give_up() {
                tracing::warn!(%error, "what was begun of the restore is still there");
            }
            return Err(error);
        }
    };
    Ok(Restored {
        data: place.finish()?,
        position,
        recorded_at,
        epoch,
        embedded: plan.base.server.embedded,
        adopts_topics: !wanted.leave_topics,
        seconds: begun.elapsed().as_secs_f64(),
        base: plan.base.label,
    })
}

/// Puts everything together beside its place.
async fn recover(
    plan: &Plan,
    place: &Place,
    wanted: &Wanted,
    migrate: impl AsyncFnOnce(&Daybook) -> anyhow::Result<()>,
    bar: &ProgressBar,
) -> Result<Begun, BackupError> {
    let (server, target) = (place.server(), wanted.target);
    // The first recovery to a position is mostly thrown away, so it does not wait for the disk.
    let mut durable = !matches!(target, Target::Position(_));
    let mut recovered = start(plan, &server, &Stop::from(target), durable, bar).await?;
    let outcome = async {
        if recover::goes_to_the_end(target) {
            recovered.is_whole(plan).await?;
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
        // PostgreSQL cannot go back, so it goes there once more.
        recovered.stop().await?;
        place.clear()?;
        durable = true;
        recovered = start(plan, &server, &Stop::Before(transaction), durable, bar).await?;
    }
    bar.set_message("beginning another history");
    let begun = recovered.begin_history(migrate, !wanted.leave_topics).await;
    let begun = stopped(recovered, begun).await?;
    if !durable {
        files::sync(server.clone()).await?;
    }
    if !plan.base.server.embedded {
        files::give_configuration_back(plan, &server)?;
    }
    let secret = plan.directory.join(KEPT[0].1);
    if secret.is_file() {
        let bytes = fs::read(&secret).map_err(BackupError::io(format!("read {}", secret.display())))?;
        private_file(&place.file(KEPT[0].0), &bytes)?;
    }
    Ok(begun)
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
    files::lay_out(plan, server.to_owned(), bar).await?;
    bar.set_message("replaying the write-ahead log");
    Recovered::start(plan, server, stop, durable).await
}

/// The outcome, when the server has stopped.
async fn stopped<T>(recovered: Recovered, outcome: Result<T, BackupError>) -> Result<T, BackupError> {
    let stopped = recovered.stop().await;
    outcome.and_then(|value| stopped.map(|()| value))
}
