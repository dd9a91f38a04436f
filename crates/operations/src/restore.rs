//! `daybook restore`: restoring a book from its back-up into a new data directory, as of the end or of an earlier moment.

use std::{path::PathBuf, process::ExitCode};

use daybook_backup::restore::{Restored, Target, Wanted, readable, restore};
use daybook_domain::Timestamp;

use crate::{backup, migrate, print_line, progress};

/// The flags of `daybook restore`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The directory of the back-ups.
    #[arg(long)]
    from: PathBuf,
    /// The data directory to make, for `daybook up`.
    #[arg(long)]
    data: PathBuf,
    /// Restore only what was committed up to this time (RFC 3339).
    #[arg(long, value_name = "TIME", conflicts_with_all = ["to_position", "without_archive"])]
    to_time: Option<Timestamp>,
    /// Restore the book only up to this position. Commands of one commit stay together, so the book may end a little before it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..), conflicts_with = "without_archive")]
    to_position: Option<i64>,
    /// The base back-up to start from, instead of the newest one that leads to the target.
    #[arg(long, value_name = "LABEL")]
    base: Option<String>,
    /// The timeline of the log, instead of the newest one. Every restore starts a new timeline.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    timeline: Option<u32>,
    /// Restore only the base back-up itself, without the archived log.
    #[arg(long)]
    without_archive: bool,
    /// Leave the Kafka topics to the running shop, for a copy of its book.
    #[arg(long)]
    leave_topics: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn wanted(self) -> Wanted {
        let target = match (self.to_time, self.to_position, self.without_archive) {
            (Some(time), ..) => Target::Time(time.utc()),
            (_, Some(position), _) => Target::Position(position),
            (.., true) => Target::Base,
            _ => Target::End,
        };
        let Self { from, data, base, timeline, leave_topics, .. } = self;
        Wanted { from, data, target, base, timeline, leave_topics }
    }
}

/// Runs the command. Nothing is left behind when it fails.
///
/// # Errors
/// [`Usage`](crate::Usage) for an impossible request, any other error for a failure.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let begin = |what: &str| progress::bar(what, 0);
    let restored = restore(&args.wanted(), begin, migrate).await;
    let restored = restored.map_err(|error| backup::as_usage(error.into()))?;
    if json {
        print_line!("{}", serde_json::to_string(&restored)?);
        return Ok(ExitCode::SUCCESS);
    }
    let Restored { base, data, position, recorded_at, seconds, .. } = &restored;
    let written = recorded_at.map(|at| format!(", written at {}", readable(at))).unwrap_or_default();
    print_line!("restored from {base} in {seconds:.1} s: the book ends at position {position}{written}");
    if restored.embedded {
        print_line!("start it with: daybook up --data {}", data.display());
    } else {
        print_line!("the data directory for PostgreSQL is {}", data.join("postgres/cluster").display());
    }
    Ok(ExitCode::SUCCESS)
}
