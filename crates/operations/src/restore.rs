//! `daybook restore`: a book from its back-up, as it was at the end or at a moment before, in a new data directory.

use std::{path::PathBuf, process::ExitCode};

use chrono::{DateTime, Utc};
use daybook_backup::restore::{Restored, Target, Wanted, restore, said};

use crate::{backup, migrate, progress};

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
    fn wanted(self) -> Wanted {
        let target = match (self.to_time, self.to_position, self.without_archive) {
            (Some(time), ..) => Target::Time(time),
            (_, Some(position), _) => Target::Position(position),
            (.., true) => Target::Base,
            _ => Target::End,
        };
        let Self { from, data, base, timeline, leave_topics, .. } = self;
        Wanted { from, data, target, base, timeline, leave_topics }
    }
}

/// Does it. Exit code 2 when something impossible was asked for, 1 when something failed; then nothing is left behind.
///
/// # Errors
/// When it could not be said how it went.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let begin = |what: &str| progress::bar(what, 0);
    let restored = restore(&args.wanted(), begin, migrate).await;
    let restored = restored.map_err(|error| backup::told(error.into()))?;
    if json {
        println!("{}", serde_json::to_string(&restored)?);
        return Ok(ExitCode::SUCCESS);
    }
    let Restored { base, data, position, recorded_at, seconds, .. } = &restored;
    let written = recorded_at.map(|at| format!(", written at {}", said(at))).unwrap_or_default();
    println!("restored from {base} in {seconds:.1} s: the book ends at position {position}{written}");
    if restored.embedded {
        println!("start it with: daybook up --data {}", data.display());
    } else {
        println!("the data directory for PostgreSQL is {}", data.join("postgres/cluster").display());
    }
    Ok(ExitCode::SUCCESS)
}
