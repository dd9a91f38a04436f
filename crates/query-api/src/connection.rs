//! Relay connections over keysets: a cursor is the key of a row, so a page costs the same wherever it is.

use async_graphql::{
    Error, OutputType,
    connection::{Connection, CursorType, Edge, EmptyFields},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::viewer::coded;

/// The most rows of a page.
const MAX_PAGE: i32 = 100;
/// The rows of a page when nobody says.
const DEFAULT_PAGE: i32 = 20;

/// How many rows a page may have, for the cost of a query. One that asks for too many is refused later.
pub(crate) fn rows(first: Option<i32>) -> usize {
    usize::try_from(first.unwrap_or(DEFAULT_PAGE).clamp(1, 1_000)).unwrap_or(1)
}

/// An opaque cursor: a key as hexadecimal JSON.
pub(crate) struct Cursor<K>(pub(crate) K);

impl<K: Serialize + DeserializeOwned + Send + Sync> CursorType for Cursor<K> {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, &'static str> {
        let byte = |at: usize| text.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
        let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        key.map(Self).ok_or("the cursor is not one of this connection")
    }

    fn encode_cursor(&self) -> String {
        let bytes = serde_json::to_vec(&self.0).unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a page asks for.
pub(crate) struct Page<K> {
    /// How many rows.
    pub(crate) first: i64,
    /// After which key.
    pub(crate) after: Option<K>,
}

impl<K: Serialize + DeserializeOwned + Send + Sync> Page<K> {
    pub(crate) fn new(first: Option<i32>, after: Option<&str>) -> Result<Self, Error> {
        let first = first.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&first) {
            return Err(coded("BAD_PAGE", format!("first is 1 to {MAX_PAGE}")));
        }
        let after = after.map(Cursor::decode_cursor).transpose().map_err(|error| coded("BAD_CURSOR", error))?;
        let after = after.map(|Cursor(key)| key);
        Ok(Self { first: i64::from(first), after })
    }

    /// How many rows to select: one more than asked for tells whether there is a next page.
    pub(crate) const fn limit(&self) -> i64 {
        self.first + 1
    }

    /// The page of the rows that were selected.
    pub(crate) fn connection<T: OutputType>(
        &self,
        mut rows: Vec<T>,
        key: impl Fn(&T) -> K,
    ) -> Connection<Cursor<K>, T, EmptyFields, EmptyFields> {
        let asked = usize::try_from(self.first).unwrap_or(usize::MAX);
        let more = rows.len() > asked;
        rows.truncate(asked);
        let mut connection = Connection::new(self.after.is_some(), more);
        connection.edges.extend(rows.into_iter().map(|row| Edge::new(Cursor(key(&row)), row)));
        connection
    }
}
