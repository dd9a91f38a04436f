//! `daybook import`: bulk loads through the bus. A record that a rule refuses goes whole to `FILE.rejected.ndjson`, with the
//! code and the reason; what is there already is left as it is, so a second run imports nothing, and a run that was cut short
//! is begun again.

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

/// How many records are under way at once.
const UNDER_WAY: usize = 1_024;

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
    /// Goods that came in: CSV with the columns sku, quantity, and optionally location and reference. A line is known again by
    /// what it says, so two deliveries of the same goods in two files want references of their own.
    Stock {
        /// The file; `.gz` is read compressed.
        file: PathBuf,
    },
}

/// What became of the records.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many there were.
    pub read: u64,
    /// How many are new in the book.
    pub imported: u64,
    /// How many were in the book before.
    pub already_there: u64,
    /// How many were refused.
    pub rejected: u64,
    /// How long it took.
    pub seconds: f64,
    /// Where the refused ones are, each with the code and the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_file: Option<PathBuf>,
}

/// Why a record was not imported.
struct Rejection {
    record: Value,
    code: String,
    reason: String,
}

/// What became of one record.
enum Fate {
    Imported,
    AlreadyThere,
    Rejected(Rejection),
}

/// Imports a file.
///
/// # Errors
/// When the file cannot be read, or the store fails; a second run goes on where this one was.
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
            println!("what was rejected, and why: {}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A file, uncompressed on the way if its name says so, with a progress bar over its bytes.
fn open(file: &Path) -> anyhow::Result<(Box<dyn Read + Send>, ProgressBar)> {
    let opened = File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?;
    let bar = progress::bar(&format!("importing {}", file.display()), opened.metadata()?.len());
    let bytes = bar.wrap_read(BufReader::new(opened));
    let compressed = file.extension().is_some_and(|extension| extension == "gz");
    Ok((if compressed { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) }, bar))
}

/// A file that ends in the middle: what was read of it stays.
fn damaged(file: &Path, summary: &Summary, damage: &dyn std::error::Error) -> anyhow::Error {
    let Summary { read, imported, already_there, rejected, .. } = summary;
    anyhow::anyhow!(
        "{} is damaged: {damage}; before that {read} records were read, {imported} imported, {already_there} already there, \
         {rejected} rejected",
        file.display()
    )
}

/// A line of a CSV file: what it says, or why it says nothing, with what stands there.
type CsvLine<L> = Result<L, Rejection>;

/// The lines of a CSV file that has these columns at least.
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

/// Makes the file that rejected records go to: beside the one that was read, or, where nothing can be written there, in the
/// current directory.
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

/// Records under way, and what became of the others.
struct Ledger<F> {
    under_way: FuturesUnordered<F>,
    summary: Summary,
    /// What is imported.
    file: PathBuf,
    rejections: Option<BufWriter<File>>,
}

impl<F: Future<Output = anyhow::Result<Fate>>> Ledger<F> {
    fn new(file: &Path) -> Self {
        let (under_way, summary) = (FuturesUnordered::new(), Summary::default());
        Self { under_way, summary, file: file.to_owned(), rejections: None }
    }

    /// Sends a record on its way; waits while too many are.
    async fn send(&mut self, record: F) -> anyhow::Result<()> {
        self.summary.read += 1;
        self.under_way.push(record);
        if self.under_way.len() >= UNDER_WAY
            && let Some(fate) = self.under_way.next().await
        {
            self.note(fate?)?;
        }
        Ok(())
    }

    /// Notes a record that could not even be sent.
    fn reject(&mut self, rejection: Rejection) -> anyhow::Result<()> {
        self.summary.read += 1;
        self.note(Fate::Rejected(rejection))
    }

    /// Waits for the rest.
    async fn finish(mut self) -> anyhow::Result<Summary> {
        while let Some(fate) = self.under_way.next().await {
            self.note(fate?)?;
        }
        if let Some(mut rejections) = self.rejections {
            rejections.flush()?;
        }
        Ok(self.summary)
    }

    fn note(&mut self, fate: Fate) -> anyhow::Result<()> {
        match fate {
            Fate::Imported => self.summary.imported += 1,
            Fate::AlreadyThere => self.summary.already_there += 1,
            Fate::Rejected(Rejection { record, code, reason }) => {
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

/// Sends a command. `there` are the codes that say that the record is in the book already.
async fn submit(bus: Bus, command: Command, record: Value, there: &[&str]) -> anyhow::Result<Fate> {
    match bus.execute_patiently(Submission::new(command, new_id(), Actor::Admin("import".to_owned()))).await {
        Ok(_) => Ok(Fate::Imported),
        Err(CommandError::Refused { refusal, .. }) => {
            let code = refusal.code();
            if there.contains(&code) {
                return Ok(Fate::AlreadyThere);
            }
            Ok(Fate::Rejected(Rejection { record, code: code.to_owned(), reason: refusal.to_string() }))
        }
        Err(error) => Err(error.into()),
    }
}
