//! The ends of lines: LF, CR LF and CR, which files of old programs have, also mixed. Records are counted by line feeds after that.

use std::io::{self, Read};

/// A reader that makes one line feed of every end of a line.
pub(super) struct Lines<R> {
    from: R,
    /// Whether the last byte was a CR, so that a line feed after it belongs to it.
    after_return: bool,
}

impl<R: Read> Lines<R> {
    /// The lines of a text in UTF-8.
    pub(super) fn of(from: R) -> Self {
        Self { from, after_return: false }
    }

    /// Replaces the ends of lines in these bytes, and says how many bytes are left.
    fn replace(&mut self, bytes: &mut [u8]) -> usize {
        let mut kept = 0;
        for index in 0..bytes.len() {
            let byte = bytes[index];
            if !(self.after_return && byte == b'\n') {
                bytes[kept] = if byte == b'\r' { b'\n' } else { byte };
                kept += 1;
            }
            self.after_return = byte == b'\r';
        }
        kept
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.from.read(into)?;
            let kept = self.replace(&mut into[..count]);
            // A line feed alone, whose CR was read before, is not the end of the file.
            if kept > 0 || count == 0 {
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_line_becomes_one_line_feed_wherever_reading_stops() {
        let text = "a\rb\r\nc\nd\r\r\n\n\re\r";
        for step in 1..=text.len() {
            let mut lines = Lines::of(text.as_bytes());
            let (mut read, mut buffer) = (Vec::new(), vec![0; step]);
            loop {
                let count = lines.read(&mut buffer).expect("memory can be read");
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(read, b"a\nb\nc\nd\n\n\n\ne\n", "{step}");
        }
    }
}
