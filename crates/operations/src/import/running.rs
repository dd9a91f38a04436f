//! The one loop of every import: it reads records, keeps a number of them pending, counts the outcomes, and writes down the rejected ones.

use std::{
    fs::{self, File},
    future::Future,
    io::{BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::{Map, Value, json};

use super::{Outcome, Rejection, Summary, file::Records};

/// The most records that are being imported at once.
const MAX_PENDING: usize = 1_024;

/// The summary of an import, and whether it came to the end of the file.
pub(super) type Imported = (Summary, anyhow::Result<()>);

/// Where rejected records go.
#[derive(Debug, Clone)]
pub(super) struct Rejected {
    /// The imported file.
    pub(super) file: PathBuf,
    /// The file of rejected records, where the caller has named one.
    pub(super) named: Option<PathBuf>,
}

/// Imports every record of a file. `prepare` makes the import of a record, or rejects the record.
///
/// Where the file is damaged, the records before that are imported.
pub(super) async fn import<R, F: Future<Output = anyhow::Result<Outcome>>>(
    rejected: Rejected,
    records: Records<R>,
    prepare: impl AsyncFnMut(R) -> anyhow::Result<Result<F, Rejection>>,
) -> Imported {
    let mut running =
        Running { pending: FuturesUnordered::new(), summary: Summary::default(), rejected, out: None, failure: None };
    // A named file is made in any case. That it cannot be is known before the first record.
    if running.rejected.named.is_some()
        && let Err(error) = running.rejected.none()
    {
        return (running.summary, Err(error));
    }
    running.import(records, prepare).await;
    running.end()
}

/// A running import: the pending records, and the summary of the others.
struct Running<F> {
    pending: FuturesUnordered<F>,
    summary: Summary,
    rejected: Rejected,
    out: Option<BufWriter<File>>,
    /// Why the import ends before the end of the file.
    failure: Option<anyhow::Error>,
}

impl<F: Future<Output = anyhow::Result<Outcome>>> Running<F> {
    /// Imports records to the end of the file, to where it is damaged, or to the first failure.
    async fn import<R>(
        &mut self,
        records: Records<R>,
        mut prepare: impl AsyncFnMut(R) -> anyhow::Result<Result<F, Rejection>>,
    ) {
        for record in records {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let damage =
                        format!("{} is damaged after {} records", self.rejected.file.display(), self.summary.read);
                    self.failure = Some(anyhow::Error::new(error).context(damage));
                    break;
                }
            };
            self.summary.read += 1;
            let prepared = match record {
                Ok(record) => prepare(record).await,
                Err(rejection) => Ok(Err(rejection)),
            };
            match prepared {
                Ok(Ok(record)) => self.send(record).await,
                Ok(Err(rejection)) => self.count(Ok(Outcome::Rejected(rejection))),
                Err(error) => self.count(Err(error)),
            }
            if self.failure.is_some() {
                break;
            }
        }
        while let Some(outcome) = self.pending.next().await {
            self.count(outcome);
        }
    }

    /// Starts to import a record. It waits while too many are pending.
    async fn send(&mut self, record: F) {
        self.pending.push(record);
        if self.pending.len() >= MAX_PENDING
            && let Some(outcome) = self.pending.next().await
        {
            self.count(outcome);
        }
    }

    fn count(&mut self, outcome: anyhow::Result<Outcome>) {
        match outcome {
            Ok(Outcome::Created) => self.summary.created += 1,
            Ok(Outcome::Unchanged) => self.summary.unchanged += 1,
            Ok(Outcome::Updated) => self.summary.updated += 1,
            Ok(Outcome::Rejected(rejection)) => {
                self.summary.rejected += 1;
                if let Err(error) = self.write_down(rejection) {
                    self.failure.get_or_insert(error);
                }
            }
            Err(error) => {
                self.summary.failed += 1;
                self.failure.get_or_insert(error);
            }
        }
    }

    fn write_down(&mut self, rejection: Rejection) -> anyhow::Result<()> {
        let Rejection { line, record, code, reason } = rejection;
        let out = match &mut self.out {
            Some(out) => out,
            none => {
                let (name, made) = self.rejected.make()?;
                self.summary.rejected_file = Some(name);
                none.insert(BufWriter::new(made))
            }
        };
        let mut fields = match record {
            Value::Object(fields) => fields,
            other => Map::from_iter([("record".to_owned(), other)]),
        };
        fields.insert("line".to_owned(), json!(line));
        fields.insert("code".to_owned(), json!(code));
        fields.insert("reason".to_owned(), json!(reason));
        let written = writeln!(out, "{}", Value::Object(fields));
        written.with_context(|| unwritable(self.summary.rejected_file.as_deref()))
    }

    fn end(mut self) -> Imported {
        let written = match &mut self.out {
            Some(out) => out.flush().with_context(|| unwritable(self.summary.rejected_file.as_deref())),
            None => self.rejected.none(),
        };
        let ended = self.failure.map_or(written, Err);
        (self.summary, ended)
    }
}

/// The sentence for a file of rejected records that takes none.
fn unwritable(file: Option<&Path>) -> String {
    format!("{} cannot be written", file.unwrap_or(Path::new("the file of rejected records")).display())
}

impl Rejected {
    /// The file of rejected records: the named one, or one beside the imported file.
    fn path(&self) -> PathBuf {
        self.named.clone().unwrap_or_else(|| {
            let mut name = self.file.as_os_str().to_owned();
            name.push(".rejected.ndjson");
            PathBuf::from(name)
        })
    }

    /// Makes the file. Where the directory of the imported file is not writable, it is made in the current directory.
    fn make(&self) -> anyhow::Result<(PathBuf, File)> {
        let path = self.path();
        match File::create(&path) {
            Ok(made) => Ok((path, made)),
            Err(error) if self.named.is_some() => Err(error).with_context(|| unwritable(Some(&path))),
            Err(_) => {
                let here = PathBuf::from(path.file_name().unwrap_or_default());
                let made = File::create(&here).with_context(|| unwritable(Some(&here)))?;
                Ok((here, made))
            }
        }
    }

    /// No record was rejected: a named file is left empty, and the file of an earlier run of the same import is removed.
    fn none(&self) -> anyhow::Result<()> {
        if self.named.is_some() {
            return self.make().map(drop);
        }
        let path = self.path();
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be removed", path.display())),
        }
    }
}
