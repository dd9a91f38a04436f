//! `daybook backup`: back-ups while the shop runs.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use daybook_backup::{Archive, BackupError, Base, Pruned, Report, Source, reports, take};
use serde_json::json;

use crate::{Connection, Usage, print_line, progress};

/// The flags of `daybook backup`.
#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// The directory of the back-up: an empty one, or one with earlier back-ups of the same book.
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
    /// Archive the write-ahead log until the process is stopped, for a server that `daybook up --archive` does not run.
    Archive {
        /// The directory of the back-ups.
        #[arg(long)]
        to: PathBuf,
    },
    /// List the base back-ups of a directory, and the end of the archived log that continues each.
    List {
        /// The directory.
        from: PathBuf,
    },
    /// Remove all base back-ups but the newest ones, and the archived log before them.
    Prune {
        /// The directory.
        from: PathBuf,
        /// The number of base back-ups to keep.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        keep: u16,
    },
    /// Compare every file of every base back-up with its checksum, and look for gaps in the archived log.
    Verify {
        /// The directory.
        from: PathBuf,
    },
}

/// Runs the command. An archive runs until `stop` resolves.
///
/// # Errors
/// [`Usage`] for an impossible request, any other error for a failure.
pub async fn run(args: Args, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let outcome = match args.what {
        None => back_up(&args.to.unwrap_or_default(), &args.connection, json).await,
        Some(What::Archive { to }) => follow(&to, &args.connection, stop).await,
        Some(What::List { from }) => list(&from, json),
        Some(What::Prune { from, keep }) => prune(&from, usize::from(keep), json),
        Some(What::Verify { from }) => verify(&from, json).await,
    };
    outcome.map(|()| ExitCode::SUCCESS).map_err(as_usage)
}

/// Turns an impossible request into a mistake of usage. Other errors are left unchanged.
pub(crate) fn as_usage(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<BackupError>() {
        Some(known) if known.is_usage() => Usage(known.to_string()).into(),
        _ => error,
    }
}

fn source(connection: &Connection) -> anyhow::Result<Source> {
    let (url, data) = connection.database()?;
    Ok(Source::new(url, data)?)
}

/// Archives until `stop` resolves.
async fn follow(to: &Path, connection: &Connection, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let source = source(connection)?;
    let archive = Archive::start(&source, to).await?;
    print_line!("the write-ahead log is archived in {}", to.display());
    if archive.needs_base() {
        print_line!("the archive has no base back-up yet; make one with: daybook backup --to {}", to.display());
    }
    stop.await;
    archive.stop().await;
    Ok(())
}

async fn back_up(to: &Path, connection: &Connection, json: bool) -> anyhow::Result<()> {
    let source = source(connection)?;
    let (bar, start) = (progress::bar("backing up", 0), Instant::now());
    let base = take(&source, to, &bar).await?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    if json {
        let mut summary = serde_json::to_value(&base)?;
        summary["seconds"] = json!(seconds);
        print_line!("{summary}");
    } else {
        let Base { label, bytes, ended, .. } = &base;
        print_line!(
            "{label}: {} MiB in {seconds:.1} s, compared with their checksums; the book ends at position {}",
            bytes >> 20,
            ended.position
        );
    }
    Ok(())
}

fn list(from: &Path, json: bool) -> anyhow::Result<()> {
    let reports = reports(from)?;
    if json {
        print_line!("{}", serde_json::to_string(&reports)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["base back-up", "position", "MiB", "archived log ends with"]);
    for Report { base, archived_to, missing, .. } in &reports {
        let leads_to = match (archived_to, missing) {
            (Some(file), Some(missing)) => format!("{file}; {missing} is missing"),
            (Some(file), None) => file.clone(),
            (None, Some(missing)) => format!("nothing; {missing} is missing"),
            (None, None) => "nothing".to_owned(),
        };
        let (position, size) = (base.ended.position.to_string(), (base.bytes >> 20).to_string());
        table.add_row([base.label.to_string(), position, size, leads_to]);
    }
    print_line!("{table}");
    Ok(())
}

fn prune(from: &Path, keep: usize, json: bool) -> anyhow::Result<()> {
    let pruned = daybook_backup::prune(from, keep)?;
    if json {
        print_line!("{}", serde_json::to_string(&pruned)?);
    } else {
        let Pruned { removed, removed_files, .. } = pruned;
        print_line!("removed {removed} base back-ups and {removed_files} files of the archived log");
    }
    Ok(())
}

async fn verify(from: &Path, json: bool) -> anyhow::Result<()> {
    let verified = daybook_backup::verify(from, |bases| progress::bar("comparing with the checksums", bases)).await?;
    match json {
        true => print_line!("{}", json!({ "verified": verified, "ok": true })),
        false => print_line!("{verified} base back-ups are undamaged"),
    }
    Ok(())
}
