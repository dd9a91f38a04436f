//! What a reader of CSV does not say of the quotes, and of the lines in which its records begin.
//!
//! - A quote that is opened and never closed: the reader takes the rest of the file for one value, and finds nothing wrong.
//! - Text after the quote that closes a value, as in `"24" TV"`: the reader leaves a quote out, and the value is another one.
//! - A record that never ends: the reader keeps all of it in memory.
//! - Blank lines before a record: the reader counts them as the beginning of the record.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read},
    rc::Rc,
};

use super::MAX_RECORD;

/// The state of the quotes in what was read so far. It is shared with the [`Watched`] reader.
#[derive(Debug, Clone)]
pub(super) struct Quotes(Rc<RefCell<State>>);

/// A record of which at least the beginning was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
    /// The line in which it begins.
    pub(super) line: u64,
    /// The line of the text that follows a closed quote, where there is one.
    pub(super) stray: Option<u64>,
}

#[derive(Debug)]
struct State {
    line: u64,
    place: Place,
    /// The records that the reader of CSV has not taken yet. It reads a buffer ahead.
    begun: VecDeque<Begun>,
    /// Whether the file was read to its end.
    is_done: bool,
    /// How many bytes of the last record were read.
    bytes: usize,
    /// The line in which a record begins that is larger than any may be.
    too_large: Option<u64>,
}

/// Where the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning of a record, or of a blank line.
    Record,
    /// At the beginning of a value.
    Value,
    /// In a value without quotes, or after the text that follows a closed quote.
    Plain,
    /// In a value whose quote stands in this line.
    Quoted(u64),
    /// After a quote within a value in quotes, which closes it, or is the first of two.
    Closed(u64),
}

impl Quotes {
    /// The line of the quote that is open at the end of the file, once the file was read to its end.
    pub(super) fn open_at_the_end(&self) -> Option<u64> {
        let state = self.0.borrow();
        match state.place {
            Place::Quoted(line) if state.is_done => Some(line),
            _ => None,
        }
    }

    /// The next record, in the order of the file. It is asked for once for every record that the reader of CSV gives.
    pub(super) fn next_record(&self) -> Option<Begun> {
        self.0.borrow_mut().begun.pop_front()
    }
}

impl State {
    /// Goes on by a byte of a text whose lines end with line feeds.
    fn step(&mut self, byte: u8, delimiter: u8) {
        if self.place == Place::Record && byte != b'\n' {
            self.begun.push_back(Begun { line: self.line, stray: None });
            self.bytes = 0;
        }
        self.bytes += 1;
        if self.bytes > MAX_RECORD && self.too_large.is_none() {
            self.too_large = self.begun.back().map(|begun| begun.line);
        }
        self.place = match (self.place, byte) {
            (Place::Record | Place::Value, b'"') => Place::Quoted(self.line),
            (Place::Quoted(line), b'"') => Place::Closed(line),
            (Place::Closed(line), b'"') => Place::Quoted(line),
            (Place::Quoted(line), _) => Place::Quoted(line),
            (_, byte) if byte == delimiter => Place::Value,
            (_, b'\n') => Place::Record,
            (Place::Closed(_), byte) => {
                // Blanks at the ends of values are cut off.
                if let (false, Some(last)) = (byte.is_ascii_whitespace(), self.begun.back_mut()) {
                    last.stray = Some(self.line);
                }
                if byte.is_ascii_whitespace() { self.place } else { Place::Plain }
            }
            (_, _) => Place::Plain,
        };
        self.line += u64::from(byte == b'\n');
    }
}

/// A reader that watches the quotes.
pub(super) struct Watched<R> {
    from: R,
    delimiter: u8,
    quotes: Quotes,
}

impl<R: Read> Watched<R> {
    /// Watches the quotes of a file with this delimiter, which begins in a line.
    pub(super) fn new(from: R, delimiter: u8, line: u64) -> (Self, Quotes) {
        let (begun, place) = (VecDeque::new(), Place::Record);
        let state = State { line, place, begun, is_done: false, bytes: 0, too_large: None };
        let quotes = Quotes(Rc::new(RefCell::new(state)));
        (Self { from, delimiter, quotes: quotes.clone() }, quotes)
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(line) = self.quotes.0.borrow().too_large {
            let fault = format!("the record in line {line} has more than {MAX_RECORD} bytes; is a quote never closed?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
        }
        let count = self.from.read(into)?;
        let mut state = self.quotes.0.borrow_mut();
        state.is_done = count == 0 && !into.is_empty();
        for byte in &into[..count] {
            state.step(*byte, self.delimiter);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(text: &str) -> Quotes {
        let (mut watched, quotes) = Watched::new(text.as_bytes(), b',', 1);
        let mut read = String::new();
        watched.read_to_string(&mut read).expect("memory can be read");
        quotes
    }

    #[test]
    fn an_open_quote_is_found_and_a_quote_within_a_value_is_none() {
        for closed in
            ["a,b\n", "\"a\"\"b\",c\n", "a,\"two\nlines\"\n", "5\" pipe,b\n", "\"a\",\"\"\n", "\"\"\"a\"\"\"\n"]
        {
            assert_eq!(watched(closed).open_at_the_end(), None, "{closed:?}");
        }
        assert_eq!(watched("a,b\nc,\"d\ne,f\n").open_at_the_end(), Some(2));
        assert_eq!(watched("a,\"b\"\"\n").open_at_the_end(), Some(1));
    }

    #[test]
    fn records_are_found_as_the_reader_of_csv_finds_them() {
        let text = "\n\na,b\n\n\"two\nlines\",b\n,\n\"24\" TV\",b\n\"x\" ,5\" pipe\na,\"\"y\"\n\"\"\"q\"\"\",b";
        let quotes = watched(text);
        let begun: Vec<_> =
            std::iter::from_fn(|| quotes.next_record()).map(|begun| (begun.line, begun.stray)).collect();
        let expected = [(3, None), (5, None), (7, None), (8, Some(8)), (9, None), (10, Some(10)), (11, None)];
        assert_eq!(begun, expected);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        assert_eq!(reader.byte_records().count(), expected.len());
    }
}
