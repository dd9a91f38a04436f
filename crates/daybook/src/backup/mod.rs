//! `daybook backup`: the book in a safe place, while the shop runs.
//!
//! PostgreSQL's own programs do the work: pg_basebackup copies the files of the server, pg_verifybackup reads them back, and
//! pg_receivewal follows the write-ahead log, so that [`crate::restore`] can go to any moment after a base back-up. What
//! belongs here: driving those programs, and the directory that their results are in. What does not: restoring.

mod archive;
mod base;
mod error;
mod source;
mod store;
mod tools;
mod wal;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use serde_json::json;

pub use error::BackupError;
pub use source::{Mark, Server};
pub use store::Base;

pub(crate) use {
    archive::{Archive, forget},
    base::{KEPT, take},
    source::{Source, connection_string},
    store::{Store, entries, private, private_file, remove},
    tools::Tools,
    wal::{Segment, Wal, lsn},
};

use crate::{
    cli::Usage,
    config::{Connection, Ready},
    progress, serve,
};

/// The flags of `daybook backup`.
#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Where to put the back-up: an empty directory, or one with earlier back-ups of the same book.
    #[arg(long, required = true)]
    to: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Archive the write-ahead log until told to stop, for a server that `daybook up --archive` does not run.
    Archive {
        /// The directory of the back-ups.
        #[arg(long)]
        to: PathBuf,
    },
    /// List the base back-ups of a directory, and how far the archived log leads on from each.
    List {
        /// The directory.
        from: PathBuf,
    },
    /// Remove all base back-ups but the newest ones, and what is archived from before them.
    Prune {
        /// The directory.
        from: PathBuf,
        /// How many to keep.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        keep: u16,
    },
    /// Compare every file of every base back-up with its checksum, and look for gaps in the archived log.
    Verify {
        /// The directory.
        from: PathBuf,
    },
}

/// Does it. Exit code 2 when something impossible was asked for, 1 when something failed.
///
/// # Errors
/// When it could not be said how it went.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let outcome = match args.what {
        None => back_up(&args.to.unwrap_or_default(), &args.connection, json).await,
        Some(What::Archive { to }) => follow(&to, &args.connection).await,
        Some(What::List { from }) => list(&from, json),
        Some(What::Prune { from, keep }) => prune(&from, usize::from(keep), json),
        Some(What::Verify { from }) => verify(&from, json).await,
    };
    outcome.map(|()| ExitCode::SUCCESS).map_err(told)
}

/// What cannot be asked for is a mistake of usage; anything else is told as it is.
pub(crate) fn told(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<BackupError>() {
        Some(known) if known.is_usage() => Usage(known.to_string()).into(),
        _ => error,
    }
}

fn source(connection: &Connection) -> anyhow::Result<Source> {
    let (url, data) = match &connection.database_url {
        Some(url) => (url.clone(), None),
        None => (Ready::read(&connection.data)?.database_url, Some(connection.data.clone())),
    };
    Ok(Source::new(&url, data)?)
}

/// Archives until told to stop.
async fn follow(to: &Path, connection: &Connection) -> anyhow::Result<()> {
    let source = source(connection)?;
    let archive = Archive::start(&source, to).await?;
    println!("the write-ahead log is archived in {}", to.display());
    if archive.needs_base() {
        println!("no base back-up leads there yet; make one with: daybook backup --to {}", to.display());
    }
    serve::asked_to_stop().await;
    archive.stop().await;
    Ok(())
}

async fn back_up(to: &Path, connection: &Connection, json: bool) -> anyhow::Result<()> {
    let source = source(connection)?;
    let (bar, begun) = (progress::bar("backing up", 0), Instant::now());
    let base = take(&source, to, &bar).await?;
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    if json {
        let mut summary = serde_json::to_value(&base)?;
        summary["seconds"] = json!(seconds);
        println!("{summary}");
    } else {
        let Base { label, bytes, ended, .. } = &base;
        println!(
            "{label}: {} MiB in {seconds:.1} s, compared with their checksums; the book up to position {}",
            bytes >> 20,
            ended.position
        );
    }
    Ok(())
}

fn list(from: &Path, json: bool) -> anyhow::Result<()> {
    let reports = reports(&Store::open(from)?)?;
    if json {
        println!("{}", serde_json::to_string(&reports)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["base back-up", "position", "MiB", "archived log leads on to"]);
    for Report { base, archived_to, missing, .. } in &reports {
        let leads_to = match (archived_to, missing) {
            (Some(file), Some(missing)) => format!("{file}; {missing} is missing"),
            (Some(file), None) => file.clone(),
            (None, Some(missing)) => format!("nothing; {missing} is missing"),
            (None, None) => "nothing".to_owned(),
        };
        let (position, size) = (base.ended.position.to_string(), (base.bytes >> 20).to_string());
        table.add_row([base.label.clone(), position, size, leads_to]);
    }
    println!("{table}");
    Ok(())
}

/// A base back-up, and how far one can go from it.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    base: Base,
    /// The last file of the archived log that leads on from it; none when nothing was archived.
    archived_to: Option<String>,
    /// When that file was last written to.
    archived_at: Option<DateTime<Utc>>,
    /// The first file that is missing, where there are more after it.
    missing: Option<String>,
}

fn reports(store: &Store) -> Result<Vec<Report>, BackupError> {
    let report = |base: Base| {
        let bytes = base.server.wal_segment_bytes;
        let wal = Wal::read(store, bytes)?;
        let timeline = wal.newest_timeline(&base);
        let reach = wal.reach(&base, timeline);
        let last = wal.range(&base, timeline).filter(|(segment, _)| segment.number <= reach.last).last();
        let written = last.and_then(|(_, path)| path.metadata().and_then(|file| file.modified()).ok());
        Ok(Report {
            archived_to: last.map(|(segment, _)| segment.name(bytes)),
            archived_at: written.map(DateTime::from),
            missing: reach.missing.map(|segment| segment.name(bytes)),
            base,
        })
    };
    store.bases()?.into_iter().map(report).collect()
}

fn prune(from: &Path, keep: usize, json: bool) -> anyhow::Result<()> {
    let store = Store::open(from)?;
    let _lock = store.lock("lock")?;
    let mut bases = store.bases()?;
    let kept = bases.split_off(bases.len().saturating_sub(keep));
    // Without a base back-up nothing says what is needed: the one that the archive waits for may be under way.
    let files: Vec<PathBuf> = match kept.first() {
        Some(first) => Wal::read(&store, first.server.wal_segment_bytes)?.before(&kept).cloned().collect(),
        None => Vec::new(),
    };
    for base in &bases {
        store.remove(base)?;
    }
    for file in &files {
        std::fs::remove_file(file).map_err(BackupError::io(format!("remove {}", file.display())))?;
    }
    if json {
        println!("{}", json!({ "kept": kept.len(), "removed": bases.len(), "removed_files": files.len() }));
    } else {
        println!("removed {} base back-ups and {} files of the archived log", bases.len(), files.len());
    }
    Ok(())
}

async fn verify(from: &Path, json: bool) -> anyhow::Result<()> {
    let store = Store::open(from)?;
    let reports = reports(&store)?;
    let bar = progress::bar("comparing with the checksums", reports.len() as u64);
    for Report { base, .. } in &reports {
        Tools::of_version(base.server.major)?.verify(&store.base(&base.label).join("data")).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    // From an older one, a way that the newest has need not be there.
    if let Some(Report { missing: Some(segment), .. }) = reports.last() {
        return Err(BackupError::MissingWal { segment: segment.clone() }.into());
    }
    match json {
        true => println!("{}", json!({ "verified": reports.len(), "ok": true })),
        false => println!("all is as it was when it was made: {} base back-ups", reports.len()),
    }
    Ok(())
}
