//! An operator who imports one file after the other during the run: `daybook import`. Some imports are killed half-way, and some fail
//! during an outage of the database. Each is repeated until it ends. After the last fault the last files are imported again, which must
//! change nothing.
//!
//! The contents of a file, and the time after which its import is killed, depend on the seed alone.

pub mod file;

use std::{process::ExitStatus, time::Duration};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use self::file::{File, Rejection, What};
use super::{
    PATIENCE,
    check::Check,
    cluster::{Begin, Cluster},
    process::Process,
    random::Random,
};

/// How often the import of a file may be tried. An outage takes a few tries. A file that cannot be imported takes all of them.
const TRIES: u32 = 200;
/// How often an import of one file is killed at most.
const MOST_KILLS: u64 = 2;
/// The range of milliseconds after which an import is killed. On this network, an undisturbed import takes 400 to 1,500.
const KILLED_AFTER: (u64, u64) = (150, 900);
/// The kinds of files in each round. Each round has files of its own.
const ROUND: [What; 3] = [What::Products, What::Orders, What::Stock];

/// The importing operator.
pub struct Imports {
    work: JoinHandle<anyhow::Result<Imported>>,
    enough: watch::Sender<bool>,
}

/// An imported file, and the summary of its import.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The file.
    pub file: File,
    /// The rejected records, by the file of rejected records.
    pub rejected: Vec<Rejection>,
}

/// The results of all imports.
#[derive(Debug, Default)]
pub struct Imported {
    /// The files whose import has ended.
    pub outcomes: Vec<Outcome>,
    /// The checks that every import ended, with the right summary.
    pub checks: Vec<Check>,
    /// The amounts of work.
    pub counts: Counts,
}

/// The amounts of work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Files.
    pub files: u64,
    /// Records in them.
    pub records: u64,
    /// Processes that were started.
    pub runs: u64,
    /// Processes that were killed.
    pub killed: u64,
    /// Processes that failed by themselves, such as in an outage.
    pub failed: u64,
    /// Files of which a later process found some records in the book, and not all.
    pub half_way: u64,
}

/// The summary of an import.
#[derive(Debug, Deserialize)]
struct Summary {
    read: u64,
    imported: u64,
    already_there: u64,
    rejected: u64,
}

impl Imports {
    /// Starts the operator with a seeded source of randomness.
    ///
    /// # Errors
    /// When PostgreSQL has no address.
    pub fn begin(cluster: &Cluster, random: Random) -> anyhow::Result<Self> {
        let (enough, stop) = watch::channel(false);
        let importer = Importer {
            begin: cluster.import()?,
            enough: stop,
            ended: Check::new("every import comes to its end"),
            summarised: Check::new("every import says how many records are new, known and rejected"),
            counts: Counts::default(),
        };
        Ok(Self { work: tokio::spawn(importer.work(random)), enough })
    }

    /// Waits for the end of the last import, and returns the results of all. The last fault must have ended.
    ///
    /// # Errors
    /// When a command cannot be run.
    pub async fn end(self) -> anyhow::Result<Imported> {
        self.enough.send_replace(true);
        self.work.await?
    }
}

struct Importer {
    begin: Begin,
    enough: watch::Receiver<bool>,
    ended: Check,
    summarised: Check,
    counts: Counts,
}

impl Importer {
    async fn work(mut self, mut random: Random) -> anyhow::Result<Imported> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        for number in 0.. {
            for what in ROUND {
                let Some(outcome) = self.import(what, number, random.fork()).await? else {
                    return Ok(self.end(outcomes));
                };
                outcomes.push(outcome);
            }
            let pause = Duration::from_millis(random.between(3_000, 10_000));
            // An error means that the sender is dropped, which also means the end.
            if tokio::time::timeout(pause, self.enough.wait_for(|enough| *enough)).await.is_ok() {
                break;
            }
        }
        let last = outcomes.len().saturating_sub(ROUND.len());
        for (what, outcome) in ROUND.into_iter().zip(&mut outcomes[last..]) {
            self.once_more(what, outcome).await?;
        }
        Ok(self.end(outcomes))
    }

    fn end(self, outcomes: Vec<Outcome>) -> Imported {
        Imported { outcomes, checks: vec![self.ended.done(), self.summarised.done()], counts: self.counts }
    }

    /// Imports a file to its end. Returns none if it cannot be imported.
    async fn import(&mut self, what: What, number: u64, mut random: Random) -> anyhow::Result<Option<Outcome>> {
        let file = File::generated(what, number, &mut random);
        std::fs::write(self.begin.directory().join(&file.name), &file.text)?;
        let (earliest, latest) = KILLED_AFTER;
        let times = random.between(1, MOST_KILLS + 1);
        let mut kills: Vec<_> = (0..times).map(|_| Duration::from_millis(random.between(earliest, latest))).collect();
        self.counts.files += 1;
        self.counts.records += file.records;
        for _ in 0..TRIES {
            // After the last fault, imports are not killed any more.
            let killed = kills.pop().filter(|_| !*self.enough.borrow());
            if let Some(summary) = self.run(what, &file.name, killed).await? {
                self.ended.holds(true, String::new);
                self.compare(&file, &summary);
                if 0 < summary.imported && summary.imported < file.good() {
                    self.counts.half_way += 1;
                }
                let rejected = self.rejected(&file)?;
                return Ok(Some(Outcome { file, rejected }));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.ended.holds(false, || format!("{} was not imported in {TRIES} tries; see import.log", file.name));
        Ok(None)
    }

    /// Imports a file that is in the book. Nothing may be new, and the rejected records must be the same.
    async fn once_more(&mut self, what: What, outcome: &mut Outcome) -> anyhow::Result<()> {
        let name = &outcome.file.name;
        let summary = self.run(what, name, None).await?;
        self.ended.holds(summary.is_some(), || format!("{name} could not be imported once more; see import.log"));
        if let Some(summary) = summary {
            self.compare(&outcome.file, &summary);
            self.summarised.holds(summary.imported == 0, || format!("{name} was imported once more: {summary:?}"));
            outcome.rejected = self.rejected(&outcome.file)?;
        }
        Ok(())
    }

    fn compare(&mut self, file: &File, summary: &Summary) {
        let bad = file.bad.len() as u64;
        let Summary { read, imported, already_there, rejected } = *summary;
        // An order or a product that is in a file twice is new at most once.
        let right = (read, rejected, imported + already_there) == (file.records, bad, file.records - bad)
            && imported <= file.good();
        self.summarised
            .holds(right, || format!("{} of {} records, {bad} of them bad: {summary:?}", file.name, file.records));
    }

    /// Runs one process, and kills it after a while if asked to. Returns its summary if it reached the end of the file.
    async fn run(&mut self, what: What, file: &str, killed_after: Option<Duration>) -> anyhow::Result<Option<Summary>> {
        self.counts.runs += 1;
        let mut process = self.begin.command(&["import", what.name(), file, "--json"], "import.log")?;
        match ended(&mut process, killed_after.unwrap_or(PATIENCE)).await? {
            Some(status) if status.success() => {
                let said = process.said();
                // The output also holds warnings.
                let summary = said.lines().rev().find_map(|line| serde_json::from_str(line).ok());
                Ok(Some(summary.with_context(|| format!("an import has printed: {said}"))?))
            }
            Some(_) => {
                self.counts.failed += 1;
                Ok(None)
            }
            None => {
                process.kill()?;
                self.counts.killed += 1;
                if killed_after.is_none() {
                    self.ended.violates(|| format!("an import of {file} did not end in {PATIENCE:?}"));
                }
                Ok(None)
            }
        }
    }

    /// The records in the file of rejected records.
    fn rejected(&self, file: &File) -> anyhow::Result<Vec<Rejection>> {
        if file.bad.is_empty() {
            // A file without rejected records is not written.
            return Ok(Vec::new());
        }
        let path = self.begin.directory().join(format!("{}.rejected.ndjson", file.name));
        // A missing file has no records, which the check finds.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(named).collect()
    }
}

/// A line of the file of rejected records.
fn named(line: &str) -> anyhow::Result<Rejection> {
    let line: Value = serde_json::from_str(line).with_context(|| format!("a rejected record: {line}"))?;
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let record =
        ["external_ref", "name", "reference", "record"].into_iter().find_map(text).unwrap_or_else(|| line.to_string());
    Ok(Rejection { record, code: text("code").unwrap_or_default() })
}

/// The exit status of a process, or none if it has not ended by then.
async fn ended(process: &mut Process, time: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = process.ended()? {
            return Ok(Some(status));
        }
        if waited >= time {
            return Ok(None);
        }
        let look = Duration::from_millis(5);
        tokio::time::sleep(look).await;
        waited += look;
    }
}
