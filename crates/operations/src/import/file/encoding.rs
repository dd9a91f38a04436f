//! The encoding of a file. It is recognised, or the caller names it; it is never guessed.
//!
//! - A byte order mark says UTF-8 or UTF-16.
//! - Without one, a file is UTF-8 if its beginning is. UTF-16 without a mark shows by its zeros.
//! - Every other encoding looks like any other, so the caller has to name it. A name that contradicts the file is refused.
//!
//! What cannot be decoded later in the file rejects its own record only.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How many bytes of a file are looked at to recognise what it is.
pub(super) const LOOK: usize = 64 << 10;

/// The encoding of a file that begins with these bytes. `whole` says that the file has no more.
///
/// # Errors
/// A sentence, where the encoding has to be named, or the named one cannot be right.
pub(super) fn recognise(
    begin: &[u8],
    whole: bool,
    named: Option<&'static Encoding>,
) -> Result<&'static Encoding, String> {
    let marked = Encoding::for_bom(begin).map(|(encoding, _)| encoding);
    let utf_8 = is_utf_8(begin, whole);
    match (marked, named) {
        (Some(marked), Some(named)) if marked != named => {
            Err(format!("it has the byte order mark of {}, and {} was named", marked.name(), named.name()))
        }
        (Some(marked), _) => Ok(marked),
        (None, Some(named)) if named.is_ascii_compatible() && named != UTF_8 && utf_8.is_ok() && !begin.is_ascii() => {
            Err(format!("it is UTF-8, and {} was named", named.name()))
        }
        (None, Some(named)) => Ok(named),
        (None, None) => match utf_16(begin) {
            Some(encoding) => Ok(encoding),
            None => utf_8.map(|()| UTF_8).map_err(|at| unknown(begin, at)),
        },
    }
}

/// Whether bytes are UTF-8; otherwise the index of the first that is not. The end may cut a character in two.
fn is_utf_8(bytes: &[u8], whole: bool) -> Result<(), usize> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) if error.error_len().is_none() && !whole => Ok(()),
        Err(error) => Err(error.valid_up_to()),
    }
}

/// UTF-16 without a byte order mark: every second byte of ASCII is zero.
fn utf_16(begin: &[u8]) -> Option<&'static Encoding> {
    let begin = &begin[..begin.len().min(1_024) & !1];
    let zeros = |from: usize| begin.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, pairs) = (zeros(0), zeros(1), begin.len() / 2);
    if pairs < 4 {
        None
    } else if odd * 2 > pairs && even == 0 {
        Some(UTF_16LE)
    } else if even * 2 > pairs && odd == 0 {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// The sentence for a file whose encoding has to be named. It shows what the first unknown byte would be in the likely encoding.
fn unknown(begin: &[u8], at: usize) -> String {
    let line = 1 + begin[..at].iter().filter(|byte| **byte == b'\n').count();
    let is_boundary = |byte: &u8| matches!(byte, b'\n' | b'\r' | b',' | b';' | b'\t' | b'|' | b'"');
    let from = begin[..at].iter().rposition(&is_boundary).map_or(0, |before| before + 1);
    let until = begin[at..].iter().position(is_boundary).map_or(begin.len(), |after| at + after);
    let (shown, _, _) = WINDOWS_1252.decode(&begin[from..until]);
    let shown: String = shown.chars().take(60).collect();
    format!(
        "it is not UTF-8: line {line} has the byte 0x{:02X}. Name its encoding with --encoding; in windows-1252 the value there is `{shown}`",
        begin[at]
    )
}

/// Decodes a file to UTF-8. Bytes that are none of the encoding become U+FFFD, which rejects their record.
pub(super) struct Decoded<R> {
    from: R,
    decoder: Decoder,
    input: Vec<u8>,
    begin: usize,
    end: usize,
    /// Whether the decoder has seen the end of the file.
    is_done: bool,
    spare: Vec<u8>,
    spare_begin: usize,
}

impl<R: Read> Decoded<R> {
    /// A reader of a file in this encoding.
    pub(super) fn new(from: R, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder_with_bom_removal();
        Self {
            from,
            decoder,
            input: vec![0; 32 << 10],
            begin: 0,
            end: 0,
            is_done: false,
            spare: Vec::new(),
            spare_begin: 0,
        }
    }

    /// Decodes more of the file. Nothing is left when it has added nothing.
    fn decode_more(&mut self) -> io::Result<()> {
        self.spare.clear();
        self.spare_begin = 0;
        while self.spare.is_empty() && !self.is_done {
            if self.begin == self.end {
                (self.begin, self.end) = (0, self.from.read(&mut self.input)?);
            }
            let last = self.end == 0;
            let input = &self.input[self.begin..self.end];
            let room = self.decoder.max_utf8_buffer_length(input.len()).unwrap_or(1 << 20);
            self.spare.resize(room.max(16), 0);
            let (result, read, written, _) = self.decoder.decode_to_utf8(input, &mut self.spare, last);
            self.begin += read;
            self.spare.truncate(written);
            self.is_done = last && result == CoderResult::InputEmpty;
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.spare_begin == self.spare.len() {
            self.decode_more()?;
        }
        let ready = &self.spare[self.spare_begin..];
        let count = ready.len().min(into.len());
        into[..count].copy_from_slice(&ready[..count]);
        self.spare_begin += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(bytes: &[u8], named: Option<&str>) -> Result<&'static str, String> {
        let named = named.map(|label| Encoding::for_label(label.as_bytes()).expect("a label"));
        recognise(bytes, true, named).map(Encoding::name)
    }

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn an_encoding_is_recognised_or_has_to_be_named() {
        assert_eq!(encoding(b"sku,name\n", None), Ok("UTF-8"));
        assert_eq!(encoding("\u{feff}sku".as_bytes(), None), Ok("UTF-8"));
        for text in ["\u{feff}sku,name", "sku,name\n"] {
            let (little, big) = (utf_16(text, u16::to_le_bytes), utf_16(text, u16::to_be_bytes));
            assert_eq!((encoding(&little, None), encoding(&big, None)), (Ok("UTF-16LE"), Ok("UTF-16BE")), "{text:?}");
        }
        let latin = b"sku,name\na,Caf\xe9\n";
        let message = encoding(latin, None).expect_err("it has to be named");
        assert_eq!(
            message,
            "it is not UTF-8: line 2 has the byte 0xE9. Name its encoding with --encoding; in windows-1252 the value there is `Café`"
        );
        assert_eq!(encoding(latin, Some("iso-8859-1")), Ok("windows-1252"));
        assert!(encoding("a,Café".as_bytes(), Some("windows-1252")).is_err(), "it is UTF-8");
        assert!(encoding("\u{feff}a".as_bytes(), Some("utf-16le")).is_err());
    }

    #[test]
    fn a_file_is_decoded_whatever_the_size_of_the_reads() {
        let text = "sku,name\n1,Łopata łódzka\n2,燕麦\n".repeat(3_000);
        for bytes in [utf_16(&text, u16::to_le_bytes), utf_16(&format!("\u{feff}{text}"), u16::to_le_bytes)] {
            let mut decoded = String::new();
            let mut reader = Decoded::new(bytes.as_slice(), UTF_16LE);
            reader.read_to_string(&mut decoded).expect("memory can be read");
            assert!(decoded == text, "{} bytes of {}", decoded.len(), text.len());
        }
        let mut decoded = String::new();
        Decoded::new(&b"Caf\xe9 \x80"[..], WINDOWS_1252).read_to_string(&mut decoded).expect("memory can be read");
        assert_eq!(decoded, "Café €");
        let mut decoded = String::new();
        Decoded::new(&b"\x3d\xd8a"[..], UTF_16LE).read_to_string(&mut decoded).expect("memory can be read");
        assert!(decoded.contains('\u{fffd}'), "half a character is no text");
    }
}
