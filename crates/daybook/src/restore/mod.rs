//! `daybook restore`: a book from its back-up, as it was at the end or at a moment before, in a new data directory.
//!
//! PostgreSQL recovers it; the read tables and the log of commands are in the same database, so they are as of the same instant.
//! Then the book begins another history, since positions after the restored one will be given again, and its relay is told to
//! make the topics anew. What does not belong here: making back-ups, which is [`crate::backup`].

mod files;
mod place;
mod plan;
mod recover;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    backup::{self, BackupError, KEPT, Store, Tools, private_file},
    progress,
};
use place::Place;
use plan::{Plan, Stop, Target};
use recover::{Begun, Recovered};

pub(crate) use place::RESTORING;

/// The flags of `daybook restore`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The directory of the back-ups.
    #[arg(long)]
    from: PathBuf,
    /// The data directory to make, for `daybook up`.
    #[arg(long)]
    data: PathBuf,
    /// Only what was committed up to this time (RFC 3339).
    #[arg(long, value_name = "TIME", conflicts_with_all = ["to_position", "without_archive"])]
    to_time: Option<DateTime<Utc>>,
    /// Only the book up to this position. Commands that were committed together stay together, so it may end a little before.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..), conflicts_with = "without_archive")]
    to_position: Option<i64>,
    /// The base back-up to begin with, instead of the newest one that leads there.
    #[arg(long, value_name = "LABEL")]
    base: Option<String>,
    /// The timeline of the log to follow, instead of the newest one: what an earlier restore has left behind.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    timeline: Option<u32>,
    /// Only the base back-up itself, as it was when it was finished.
    #[arg(long)]
    without_archive: bool,
    /// Leave the Kafka topics to the book that they are of: for a copy beside a shop that goes on.
    #[arg(long)]
    leave_topics: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Args {
    const fn target(&self) -> Target {
        match (self.to_time, self.to_position, self.without_archive) {
            (Some(time), ..) => Target::Time(time),
            (_, Some(position), _) => Target::Position(position),
            (.., true) => Target::Base,
            _ => Target::End,
        }
    }
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

/// Does it. Exit code 2 when something impossible was asked for, 1 when something failed; then nothing is left behind.
///
/// # Errors
/// When it could not be said how it went.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let restored = restore(&args).await.map_err(|error| backup::told(error.into()))?;
    if args.json {
        println!("{}", serde_json::to_string(&restored)?);
        return Ok(ExitCode::SUCCESS);
    }
    let Restored { base, data, position, recorded_at, seconds, .. } = &restored;
    let written = recorded_at.map(|at| format!(", written at {}", plan::said(at))).unwrap_or_default();
    println!("restored from {base} in {seconds:.1} s: the book ends at position {position}{written}");
    if restored.embedded {
        println!("start it with: daybook up --data {}", data.display());
    } else {
        println!("the data directory for PostgreSQL is {}", data.join("postgres/cluster").display());
    }
    Ok(ExitCode::SUCCESS)
}

async fn restore(args: &Args) -> Result<Restored, BackupError> {
    let begun = Instant::now();
    let store = Store::open(&args.from)?;
    let plan = Plan::make(&store, args.target(), args.base.as_deref(), args.timeline)?;
    let tools = Tools::of_version(plan.base.server.major)?;
    let place = Place::take(&args.data)?;
    let bar = progress::bar("comparing with the checksums", 0);
    let recovered = async {
        tools.verify(&plan.directory.join("data")).await?;
        recover(&plan, &place, args, &bar).await
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
        adopts_topics: !args.leave_topics,
        seconds: begun.elapsed().as_secs_f64(),
        base: plan.base.label,
    })
}

/// Puts everything together beside its place.
async fn recover(plan: &Plan, place: &Place, args: &Args, bar: &ProgressBar) -> Result<Begun, BackupError> {
    let (server, target) = (place.server(), args.target());
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
    let begun = recovered.begin_history(!args.leave_topics).await;
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
