//! Opening a file: decompressed, decoded to UTF-8, with its beginning to look at, and with a progress bar over its bytes.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use anyhow::Context;
use encoding_rs::{Encoding, UTF_8};
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

use super::{
    encoding::{Decoded, LOOK, recognise},
    lines::Lines,
};
use crate::{Usage, progress};

/// The first bytes of a compressed file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The first bytes of files that are no text, and what they are.
const NO_TEXT: [(&[u8], &str); 4] = [
    (b"PK\x03\x04", "a ZIP archive, as spreadsheets in XLSX or ODS are"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet in the old format XLS"),
    (&GZIP, "compressed twice"),
];
/// The byte order mark in UTF-8.
pub(super) const MARK: &[u8] = "\u{feff}".as_bytes();

/// The text of a file.
pub(super) struct Source {
    /// The beginning, in UTF-8 without a byte order mark, with lines that end with a line feed. A character may be cut at its end.
    pub(super) begin: Vec<u8>,
    /// The text after that.
    pub(super) rest: Box<dyn Read>,
    /// Shows how much of the file was read.
    pub(super) bar: ProgressBar,
}

impl Source {
    /// Opens a file. A compressed file is recognised by its first bytes.
    ///
    /// # Errors
    /// When the file cannot be opened, or its encoding is unknown.
    pub(super) fn open(file: &Path, encoding: Option<&'static Encoding>) -> anyhow::Result<Self> {
        let opened = File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?;
        let bar = progress::bar(&format!("importing {}", file.display()), opened.metadata()?.len());
        let source = Self::over(bar.wrap_read(BufReader::new(opened)), encoding);
        let (begin, rest) =
            source.with_context(|| format!("{} cannot be read; nothing was imported", file.display()))?;
        Ok(Self { begin, rest, bar })
    }

    fn over(
        mut bytes: impl Read + 'static,
        encoding: Option<&'static Encoding>,
    ) -> anyhow::Result<(Vec<u8>, Box<dyn Read>)> {
        let Beginning { bytes: start, damage, .. } = Beginning::of(&mut bytes, GZIP.len())?;
        let is_compressed = start == GZIP;
        let bytes = io::Cursor::new(start).chain(damage).chain(bytes);
        let mut plain: Box<dyn Read> =
            if is_compressed { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
        let Beginning { bytes: start, is_whole, damage } = Beginning::of(&mut plain, LOOK)?;
        if let Some((_, what)) = NO_TEXT.iter().find(|(first, _)| start.starts_with(first)) {
            return Err(Usage(format!("it is {what}, and no text. Export it as CSV in UTF-8, or unpack it")).into());
        }
        let encoding = recognise(&start, is_whole, encoding).map_err(Usage)?;
        let plain = io::Cursor::new(start).chain(damage).chain(plain);
        let text: Box<dyn Read> =
            if encoding == UTF_8 { Box::new(plain) } else { Box::new(Decoded::new(plain, encoding)) };
        let mut lines = Lines::of(text);
        let Beginning { bytes: mut start, damage, .. } = Beginning::of(&mut lines, LOOK)?;
        // A file that was joined of two has a mark for each.
        while start.starts_with(MARK) {
            start.drain(..MARK.len());
        }
        Ok((start, Box::new(damage.chain(lines))))
    }
}

/// The first bytes of a file.
struct Beginning {
    bytes: Vec<u8>,
    /// Whether the file has no more.
    is_whole: bool,
    /// The damage that was met after these bytes.
    damage: Damage,
}

impl Beginning {
    /// Reads the first bytes of a file, at most so many.
    fn of(file: &mut impl Read, most: usize) -> io::Result<Self> {
        let mut bytes = vec![0; most];
        let (mut filled, mut damage) = (0, Damage(None));
        while filled < most {
            match file.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if filled == 0 => return Err(error),
                Err(error) => {
                    damage = Damage(Some(error));
                    break;
                }
            }
        }
        bytes.truncate(filled);
        Ok(Self { bytes, is_whole: filled < most && damage.0.is_none(), damage })
    }
}

/// A damage of a file, as a reader that reports it once.
struct Damage(Option<io::Error>);

impl Read for Damage {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
