//! A quote that is opened and never closed. A reader of CSV takes the rest of the file for one value then, and finds nothing wrong.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// The state of the quotes in what was read so far. It is shared with the [`Watched`] reader.
#[derive(Debug, Clone, Default)]
pub(super) struct Quotes(Rc<Cell<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    line: u64,
    /// The line in which the open quote stands.
    open: Option<u64>,
    /// Whether the next byte begins a value.
    begins: bool,
    /// Whether the file was read to its end.
    is_done: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { line: 1, open: None, begins: true, is_done: false }
    }
}

impl Quotes {
    /// The line of the quote that is open at the end of the file, once the file was read to its end.
    pub(super) fn open_at_the_end(&self) -> Option<u64> {
        let State { open, is_done, .. } = self.0.get();
        open.filter(|_| is_done)
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
        let quotes = Quotes(Rc::new(Cell::new(State { line, ..State::default() })));
        (Self { from, delimiter, quotes: quotes.clone() }, quotes)
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        let mut state = self.quotes.0.get();
        state.is_done = count == 0 && !into.is_empty();
        for byte in &into[..count] {
            state.line += u64::from(*byte == b'\n');
            match (state.open, *byte) {
                // A quote that is written twice closes, and opens again at once.
                (Some(_), b'"') => (state.open, state.begins) = (None, true),
                (Some(_), _) => {}
                (None, b'"') if state.begins => state.open = Some(state.line),
                (None, byte) => state.begins = byte == self.delimiter || byte == b'\n' || byte == b'\r',
            }
        }
        self.quotes.0.set(state);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Option<u64> {
        let (mut watched, quotes) = Watched::new(text.as_bytes(), b',', 1);
        let mut read = String::new();
        watched.read_to_string(&mut read).expect("memory can be read");
        quotes.open_at_the_end()
    }

    #[test]
    fn an_open_quote_is_found_and_a_quote_within_a_value_is_none() {
        for closed in
            ["a,b\n", "\"a\"\"b\",c\n", "a,\"two\nlines\"\n", "5\" pipe,b\n", "\"a\",\"\"\n", "\"\"\"a\"\"\"\n"]
        {
            assert_eq!(open(closed), None, "{closed:?}");
        }
        assert_eq!(open("a,b\nc,\"d\ne,f\n"), Some(2));
        assert_eq!(open("a,\"b\"\"\n"), Some(1));
    }
}
