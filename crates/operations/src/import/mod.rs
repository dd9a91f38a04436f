//! `daybook import`: bulk loads through the bus. docs/imports.md states the rules.
//!
//! A record has one outcome: it is created, unchanged, updated (with `--update` only) or rejected. A rejected record goes to
//! `FILE.rejected.ndjson`, with the line, the code and the reason. So a second run of a file writes nothing, and a run that was interrupted
//! can be repeated. An import that ends early, because the file is damaged or the store fails, prints its summary as well.

mod dry_run;
mod file;
mod money;
mod orders;
mod present;
mod products;
mod running;
mod stock;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::{Parser, Subcommand};
use daybook_bus::{Bus, BusSettings, Clock, CommandError, Receipt, Submission};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Store, error_chain};
use encoding_rs::Encoding;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use self::{
    dry_run::DryBook,
    file::{Format, Reading},
    money::DecimalSeparator,
    present::Present,
    running::{Imported, Rejected},
};
use crate::{Connection, Usage, door, print_line};

/// The flags of `daybook import`.
#[derive(Debug, Clone, Parser)]
#[command(
    after_help = "Exit codes: 0 when the import came to the end of the file, 1 when it did not, when every record was rejected, or \
                        with --strict when one was, 2 when nothing was imported because the flags or the header are wrong."
)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    how: How,
    /// End with one JSON object.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

/// How a file is imported.
#[derive(Debug, Clone, clap::Args)]
struct How {
    /// Change what the book has where a record says something else. Without it, such a record is rejected. Orders and deliveries are
    /// history, and are never changed.
    #[arg(long, global = true)]
    update: bool,
    /// Decide every record, and write nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    /// End with exit code 1 when a record was rejected. Otherwise that is so only when every one was.
    #[arg(long, global = true)]
    strict: bool,
    /// Where rejected records go; FILE.rejected.ndjson by default.
    #[arg(long, global = true, value_name = "PATH")]
    rejected: Option<PathBuf>,
    /// The format; by default it is recognised.
    #[arg(long, global = true)]
    format: Option<Format>,
    /// The delimiter of CSV: a character, or comma, semicolon, tab or pipe; by default it is recognised.
    #[arg(long, global = true, value_parser = delimiter)]
    delimiter: Option<u8>,
    /// The encoding, such as windows-1252 or utf-16le; UTF-8 and UTF-16 are recognised.
    #[arg(long, global = true, value_parser = encoding)]
    encoding: Option<&'static Encoding>,
    /// The separator of decimals; by default an amount that can mean two things is rejected.
    #[arg(long, global = true)]
    decimal_separator: Option<DecimalSeparator>,
    /// A column that is left out; may be repeated.
    #[arg(long, global = true, value_name = "COLUMN")]
    ignore: Vec<String>,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "comma" => Ok(b','),
        "semicolon" => Ok(b';'),
        "tab" | "\\t" => Ok(b'\t'),
        "pipe" => Ok(b'|'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\r' | b'\n') => {
                Ok(*byte)
            }
            _ => Err("it is one character, or comma, semicolon, tab or pipe".to_owned()),
        },
    }
}

fn encoding(label: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(label.as_bytes())
        .ok_or_else(|| "no such encoding is known; see https://encoding.spec.whatwg.org".to_owned())
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Products: the columns sku and name, and optionally brand, department, category, package_size, slug, description, price (such as
    /// 19.99) or price_minor (1999), and currency.
    Products {
        /// The file, CSV or NDJSON, compressed or not.
        file: PathBuf,
    },
    /// Orders from another system: NDJSON with an `ImportOrder` a line, or CSV with a line of an order a row: external_ref, placed_at,
    /// currency, sku, quantity, line_total or line_total_minor, and optionally discount, customer_ref, channel.
    Orders {
        /// The file, CSV or NDJSON, compressed or not.
        file: PathBuf,
    },
    /// Deliveries: the columns sku and quantity, and optionally location and reference. Reference, SKU and location identify a
    /// delivery; without a reference, its contents do.
    Stock {
        /// The file, CSV or NDJSON, compressed or not.
        file: PathBuf,
    },
}

impl What {
    fn file(&self) -> &Path {
        let (Self::Products { file } | Self::Orders { file } | Self::Stock { file }) = self;
        file
    }
}

/// The result of an import.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The number of records: those that were created, unchanged, updated, rejected or failed.
    pub read: u64,
    /// The records that have written to the book: those that were created or updated.
    pub imported: u64,
    /// The records that the book had, with the same contents: the unchanged ones.
    pub already_there: u64,
    /// The records that are new in the book.
    pub created: u64,
    /// The records that the book had, with the same contents.
    pub unchanged: u64,
    /// The records that the book had with other contents, and that were changed.
    pub updated: u64,
    /// The records that were rejected.
    pub rejected: u64,
    /// The records whose outcome is unknown, because the store failed.
    pub failed: u64,
    /// The duration.
    pub seconds: f64,
    /// A position at which every record of the file is in the book that is not rejected. A query that waits for it sees them all.
    pub position: Option<i64>,
    /// Whether nothing was written, because it was a dry run.
    pub dry_run: bool,
    /// The file of the rejected records, each with the line, the code and the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_file: Option<PathBuf>,
    /// Why the import ended before the end of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Why a record was not imported.
#[derive(Debug)]
struct Rejection {
    /// The line of the file in which it begins.
    line: u64,
    record: Value,
    code: String,
    reason: String,
}

/// The outcome of one record.
enum Outcome {
    Created,
    Unchanged,
    Updated,
    Rejected(Rejection),
}

/// What the import of a record needs.
#[derive(Clone)]
struct Importer {
    bus: Bus,
    update: bool,
    decimal_separator: Option<DecimalSeparator>,
}

/// The actor of imports. The keys of their commands are known within it, so no client can use them up.
fn actor() -> Actor {
    Actor::Admin("import".to_owned())
}

/// Imports a file.
///
/// # Errors
/// When the file cannot be read to its end, its header is wrong, or the store fails. A second run continues this one.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let file = args.what.file();
    if args.how.rejected.as_deref() == Some(file) {
        return Err(Usage("--rejected names the imported file".to_owned()).into());
    }
    let begin = Instant::now();
    let book = args.connection.book()?;
    let imported = if args.how.dry_run {
        let dry = DryBook::over(book.clone());
        let (bus, stopped) = Bus::start(dry.clone(), Clock::system(), &BusSettings::default());
        let imported = import(dry, bus, &args).await;
        stopped.await?;
        imported
    } else {
        let (bus, door) = door::open(book.clone()).await;
        let imported = import(book.clone(), bus, &args).await;
        door.closed().await?;
        imported
    };
    // A file that cannot be begun has a summary as well.
    let (summary, ended) = imported.unwrap_or_else(|error| (Summary::default(), Err(error)));
    let failure = ended.as_ref().err().map(|error| error_chain(error.as_ref()));
    let position = book.head().await.ok().map(|head| head.position);
    let seconds = begin.elapsed().as_secs_f64();
    let summary = Summary {
        imported: summary.created + summary.updated,
        already_there: summary.unchanged,
        seconds,
        position,
        dry_run: args.how.dry_run,
        failure,
        ..summary
    };
    summary.print(args.json)?;
    ended?;
    Ok(if summary.is_bad(args.how.strict) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Sends the records of the file to a bus on the book.
async fn import(book: impl Store, bus: Bus, args: &Args) -> anyhow::Result<Imported> {
    let How { update, rejected, format, delimiter, encoding, decimal_separator, ignore, .. } = args.how.clone();
    let file = args.what.file();
    let opened = file::open(file, &Reading { format, delimiter, encoding, ignored: ignore })?;
    let rejected = Rejected { file: file.to_owned(), named: rejected };
    let (present, answered) = Present::of(book);
    let importer = Importer { bus, update, decimal_separator };
    let imported = match &args.what {
        What::Products { .. } => products::import(importer, present, rejected, opened).await,
        What::Orders { .. } => {
            drop(present);
            orders::import(importer, rejected, opened).await
        }
        What::Stock { .. } => stock::import(importer, present, rejected, opened).await,
    };
    answered.await?;
    imported
}

impl Summary {
    /// Whether the import counts as failed though it came to the end of the file.
    const fn is_bad(&self, strict: bool) -> bool {
        self.rejected > 0 && (strict || self.rejected == self.read)
    }

    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            print_line!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let Self { read, created, unchanged, updated, rejected, failed, seconds, dry_run, .. } = self;
        let outcomes = format!(
            "{read} read, {created} created, {unchanged} already there, {updated} updated, {rejected} rejected in {seconds:.1} s"
        );
        let failed = if *failed > 0 { format!("; the outcome of {failed} is unknown") } else { String::new() };
        let dry = if *dry_run { "; it was a dry run, and nothing was written" } else { "" };
        print_line!("{outcomes}{failed}{dry}");
        if let Some(file) = &self.rejected_file {
            print_line!("rejected records and reasons: {}", file.display());
        }
        Ok(())
    }
}

/// The code and the sentence of a refusal.
type Refused = (String, String);

/// Sends a command. The outer error says that the import cannot go on.
async fn sent(bus: &Bus, command: Command, id: Uuid) -> anyhow::Result<Result<Receipt, Refused>> {
    match bus.execute_patiently(Submission::new(command, id, actor())).await {
        Ok(receipt) => Ok(Ok(receipt)),
        Err(CommandError::Refused { refusal, .. }) => Ok(Err((refusal.code().to_owned(), refusal.to_string()))),
        Err(error @ CommandError::KeyReused(_)) => Ok(Err(("key_reused".to_owned(), error.to_string()))),
        Err(error @ CommandError::Unwritable(_)) => Ok(Err(("unwritable".to_owned(), error.to_string()))),
        Err(error @ CommandError::Unreadable(_)) => Ok(Err(("unreadable_stream".to_owned(), error.to_string()))),
        Err(error) => Err(error.into()),
    }
}
