//! The words by which a row is found, as a column of PostgreSQL's text search.

use std::collections::BTreeSet;

use bytes::{BufMut, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::column::{Column, Unwritable, framed};

/// Words without positions: a `tsvector`. Its text has each word in quotes. A word of [`text::words`](daybook_domain::text::words) holds
/// nothing that would have to be escaped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words(pub BTreeSet<String>);

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let quoted: Vec<_> = self.0.iter().map(|word| format!("'{word}'")).collect();
        serializer.serialize_str(&quoted.join(" "))
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let words = text.split(' ').map(|word| word.trim_matches('\'')).filter(|word| !word.is_empty());
        Ok(Self(words.map(str::to_owned).collect()))
    }
}

impl Column for Words {
    const SQL: &'static str = "tsvector";

    /// The number of words, and each as a text that ends with a zero, and the number of its positions (`tsvectorrecv`).
    fn write(&self, out: &mut BytesMut) -> Result<(), Unwritable> {
        framed(out, |out| {
            out.put_i32(i32::try_from(self.0.len())?);
            for word in &self.0 {
                out.put_slice(word.as_bytes());
                out.put_u8(0);
                out.put_u16(0);
            }
            Ok(tokio_postgres::types::IsNull::No)
        })
    }
}
