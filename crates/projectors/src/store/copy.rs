//! A row as a line of PostgreSQL's COPY, text format: what serde writes as JSON, but for the outermost object, whose values
//! stand beside each other without their names.

use std::io::{self, Write};

use serde_json::ser::{CharEscape, Formatter, Serializer};
use tokio_postgres::types::{Kind, Type};

use super::Row;

/// How a column takes its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is.
    Plain,
    /// As JSON.
    Json,
    /// As an array of what JSON writes in the same way.
    Array,
}

/// The columns of a table that are written, in the order of the row's fields.
#[derive(Debug)]
pub(super) struct Columns(Vec<(&'static str, Form)>);

impl Columns {
    /// The columns of a row, which are of these types.
    pub(super) fn of<R: Row>(types: impl Iterator<Item = Type>) -> Self {
        let form = |of: Type| match of {
            Type::JSON | Type::JSONB => Form::Json,
            of if matches!(of.kind(), Kind::Array(_)) => Form::Array,
            _ => Form::Plain,
        };
        Self(R::KEY.iter().chain(R::COLUMNS).copied().zip(types.map(form)).collect())
    }

    /// Writes a row.
    pub(super) fn write<R: Row>(&self, row: &R, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let line = Line { columns: &self.0, at: None, in_name: false, depth: 0 };
        row.serialize(&mut Serializer::with_formatter(&mut *out, line))?;
        out.push(b'\n');
        Ok(())
    }
}

/// Writes a line while serde thinks that it is JSON.
struct Line<'c> {
    columns: &'c [(&'static str, Form)],
    /// The column that is being written.
    at: Option<usize>,
    /// Whether the name of a column is being written, which is left out.
    in_name: bool,
    /// How deep in the JSON it is; the row itself is 1.
    depth: usize,
}

impl Line<'_> {
    fn form(&self) -> Form {
        self.at.and_then(|at| self.columns.get(at)).map_or(Form::Plain, |(_, form)| *form)
    }

    /// Whether what is written is the value of a column, and not a part of one.
    fn is_bare(&self) -> bool {
        self.depth == 1 && self.form() == Form::Plain
    }
}

/// Writes text so that COPY reads it as it is.
fn escaped<W: ?Sized + Write>(out: &mut W, text: &str) -> io::Result<()> {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t')) {
        out.write_all(&rest[..at])?;
        out.write_all(match rest[at] {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\t",
        })?;
        rest = &rest[at + 1..];
    }
    out.write_all(rest)
}

impl Formatter for Line<'_> {
    fn write_null<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(if self.depth == 1 { b"\\N" } else { b"null" })
    }

    fn begin_string<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.in_name || self.is_bare() { Ok(()) } else { out.write_all(b"\"") }
    }

    fn end_string<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin_string(out)
    }

    /// What JSON need not escape, COPY need not either.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        if !self.in_name {
            return out.write_all(text.as_bytes());
        }
        match self.at.and_then(|at| self.columns.get(at)) {
            Some((name, _)) if *name == text => Ok(()),
            _ => Err(io::Error::other(format!("the field `{text}` does not stand where its column does"))),
        }
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        if !self.is_bare() {
            let mut json = Vec::with_capacity(6);
            serde_json::ser::CompactFormatter.write_char_escape(&mut json, escape)?;
            return json
                .iter()
                .try_for_each(|byte| if *byte == b'\\' { out.write_all(b"\\\\") } else { out.write_all(&[*byte]) });
        }
        out.write_all(match escape {
            CharEscape::Quote => b"\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::Backspace => b"\\b",
            CharEscape::FormFeed => b"\\f",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::AsciiControl(byte) => return out.write_all(&[byte]),
        })
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, json: &str) -> io::Result<()> {
        escaped(out, json)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        out.write_all(if self.depth == 2 && self.form() == Form::Array { b"{" } else { b"[" })
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        out.write_all(if self.depth == 1 && self.form() == Form::Array { b"}" } else { b"]" })
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth == 1 { Ok(()) } else { out.write_all(b"{") }
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth == 0 { Ok(()) } else { out.write_all(b"}") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if self.depth > 1 {
            return if first { Ok(()) } else { out.write_all(b",") };
        }
        self.in_name = true;
        self.at = Some(self.at.map_or(0, |at| at + 1));
        if first { Ok(()) } else { out.write_all(b"\t") }
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.in_name = false;
        Ok(())
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.depth == 1 { Ok(()) } else { out.write_all(b":") }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Sample {
        id: i64,
        name: Option<String>,
        tags: Vec<String>,
        state: Value,
    }

    impl Row for Sample {
        type Key = i64;
        const TABLE: &'static str = "samples";
        const KEY: &'static [&'static str] = &["id"];
        const COLUMNS: &'static [&'static str] = &["name", "tags", "state"];
    }

    fn line(name: Option<&str>, tags: &[&str], state: Value) -> String {
        let types = [Type::INT8, Type::TEXT, Type::TEXT_ARRAY, Type::JSONB];
        let row =
            Sample { id: 7, name: name.map(str::to_owned), tags: tags.iter().map(|&t| t.to_owned()).collect(), state };
        let mut out = Vec::new();
        Columns::of::<Sample>(types.into_iter()).write(&row, &mut out).expect("it can be written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn columns_stand_beside_each_other() {
        assert_eq!(
            line(Some("Ann"), &["a", "b"], json!({ "x": [1, null], "y": "z" })),
            "7\tAnn\t{\"a\",\"b\"}\t{\"x\":[1,null],\"y\":\"z\"}\n"
        );
        assert_eq!(line(None, &[], Value::Null), "7\t\\N\t{}\t\\N\n");
        assert_eq!(line(Some(""), &[], json!("absent")), "7\t\t{}\t\"absent\"\n");
    }

    #[test]
    fn what_copy_takes_for_its_own_is_escaped_in_text_and_in_json() {
        let odd = "a\tb\nc\\d\"e\rf";
        assert_eq!(
            line(Some(odd), &[], json!({ "k": odd })),
            "7\ta\\tb\\nc\\\\d\"e\\rf\t{}\t{\"k\":\"a\\\\tb\\\\nc\\\\\\\\d\\\\\"e\\\\rf\"}\n"
        );
    }

    #[test]
    fn fields_that_do_not_stand_as_their_columns_do_are_refused() {
        let row = Sample { id: 7, name: None, tags: Vec::new(), state: Value::Null };
        let swapped =
            Columns(vec![("name", Form::Plain), ("id", Form::Plain), ("tags", Form::Array), ("state", Form::Json)]);
        assert!(swapped.write(&row, &mut Vec::new()).is_err());
    }
}
