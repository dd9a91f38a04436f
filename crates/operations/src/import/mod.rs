//! `daybook import`: bulk loads through the bus. A refused record goes to `FILE.rejected.ndjson`, with the code and the reason. Records
//! that the book has are left unchanged. So a second run imports nothing, and a run that was interrupted can be repeated.

mod orders;
mod products;
mod stock;

use std::{
    fs::File,
    future::Future,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use daybook_bus::{Bus, BusSettings, Clock, CommandError, Submission, clock::new_id};
use daybook_domain::{Actor, Command};
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, stream::FuturesUnordered};
use indicatif::ProgressBar;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{Connection, progress};

/// The most records that are being imported at once.
const MAX_PENDING: usize = 1_024;

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
/// When the file cannot be read, or the store fails. A second run continues this one.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (bus, stopped) = Bus::start(args.connection.book()?, Clock::system(), &BusSettings::default());
    let begin = Instant::now();
    let summary = match args.what {
        What::Products { file } => products::import(bus, &file).await,
        What::Orders { file } => orders::import(bus, &file).await,
        What::Stock { file } => stock::import(bus, &file).await,
    };
    stopped.await?;
    let summary = Summary { seconds: begin.elapsed().as_secs_f64(), ..summary? };
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        let Summary { read, imported, already_there, rejected, seconds, rejected_file } = summary;
        println!(
            "{read} read, {imported} imported, {already_there} already there, {rejected} rejected in {seconds:.1} s"
        );
        if let Some(file) = rejected_file {
            println!("rejected records and reasons: {}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens a file, with a progress bar over its bytes. A file that ends in `.gz` is decompressed.
fn open(file: &Path) -> anyhow::Result<(Box<dyn Read + Send>, ProgressBar)> {
    let opened = File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?;
    let bar = progress::bar(&format!("importing {}", file.display()), opened.metadata()?.len());
    let bytes = bar.wrap_read(BufReader::new(opened));
    let compressed = file.extension().is_some_and(|extension| extension == "gz");
    Ok((if compressed { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) }, bar))
}

/// The error of a file that ends early. The records before that stay imported.
fn damaged(file: &Path, summary: &Summary, damage: &dyn std::error::Error) -> anyhow::Error {
    let Summary { read, imported, already_there, rejected, .. } = summary;
    anyhow::anyhow!(
        "{} is damaged: {damage}; before that {read} records were read, {imported} imported, {already_there} already there, \
         {rejected} rejected",
        file.display()
    )
}

/// A line of a CSV file, or the reason why it cannot be read.
type CsvLine<L> = Result<L, Rejection>;

/// The lines of a CSV file that must have these columns.
fn csv_lines<L: DeserializeOwned>(
    file: &Path,
    bytes: Box<dyn Read + Send>,
    required: &[&str],
) -> anyhow::Result<impl Iterator<Item = csv::Result<CsvLine<L>>> + use<L>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = reader.byte_headers().with_context(|| format!("{} cannot be read", file.display()))?.clone();
    for column in required {
        if !headers.iter().any(|header| header == column.as_bytes()) {
            anyhow::bail!("{} has no column `{column}`; nothing was imported", file.display());
        }
    }
    Ok(reader.into_byte_records().map(move |record| {
        let record = record?;
        Ok(record.deserialize(Some(&headers)).map_err(|error| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let fields = headers.iter().zip(&record).map(|(name, field)| (text(name), Value::String(text(field))));
            Rejection { record: fields.collect(), code: "invalid_record".to_owned(), reason: error.to_string() }
        }))
    }))
}

/// Makes the file of rejected records beside the imported file. Where that is not writable, it is made in the current directory.
fn rejected_file(file: &Path) -> anyhow::Result<(PathBuf, File)> {
    let mut name = file.as_os_str().to_owned();
    name.push(".rejected.ndjson");
    let beside = PathBuf::from(name);
    if let Ok(made) = File::create(&beside) {
        return Ok((beside, made));
    }
    let here = PathBuf::from(beside.file_name().unwrap_or_default());
    let made = File::create(&here).with_context(|| format!("{} cannot be written", here.display()))?;
    Ok((here, made))
}

/// A running import: the pending records, and the summary of the others.
struct Import<F> {
    pending: FuturesUnordered<F>,
    summary: Summary,
    /// The imported file.
    file: PathBuf,
    rejections: Option<BufWriter<File>>,
}

impl<F: Future<Output = anyhow::Result<Outcome>>> Import<F> {
    fn new(file: &Path) -> Self {
        let (pending, summary) = (FuturesUnordered::new(), Summary::default());
        Self { pending, summary, file: file.to_owned(), rejections: None }
    }

    /// Starts to import a record. It waits while too many are pending.
    async fn send(&mut self, record: F) -> anyhow::Result<()> {
        self.summary.read += 1;
        self.pending.push(record);
        if self.pending.len() >= MAX_PENDING
            && let Some(outcome) = self.pending.next().await
        {
            self.count(outcome?)?;
        }
        Ok(())
    }

    /// Counts a record that could not be sent.
    fn reject(&mut self, rejection: Rejection) -> anyhow::Result<()> {
        self.summary.read += 1;
        self.count(Outcome::Rejected(rejection))
    }

    /// Waits for the pending records.
    async fn finish(mut self) -> anyhow::Result<Summary> {
        while let Some(outcome) = self.pending.next().await {
            self.count(outcome?)?;
        }
        if let Some(mut rejections) = self.rejections {
            rejections.flush()?;
        }
        Ok(self.summary)
    }

    fn count(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        match outcome {
            Outcome::Imported => self.summary.imported += 1,
            Outcome::AlreadyThere => self.summary.already_there += 1,
            Outcome::Rejected(Rejection { record, code, reason }) => {
                self.summary.rejected += 1;
                let out = match &mut self.rejections {
                    Some(out) => out,
                    none => {
                        let (name, made) = rejected_file(&self.file)?;
                        self.summary.rejected_file = Some(name);
                        none.insert(BufWriter::new(made))
                    }
                };
                let mut line = match record {
                    Value::Object(fields) => fields,
                    other => Map::from_iter([("record".to_owned(), other)]),
                };
                line.insert("code".to_owned(), json!(code));
                line.insert("reason".to_owned(), json!(reason));
                writeln!(out, "{}", Value::Object(line))?;
            }
        }
        Ok(())
    }
}

/// Sends a command. `existing` are the codes of refusals of records that the book has already.
async fn submit(bus: Bus, command: Command, record: Value, existing: &[&str]) -> anyhow::Result<Outcome> {
    match bus.execute_patiently(Submission::new(command, new_id(), Actor::Admin("import".to_owned()))).await {
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
