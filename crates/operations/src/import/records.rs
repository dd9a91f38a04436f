//! The records of a file, one after the other: CSV or NDJSON, compressed or not.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use anyhow::Context;
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Rejection;
use crate::progress;

/// A record, or the reason why it is none.
type Record<R> = Result<R, Rejection>;

/// The records of a file. An error is the last item: the file is damaged there.
pub(super) struct Records<R> {
    items: Box<dyn Iterator<Item = io::Result<Record<R>>>>,
    /// Shows how much of the file was read.
    bar: ProgressBar,
}

impl<R: DeserializeOwned + 'static> Records<R> {
    /// The lines of a CSV file that must have these columns.
    ///
    /// # Errors
    /// When the file cannot be opened, or a column is missing.
    pub(super) fn csv(file: &Path, required: &[&str]) -> anyhow::Result<Self> {
        let (bytes, bar) = open(file)?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let headers = reader.byte_headers().with_context(|| format!("{} cannot be read", file.display()))?.clone();
        for column in required {
            if !headers.iter().any(|header| header == column.as_bytes()) {
                anyhow::bail!("{} has no column `{column}`; nothing was imported", file.display());
            }
        }
        let items = reader.into_byte_records().map(move |record| {
            let record = record?;
            Ok(record.deserialize(Some(&headers)).map_err(|error| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let fields = headers.iter().zip(&record).map(|(name, field)| (text(name), Value::String(text(field))));
                Rejection { record: fields.collect(), code: "invalid_record".to_owned(), reason: error.to_string() }
            }))
        });
        Ok(Self { items: Box::new(items), bar })
    }
}

impl<R: DeserializeOwned + 'static> Records<(R, Value)> {
    /// The lines of an NDJSON file, each with its JSON. Empty lines are left out.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn ndjson(file: &Path) -> anyhow::Result<Self> {
        let (bytes, bar) = open(file)?;
        let lines = BufReader::new(bytes).split(b'\n');
        let filled = lines.filter(|line| !line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()));
        let items = filled.map(|line| line.map(|line| parsed(&line)));
        Ok(Self { items: Box::new(items), bar })
    }
}

impl<R> Iterator for Records<R> {
    type Item = io::Result<Record<R>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.next()
    }
}

impl<R> Drop for Records<R> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn parsed<R: DeserializeOwned>(line: &[u8]) -> Record<(R, Value)> {
    let read = serde_json::from_slice(line).and_then(|record| Ok((record, serde_json::from_slice(line)?)));
    read.map_err(|error| {
        let code = if error.is_data() { "invalid_record" } else { "malformed_json" };
        let as_text = |_| Value::String(String::from_utf8_lossy(line).into_owned());
        let record = serde_json::from_slice(line).unwrap_or_else(as_text);
        Rejection { record, code: code.to_owned(), reason: error.to_string() }
    })
}

/// Opens a file, with a progress bar over its bytes. A file that ends in `.gz` is decompressed.
fn open(file: &Path) -> anyhow::Result<(Box<dyn Read>, ProgressBar)> {
    let opened = File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?;
    let bar = progress::bar(&format!("importing {}", file.display()), opened.metadata()?.len());
    let bytes = bar.wrap_read(BufReader::new(opened));
    let compressed = file.extension().is_some_and(|extension| extension == "gz");
    Ok((if compressed { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) }, bar))
}
