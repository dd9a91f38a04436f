//! The length of a document in lexemes (names, numbers, strings and punctuators; GraphQL, September 2025, section 2.1.5). It is counted
//! before the document is parsed: parsing and validation take microseconds for each, and no other limit holds before them.

use async_graphql::ServerError;

use crate::graphql::error::with_code;

/// The most lexemes of a document. The longest document of a known client, the introspection of GraphiQL, has about 300.
const MAX: usize = 15_000;
/// For how many lexemes a document counts as one more request. The first so many are free.
const PER_REQUEST: usize = 500;

/// The length of a document, in lexemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length(usize);

impl Length {
    /// The length of a document, unless it is too long.
    pub(crate) fn of(document: &str) -> Result<Self, ServerError> {
        let length = count(document.as_bytes());
        if length <= MAX {
            return Ok(Self(length));
        }
        let detail = format!("the document has {length} tokens, and {MAX} are the most");
        Err(with_code(ServerError::new(detail, None), "QUERY_TOO_COMPLEX"))
    }

    /// For how many requests more than one it counts.
    pub(crate) fn more_requests(self) -> u32 {
        u32::try_from(self.0 / PER_REQUEST).unwrap_or(u32::MAX)
    }
}

/// Counts at least as many lexemes as a parser finds before its first error.
fn count(mut rest: &[u8]) -> usize {
    let mut count = 0;
    while let Some((first, after)) = rest.split_first() {
        let of = |is_part: fn(&u8) -> bool| rest.iter().take_while(|byte| is_part(byte)).count();
        let (length, is_lexeme) = match first {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => (1, false),
            b'#' => (of(|byte| !matches!(byte, b'\n' | b'\r')), false),
            // A byte order mark is ignored wherever it stands. Nothing else outside of ASCII begins a lexeme.
            byte if !byte.is_ascii() => (1, false),
            b'"' => (1 + string(after), true),
            b'.' => (of(|byte| *byte == b'.'), true),
            // No number goes on after a zero, and a parser that does not mind reads as many numbers.
            b'0' => (1, true),
            byte if is_of_a_word(byte) => (of(is_of_a_word), true),
            _ => (1, true),
        };
        count += usize::from(is_lexeme);
        rest = &rest[length..];
    }
    count
}

fn is_of_a_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

/// The length of a string after its first quotation mark, with the last one.
fn string(after: &[u8]) -> usize {
    if after.starts_with(b"\"\"") {
        return 2 + block(&after[2..]);
    }
    let mut escaped = false;
    let end = after.iter().position(|byte| {
        let ends = matches!(byte, b'"' | b'\n' | b'\r') && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(after.len(), |at| at + 1)
}

/// The length of a block string after its first three quotation marks, with the last ones.
fn block(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(b"\"\"\"") {
            return at + 3;
        }
        at += if rest.starts_with(b"\\\"\"\"") { 4 } else { 1 };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lexemes_are_counted_and_what_is_ignored_is_not() {
        for (document, expected) in [
            ("", 0),
            ("{ a }", 3),
            ("query($a: [Int!]! = -1.5e3) { ...F @skip(if: true) }", 27),
            ("{ a(b: \"{ } \\\" { }\", c: \"\"\"{ \" }\"\"\", d: \"\") } # { a b c\n{", 15),
            ("\u{feff}{,,,a\u{feff}b\t\r\n}", 4),
            ("[00000 0.5 10]", 11),
            ("\"open { a b", 1),
            ("\"\"\"open { a b", 1),
            ("\"broken\n a b", 3),
            (r#""""\""" " {""" a a """ """ a"#, 5),
            (r#""""\"""""" a a"#, 3),
        ] {
            assert_eq!(count(document.as_bytes()), expected, "{document}");
        }
    }

    #[test]
    fn a_long_document_is_refused_and_counts_as_several_requests() {
        let length = |fields: usize| Length::of(&format!("{{{}}}", "a ".repeat(fields)));
        assert_eq!(length(490).map(Length::more_requests).ok(), Some(0));
        assert_eq!(length(MAX - 2).map(Length::more_requests).ok(), Some(30));
        assert!(length(MAX).is_err_and(|error| error.message.contains("15002 tokens, and 15000")));
    }
}
