//! The one loop of every import: it reads records, keeps a number of them pending, counts the outcomes, and writes down the refused ones.

use std::{
    fs::File,
    future::Future,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::{Map, Value, json};

use super::{Outcome, Rejection, Summary, records::Records};

/// The most records that are being imported at once.
const MAX_PENDING: usize = 1_024;

/// The summary of an import, and whether it came to the end of the file.
pub(super) type Imported = (Summary, anyhow::Result<()>);

/// Imports every record of a file. `prepare` makes the import of a record, or rejects the record.
///
/// Where the file is damaged, the records before that are imported.
pub(super) async fn import<R, F: Future<Output = anyhow::Result<Outcome>>>(
    file: &Path,
    records: Records<R>,
    prepare: impl AsyncFnMut(R) -> anyhow::Result<Result<F, Rejection>>,
) -> Imported {
    let mut running = Running::new(file);
    let ended = running.import(records, prepare).await;
    let flushed = running.rejections.as_mut().map_or(Ok(()), Write::flush);
    (running.summary, ended.and(flushed.map_err(Into::into)))
}

/// A running import: the pending records, and the summary of the others.
struct Running<F> {
    pending: FuturesUnordered<F>,
    summary: Summary,
    /// The imported file.
    file: PathBuf,
    rejections: Option<BufWriter<File>>,
}

impl<F: Future<Output = anyhow::Result<Outcome>>> Running<F> {
    fn new(file: &Path) -> Self {
        let (pending, summary) = (FuturesUnordered::new(), Summary::default());
        Self { pending, summary, file: file.to_owned(), rejections: None }
    }

    /// Imports records to the end of the file, or to where it is damaged.
    async fn import<R>(
        &mut self,
        records: Records<R>,
        mut prepare: impl AsyncFnMut(R) -> anyhow::Result<Result<F, Rejection>>,
    ) -> anyhow::Result<()> {
        let mut damage = None;
        for record in records {
            let prepared = match record {
                Ok(Ok(record)) => prepare(record).await?,
                Ok(Err(rejection)) => Err(rejection),
                Err(error) => {
                    damage = Some(error);
                    break;
                }
            };
            match prepared {
                Ok(record) => self.send(record).await?,
                Err(rejection) => self.reject(rejection)?,
            }
        }
        while let Some(outcome) = self.pending.next().await {
            self.count(outcome?)?;
        }
        match damage {
            None => Ok(()),
            Some(damage) => Err(anyhow::Error::new(damage).context(format!(
                "{} is damaged after {} records",
                self.file.display(),
                self.summary.read
            ))),
        }
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
