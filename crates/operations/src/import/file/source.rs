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

use super::encoding::{Decoded, LOOK, recognise};
use crate::{Usage, progress};

/// The first bytes of a compressed file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The byte order mark in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// The text of a file.
pub(super) struct Source {
    /// The beginning, in UTF-8 without a byte order mark. A character may be cut at its end.
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
        let (begin, rest) = source.with_context(|| format!("{} cannot be read; nothing was imported", file.display()))?;
        Ok(Self { begin, rest, bar })
    }

    fn over(
        mut bytes: impl Read + 'static,
        encoding: Option<&'static Encoding>,
    ) -> anyhow::Result<(Vec<u8>, Box<dyn Read>)> {
        let (start, _) = begin(&mut bytes, GZIP.len())?;
        let is_compressed = start == GZIP;
        let bytes = io::Cursor::new(start).chain(bytes);
        let mut plain: Box<dyn Read> =
            if is_compressed { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
        let (mut start, whole) = begin(&mut plain, LOOK)?;
        let encoding = recognise(&start, whole, encoding).map_err(Usage)?;
        if encoding == UTF_8 {
            if start.starts_with(MARK) {
                start.drain(..MARK.len());
            }
            return Ok((start, plain));
        }
        let mut decoded = Decoded::new(io::Cursor::new(start).chain(plain), encoding);
        let (start, _) = begin(&mut decoded, LOOK)?;
        Ok((start, Box::new(decoded)))
    }
}

/// The first bytes of a file, at most so many, and whether the file has no more. A damaged file is read up to the damage; the next read
/// meets it again.
fn begin(bytes: &mut impl Read, most: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut start = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match bytes.read(&mut start[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if filled == 0 => return Err(error),
            Err(_) => break,
        }
    }
    start.truncate(filled);
    Ok((start, filled < most))
}
