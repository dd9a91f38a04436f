//! The rows of a CSV file, each by the columns of its header.

use std::io::{self, Read};

use super::{
    Rejection, Row,
    columns::{Columns, Header},
    is_blank,
    quotes::{Begun, Quotes},
    without_mark,
};

/// The columns that name things. Their values are no numbers, even where they look like them.
pub(super) const CODES: [&str; 4] = ["sku", "external_ref", "customer_ref", "reference"];

/// The rows of a CSV file.
pub(super) struct CsvRows<T> {
    pub(super) reader: csv::Reader<T>,
    pub(super) header: Header,
    pub(super) columns: Columns,
    pub(super) delimiter: u8,
    pub(super) quotes: Quotes,
}

impl<T: Read> CsvRows<T> {
    pub(super) fn next(&mut self) -> Option<io::Result<Result<Row, Rejection>>> {
        let mut record = csv::ByteRecord::new();
        loop {
            match self.reader.read_byte_record(&mut record) {
                Ok(false) => return None,
                Ok(true) => without_marks(&mut record),
                Err(error) => return Some(Err(error.into())),
            }
            let begun = self.quotes.next_record().unwrap_or(Begun { line: 0, stray: None });
            // Spreadsheets end a table with lines of delimiters only, and a file that was joined of several has a header for each.
            if !record.iter().all(is_blank) && !self.header.is_repeated(&record) {
                return Some(self.row(&record, begun));
            }
        }
    }

    /// The row of a record. An error says that the file is damaged.
    fn row(&self, record: &csv::ByteRecord, begun: Begun) -> io::Result<Result<Row, Rejection>> {
        if let Some(line) = self.quotes.open_at_the_end() {
            // All that follows the quote was read as one value.
            let fault = format!("the quote in line {line} is never closed");
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
        }
        if Header::is_another(record, &self.columns) {
            let fault =
                format!("line {} is another header; import the files that were joined here one by one", begun.line);
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
        }
        Ok(self.values(record, begun))
    }

    fn values(&self, record: &csv::ByteRecord, Begun { line, stray }: Begun) -> Result<Row, Rejection> {
        let reject = |code: &str, reason: String| {
            let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
            let record = self.header.record(fields.iter().map(AsRef::as_ref));
            Rejection { line, record, code: code.to_owned(), reason }
        };
        if let Some(stray) = stray {
            let reason = format!(
                "line {stray} has text after the quote that closes a value; a quote within one is written twice"
            );
            return Err(reject("stray_quote", reason));
        }
        let columns = &self.header.columns;
        // Spreadsheets fill a table with empty cells up to its widest line.
        if record.len() < self.header.width() || !record.iter().skip(columns.len()).all(is_blank) {
            return Err(reject("field_count", self.field_count(record.len())));
        }
        let mut values = Vec::with_capacity(columns.len());
        for (at, (column, field)) in columns.iter().zip(record).enumerate() {
            if self.header.names[at].is_empty() && !is_blank(field) {
                let text = String::from_utf8_lossy(field);
                let reason = format!("it has the value `{}` in column {}, which has no name", text.trim(), at + 1);
                return Err(reject("unnamed_column", reason));
            }
            let Some(column) = column else { continue };
            let text = std::str::from_utf8(field).ok().filter(|text| !text.contains('\u{fffd}'));
            let Some(text) = text else {
                return Err(reject("invalid_encoding", format!("{column}: it is not in the encoding of the file")));
            };
            let text = without_formula(text.trim());
            if CODES.contains(column) && is_rounded(text) {
                let reason = format!(
                    "{column}: a spreadsheet has rounded `{text}`; format the column as text and export it again"
                );
                return Err(reject("rounded_number", reason));
            }
            if !text.is_empty() {
                values.push((*column, text.to_owned()));
            }
        }
        Ok(Row { line, values, numbers: Vec::new() })
    }

    fn field_count(&self, fields: usize) -> String {
        let (columns, delimiter) = (self.header.width(), char::from(self.delimiter).escape_default());
        let hint = if fields > columns {
            format!("; a value that holds `{delimiter}` stands in quotes")
        } else {
            format!("; an empty value needs its `{delimiter}` as well")
        };
        format!("it has {fields} fields, and the header has {columns}{hint}")
    }
}

/// Takes the byte order mark from the beginning of a record. The quotes behind it were read as a part of the value.
fn without_marks(record: &mut csv::ByteRecord) {
    let Some(first) = record.get(0).filter(|first| without_mark(first).len() < first.len()) else { return };
    let first = without_mark(first);
    let within = first.strip_prefix(b"\"").and_then(|first| first.strip_suffix(b"\""));
    let first = within.unwrap_or(first).to_vec();
    *record = std::iter::once(first.as_slice()).chain(record.iter().skip(1)).collect();
}

/// The text of `="00123"`, the formula with which spreadsheets keep the zeros of a number; any other value as it is.
fn without_formula(text: &str) -> &str {
    let within = text.strip_prefix("=\"").and_then(|text| text.strip_suffix('"'));
    within.filter(|within| !within.contains('"')).map_or(text, str::trim)
}

/// Whether a text is a long number as a spreadsheet shows it: `4.00638E+12`. Its last digits are lost.
fn is_rounded(text: &str) -> bool {
    let Some((digits, exponent)) = text.split_once("E+").or_else(|| text.split_once("e+")) else { return false };
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    whole.len() == 1 && are_digits(whole) && are_digits(part) && exponent.len() == 2 && are_digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::is_rounded;

    #[test]
    fn a_long_number_of_a_spreadsheet_is_recognised_and_a_code_is_kept() {
        for rounded in ["4.00638E+12", "4,00638E+12", "4E+12", "4.0e+15"] {
            assert!(is_rounded(rounded), "{rounded}");
        }
        for code in ["4006381333931", "E+12", "4.00638E12", "40.0E+12", "4.E+12", "A4E+12", "4E+1", "4E+12b", "e+e"] {
            assert!(!is_rounded(code), "{code}");
        }
    }
}
