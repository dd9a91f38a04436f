//! The form of a file: CSV with its delimiter, or NDJSON.

use std::path::Path;

use super::{
    columns::{Columns, normal},
    is_blank,
};

/// The delimiters that are recognised.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::import) enum Format {
    /// Values with a delimiter between them, and a header.
    Csv,
    /// A JSON object a line.
    Ndjson,
}

/// The format of a file, by its name or else by its first character.
pub(super) fn format_of(file: &Path, begin: &[u8]) -> Format {
    let name = file.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if [".ndjson", ".jsonl", ".json"].iter().any(|ending| name.ends_with(ending)) {
        return Format::Ndjson;
    }
    if [".csv", ".tsv", ".txt"].iter().any(|ending| name.ends_with(ending)) {
        return Format::Csv;
    }
    match begin.trim_ascii_start().first() {
        Some(b'{' | b'[') => Format::Ndjson,
        _ => Format::Csv,
    }
}

/// The line with which spreadsheets name the delimiter, such as `sep=;`: the delimiter, and the length of the line with its end.
pub(super) fn named_in_file(begin: &[u8]) -> Option<(u8, usize)> {
    let line = begin.split(|byte| *byte == b'\n').next()?;
    match line.trim_ascii_end() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => {
            Some((*delimiter, (line.len() + 1).min(begin.len())))
        }
        // A tab counts as a blank.
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'='] if line.contains(&b'\t') => {
            Some((b'\t', (line.len() + 1).min(begin.len())))
        }
        _ => None,
    }
}

/// The delimiter of a file: the one whose header has the most columns that the import knows, or else the most columns.
pub(super) fn delimiter(begin: &[u8], columns: &Columns) -> u8 {
    let score = |delimiter: u8| {
        let header = header(begin, delimiter);
        let known = header.iter().filter(|name| columns.knows(&normal(name))).count();
        (known, header.len())
    };
    // The first one of several that are equal is a comma, so the order is turned round.
    DELIMITERS.into_iter().rev().max_by_key(|delimiter| score(*delimiter)).unwrap_or(b',')
}

fn header(begin: &[u8], delimiter: u8) -> Vec<String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(begin);
    let mut records = reader.byte_records().filter_map(Result::ok);
    let first = records.find(|record| !record.iter().all(is_blank)).unwrap_or_default();
    first.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns = Columns { required: &["sku", "name"], optional: &["price"], either: &[] };

    #[test]
    fn a_delimiter_is_recognised_by_the_columns_that_it_gives() {
        for (header, expected) in [
            ("sku,name,price", b','),
            ("sku;name;price", b';'),
            ("SKU\tName\tPrice", b'\t'),
            ("sku|name", b'|'),
            ("\"sku\";\"name, long\";name", b';'),
            ("sku", b','),
        ] {
            assert_eq!(delimiter(header.as_bytes(), &COLUMNS), expected, "{header}");
        }
        assert_eq!(named_in_file(b"sep=;\r\nsku;name\n"), Some((b';', 7)));
        assert_eq!(named_in_file(b"sku;name\n"), None);
    }

    #[test]
    fn the_format_follows_from_the_name_and_otherwise_from_the_text() {
        assert_eq!(format_of(Path::new("a.ndjson.gz"), b""), Format::Ndjson);
        assert_eq!(format_of(Path::new("a.CSV"), b"{"), Format::Csv);
        assert_eq!(format_of(Path::new("a"), b"  {\"sku\":1}"), Format::Ndjson);
        assert_eq!(format_of(Path::new("a"), b"sku,name"), Format::Csv);
    }
}
