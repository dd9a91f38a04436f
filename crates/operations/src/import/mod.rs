//! `daybook import`: bulk loads through the bus. A refused record goes to `FILE.rejected.ndjson`, with the code and the reason. Records
//! that the book has are left unchanged. So a second run imports nothing, and a run that was interrupted can be repeated.
//!
//! An import that ends early, because the file is damaged or the store fails, prints its summary as well, and ends with exit code 1.

mod orders;
mod products;
mod records;
mod running;
mod stock;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};
use daybook_bus::{Bus, BusSettings, Clock, CommandError, Submission, clock::new_id};
use daybook_domain::{Actor, Command};
use daybook_event_store::error_chain;
use serde::Serialize;
use serde_json::Value;

use crate::Connection;

/// The flags of `daybook import`.
#[derive(Debug, Clone, Parser)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// End with one JSON object.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Products: CSV with the columns sku, name, brand, department, category, package_size, and optionally price (minor units)
    /// and currency.
    Products {
        /// The file; `.gz` is read compressed.
        file: PathBuf,
    },
    /// Orders from another system: NDJSON, one `ImportOrder` a line.
    Orders {
        /// The file; `.gz` is read compressed.
        file: PathBuf,
    },
    /// Deliveries: CSV with the columns sku, quantity, and optionally location and reference. The contents of a line identify a
    /// delivery, so two equal deliveries in two files need different references.
    Stock {
        /// The file; `.gz` is read compressed.
        file: PathBuf,
    },
}

/// The result of an import.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The number of records.
    pub read: u64,
    /// The records that are new in the book.
    pub imported: u64,
    /// The records that were in the book before.
    pub already_there: u64,
    /// The records that were refused.
    pub rejected: u64,
    /// The duration.
    pub seconds: f64,
    /// The file of the refused records, each with the code and the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_file: Option<PathBuf>,
    /// Why the import ended before the end of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Why a record was not imported.
struct Rejection {
    record: Value,
    code: String,
    reason: String,
}

/// The outcome of one record.
enum Outcome {
    Imported,
    AlreadyThere,
    Rejected(Rejection),
}

/// Imports a file.
///
/// # Errors
/// When the file cannot be read to its end, or the store fails. A second run continues this one.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (bus, stopped) = Bus::start(args.connection.book()?, Clock::system(), &BusSettings::default());
    let begin = Instant::now();
    let imported = match args.what {
        What::Products { file } => products::import(bus, &file).await,
        What::Orders { file } => orders::import(bus, &file).await,
        What::Stock { file } => stock::import(bus, &file).await,
    };
    let stopped = stopped.await;
    let (summary, ended) = imported?;
    let failure = ended.as_ref().err().map(|error| error_chain(error.as_ref()));
    Summary { seconds: begin.elapsed().as_secs_f64(), failure, ..summary }.print(args.json)?;
    ended?;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

impl Summary {
    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let Self { read, imported, already_there, rejected, seconds, rejected_file, failure: _ } = self;
        println!(
            "{read} read, {imported} imported, {already_there} already there, {rejected} rejected in {seconds:.1} s"
        );
        if let Some(file) = rejected_file {
            println!("rejected records and reasons: {}", file.display());
        }
        Ok(())
    }
}

/// Sends a command. `existing` are the codes of refusals of records that the book has already.
async fn submit(bus: Bus, command: Command, record: Value, existing: &[&str]) -> anyhow::Result<Outcome> {
    match bus.execute_patiently(Submission::new(command, new_id(), Actor::Admin("import".to_owned()))).await {
        // What the record asks for is so already.
        Ok(receipt) if receipt.events.is_empty() => Ok(Outcome::AlreadyThere),
        Ok(_) => Ok(Outcome::Imported),
        Err(CommandError::Refused { refusal, .. }) => {
            let code = refusal.code();
            if existing.contains(&code) {
                return Ok(Outcome::AlreadyThere);
            }
            Ok(Outcome::Rejected(Rejection { record, code: code.to_owned(), reason: refusal.to_string() }))
        }
        Err(error) => Err(error.into()),
    }
}
