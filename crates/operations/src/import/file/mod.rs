//! The one reader of imports: it makes records of a file, whatever its format, its delimiter, its encoding and its compression.
//!
//! Every value is trimmed. A record that cannot be one is a rejection with its line and the reason. What is wrong with the file as a whole,
//! such as its header, is named before the first record.

mod columns;
mod csv_rows;
mod dialect;
mod encoding;
mod lines;
mod quotes;
mod source;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use serde_json::{Value, value::RawValue};

pub(super) use self::columns::Columns;
pub(super) use self::dialect::Format;
use self::{
    columns::Header,
    csv_rows::{CODES, CsvRows},
    dialect::{delimiter, format_of, named_in_file},
    quotes::Watched,
    source::{MARK, Source},
};
use super::Rejection;
use crate::Usage;

/// The most bytes of a record: those of the body of a command.
const MAX_RECORD: usize = 1 << 20;
/// How many bytes of a record that is too large are written down.
const SHOWN: usize = 1_000;

/// How a file is to be read, where that is not recognised from it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    pub(super) format: Option<Format>,
    pub(super) delimiter: Option<u8>,
    pub(super) encoding: Option<&'static encoding_rs::Encoding>,
    /// Columns that are left out.
    pub(super) ignored: Vec<String>,
}

/// A record of a file.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The line in which it begins.
    pub(super) line: u64,
    /// Its values by column. A column without a value is left out.
    values: Vec<(&'static str, String)>,
    /// The columns whose values are numbers of JSON, which are written in one way only.
    numbers: Vec<&'static str>,
}

impl Row {
    /// The value of a column, trimmed; empty where there is none.
    pub(super) fn text(&self, column: &str) -> &str {
        self.values.iter().find(|(name, _)| *name == column).map_or("", |(_, value)| value)
    }

    /// The value of a column, unless it is empty.
    pub(super) fn stated(&self, column: &str) -> Option<&str> {
        Some(self.text(column)).filter(|text| !text.is_empty())
    }

    /// Whether the value of a column is a number of JSON, and no text.
    pub(super) fn is_number(&self, column: &str) -> bool {
        self.numbers.contains(&column)
    }

    /// The record as JSON.
    pub(super) fn record(&self) -> Value {
        self.values.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// The rejection of the record.
    pub(super) fn rejected(&self, code: &str, reason: impl Into<String>) -> Rejection {
        Rejection { line: self.line, record: self.record(), code: code.to_owned(), reason: reason.into() }
    }
}

/// A line of a file of JSON objects.
#[derive(Debug, Clone)]
pub(super) struct JsonLine {
    /// The number of the line.
    pub(super) line: u64,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

impl JsonLine {
    /// The rejection of the line.
    pub(super) fn rejected(&self, code: &str, reason: String) -> Rejection {
        let as_text = |_| Value::String(String::from_utf8_lossy(&self.bytes).into_owned());
        let record = serde_json::from_slice(&self.bytes).unwrap_or_else(as_text);
        Rejection { line: self.line, record, code: code.to_owned(), reason }
    }

    /// The rejection of a line that is no JSON object, or not the one that is expected.
    pub(super) fn malformed(&self, error: &serde_json::Error) -> Rejection {
        // Each line is parsed alone, so the line in the message is always 1.
        let reason = error.to_string().replace(" at line 1 column", " at column");
        let code = if std::str::from_utf8(&self.bytes).is_err() {
            "invalid_encoding"
        } else if error.is_data() {
            "invalid_record"
        } else {
            "malformed_json"
        };
        let rejection = self.rejected(code, reason);
        if rejection.record.is_array() {
            let reason = "it is a JSON array; a line is one JSON object".to_owned();
            return Rejection { code: "malformed_json".to_owned(), reason, ..rejection };
        }
        rejection
    }
}

/// The lines of a file of JSON objects. Empty ones are left out.
struct JsonLines<T> {
    from: T,
    /// The number of the last line that was read.
    line: u64,
}

impl<T: BufRead> JsonLines<T> {
    /// The bytes of the next line, up to a little more than a record may have.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        if self.from.by_ref().take(MAX_RECORD as u64 + 1).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if bytes.pop_if(|last| *last == b'\n').is_none() && bytes.len() > MAX_RECORD {
            self.from.skip_until(b'\n')?;
        }
        Ok(Some(bytes))
    }
}

impl<T: BufRead> Iterator for JsonLines<T> {
    type Item = io::Result<Result<JsonLine, Rejection>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = match self.line() {
                Ok(Some(bytes)) if is_blank(&bytes) => continue,
                Ok(bytes) => bytes?,
                Err(error) => return Some(Err(error)),
            };
            let mut line = JsonLine { line: self.line, bytes: without_mark(&bytes).to_vec() };
            if bytes.len() <= MAX_RECORD {
                return Some(Ok(Ok(line)));
            }
            line.bytes.truncate(SHOWN);
            let reason = format!("the line has more than {MAX_RECORD} bytes; this is its beginning");
            return Some(Ok(Err(line.rejected("record_too_large", reason))));
        }
    }
}

/// Items of a file, one after the other. An error is the last one: the file is damaged there.
pub(super) struct Records<R> {
    items: Box<dyn Iterator<Item = io::Result<Result<R, Rejection>>>>,
    bar: ProgressBar,
}

impl<R> Iterator for Records<R> {
    type Item = io::Result<Result<R, Rejection>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.next()
    }
}

impl<R> Drop for Records<R> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl<R: 'static> Records<R> {
    /// The bar that shows how much of the file was read.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Records that an iterator makes of the file with this bar.
    pub(super) fn over(
        bar: ProgressBar,
        items: impl Iterator<Item = io::Result<Result<R, Rejection>>> + 'static,
    ) -> Self {
        Self { items: Box::new(items), bar }
    }

    /// The records that a function makes of these.
    pub(super) fn and_then<S: 'static>(self, mut make: impl FnMut(R) -> Result<S, Rejection> + 'static) -> Records<S> {
        let bar = self.bar.clone();
        Records::over(bar, self.map(move |item| item.map(|record| record.and_then(&mut make))))
    }
}

/// An opened file.
pub(super) struct Opened {
    source: Source,
    file: PathBuf,
    reading: Reading,
    /// Its format.
    pub(super) format: Format,
}

/// Opens a file.
///
/// # Errors
/// When the file cannot be opened, or its encoding is unknown.
pub(super) fn open(file: &Path, reading: &Reading) -> anyhow::Result<Opened> {
    let source = Source::open(file, reading.encoding)?;
    let format = reading.format.unwrap_or_else(|| format_of(file, &source.begin));
    Ok(Opened { source, file: file.to_owned(), reading: reading.clone(), format })
}

impl Opened {
    /// The file opened once more, for what has to be known before its first record. None for what can be read once only, as a pipe.
    ///
    /// # Errors
    /// When the file cannot be opened any more.
    pub(super) fn again(&self) -> anyhow::Result<Option<Self>> {
        if !fs::metadata(&self.file)?.is_file() {
            return Ok(None);
        }
        open(&self.file, &self.reading).map(Some)
    }

    /// Its rows, with these columns.
    ///
    /// # Errors
    /// When its header is wrong.
    pub(super) fn rows(self, columns: Columns) -> anyhow::Result<Records<Row>> {
        match self.format {
            Format::Csv => self.csv(columns),
            Format::Ndjson => Ok(self.json_lines().and_then(move |line| row_of(&line, &columns))),
        }
    }

    /// Its lines, each a JSON object. Empty lines are left out.
    pub(super) fn json_lines(self) -> Records<JsonLine> {
        let Source { begin, rest, bar } = self.source;
        Records::over(bar, JsonLines { from: BufReader::new(Cursor::new(begin).chain(rest)), line: 0 })
    }

    fn csv(self, columns: Columns) -> anyhow::Result<Records<Row>> {
        let Self { source: Source { mut begin, rest, bar }, file, reading, .. } = self;
        let mut first_line = 1;
        let mut in_file = None;
        if let Some((delimiter, length)) = named_in_file(&begin) {
            begin.drain(..length);
            (in_file, first_line) = (Some(delimiter), 2);
        }
        let delimiter = reading.delimiter.or(in_file).unwrap_or_else(|| delimiter(&begin, &columns));
        let (text, quotes) = Watched::new(Cursor::new(begin).chain(rest), delimiter, first_line);
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text);
        let wrong = |fault: String| Usage(format!("{}: {fault}. Nothing was imported", file.display()));
        let mut names = csv::ByteRecord::new();
        // A table may begin below some empty lines.
        while names.iter().all(is_blank) {
            if !reader.read_byte_record(&mut names)? {
                return Err(wrong("it is empty, without even a header".to_owned()).into());
            }
            quotes.next_record();
        }
        let names = names.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let header = Header::of(names, &columns, &reading.ignored).map_err(|fault| {
            let delimiter = char::from(delimiter).escape_default();
            wrong(format!("{fault}. Its delimiter was taken to be `{delimiter}`; another is named with --delimiter"))
        })?;
        let mut rows = CsvRows { reader, header, columns, delimiter, quotes };
        Ok(Records::over(bar, std::iter::from_fn(move || rows.next())))
    }
}

/// A value or line without the byte order mark at its beginning: a file that was joined of several has one for each.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// Whether a value or line holds nothing. Programs of DOS end a file with the character 0x1A.
fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0x1a)
}

/// A value of a JSON object. A number has the digits of the file: as a float, a long one would become another.
enum Cell<'j> {
    Null,
    Text(String),
    Number(&'j str),
    Other,
}

impl<'j> Cell<'j> {
    fn of(value: &'j RawValue) -> Self {
        let json = value.get();
        match json.as_bytes() {
            [b'n', ..] => Self::Null,
            [b'-' | b'0'..=b'9', ..] => Self::Number(json),
            [b'"', ..] => serde_json::from_str(json).map_or(Self::Other, Self::Text),
            _ => Self::Other,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::Number(_) | Self::Other => false,
        }
    }
}

/// Whether a number of JSON is written with digits alone.
fn is_whole(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The row of a JSON object.
fn row_of(json: &JsonLine, columns: &Columns) -> Result<Row, Rejection> {
    let object: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(&json.bytes).map_err(|error| json.malformed(&error))?;
    let (mut values, mut numbers) = (Vec::with_capacity(object.len()), Vec::new());
    for (name, value) in &object {
        let value = Cell::of(value);
        if name.trim().is_empty() && value.is_empty() {
            continue;
        }
        let Some(column) = columns.of(name) else {
            return Err(json.rejected("unknown_field", columns.unknown(name)));
        };
        let text = match value {
            Cell::Null => continue,
            Cell::Text(text) => text.trim().to_owned(),
            Cell::Number(digits) if CODES.contains(&column) && !is_whole(digits) => {
                let reason = format!("{column}: the number {digits} has no other form; write what it names as a text");
                return Err(json.rejected("rounded_number", reason));
            }
            Cell::Number(digits) => {
                numbers.push(column);
                digits.to_owned()
            }
            Cell::Other => {
                return Err(json.rejected("invalid_record", format!("{column}: a text or a number is expected")));
            }
        };
        if values.iter().any(|(known, _)| *known == column) {
            return Err(json.rejected("invalid_record", format!("{column} occurs twice")));
        }
        if text.contains('\u{fffd}') {
            return Err(
                json.rejected("invalid_encoding", format!("{column}: it holds a character that was lost before"))
            );
        }
        if !text.is_empty() {
            values.push((column, text));
        }
    }
    let both = columns
        .either
        .iter()
        .find(|group| group.iter().filter(|name| values.iter().any(|(known, _)| known == *name)).count() > 1);
    if let Some(group) = both {
        return Err(json.rejected("invalid_record", format!("it has {}; one of them is enough", group.join(" and "))));
    }
    Ok(Row { line: json.line, values, numbers })
}
