//! Relay connections over keysets: a cursor is the key of a row, so every page costs the same.

use std::borrow::Cow;

use async_graphql::{
    Error, OutputType, Pos, ServerResult,
    connection::{Connection, CursorType, Edge, EmptyFields},
};
use chrono::{DateTime, Datelike, Utc};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Serialize, de::DeserializeOwned};

use crate::graphql::error::coded;

/// The most rows of a page of a connection.
pub(crate) const MAX_PAGE: u16 = 100;
/// The rows of a page by default.
const DEFAULT_PAGE: i32 = 20;

/// The code of a page that is too small or too large.
pub(crate) const BAD_PAGE: &str = "BAD_PAGE";
/// How the message of such a page begins.
const SIZES: &str = "first is 1 to ";
/// What is wrong with the size of a list without pages.
const AT_LEAST: &str = "first is at least 1";

/// The message for a cursor of another connection, or of another order.
const OTHER_CURSOR: &str = "the cursor is not one of this connection";

/// How many rows a page of a connection has, for the cost of a query.
pub(crate) fn rows(first: Option<i32>) -> ServerResult<usize> {
    rows_up_to(MAX_PAGE, first.unwrap_or(DEFAULT_PAGE))
}

/// How many rows a page of at most `most` has, for the cost of a query. A page of another size is refused here, so its size is
/// named before its cost is.
pub(crate) fn rows_up_to(most: u16, first: i32) -> ServerResult<usize> {
    page_size(first, most).map(usize::from).map_err(|error| error.into_server_error(Pos::default()))
}

/// The size of a page, which has at least one row, and at most `most`.
pub(crate) fn page_size(first: i32, most: u16) -> Result<u16, Error> {
    let size = u16::try_from(first).ok().filter(|size| (1..=most).contains(size));
    size.ok_or_else(|| coded(BAD_PAGE, format!("{SIZES}{most}")))
}

/// How many elements of a list without pages a query asks for; all of them by default.
pub(crate) fn list_size(first: Option<i32>) -> Result<usize, Error> {
    let Some(first) = first else { return Ok(usize::MAX) };
    usize::try_from(first).ok().filter(|first| *first > 0).ok_or_else(|| coded(BAD_PAGE, AT_LEAST))
}

/// Whether a message refuses the size of a page.
pub(crate) fn refuses_page(message: &str) -> bool {
    message.starts_with(SIZES) || message == AT_LEAST
}

/// An opaque cursor: a key as hexadecimal JSON, with the order that it is a key of.
pub(crate) struct Cursor<K> {
    order: Cow<'static, str>,
    key: K,
}

impl<K: Serialize + DeserializeOwned + Send + Sync> CursorType for Cursor<K> {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, &'static str> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let cursor = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        cursor.map(|(order, key)| Self { order, key }).ok_or(OTHER_CURSOR)
    }

    fn encode_cursor(&self) -> String {
        HEXLOWER.encode(&serde_json::to_vec(&(&self.order, &self.key)).unwrap_or_default())
    }
}

/// Whether a time can be the key of a row: one that RFC 3339 and PostgreSQL both have.
pub(crate) fn is_time_of_row(time: DateTime<Utc>) -> bool {
    (1..=9999).contains(&time.year())
}

/// The page that a query asks for.
pub(crate) struct Page<K> {
    /// How many rows.
    pub(crate) first: i64,
    /// After which key.
    pub(crate) after: Option<K>,
    /// The order that its keys are of.
    order: &'static str,
}

impl<K: Serialize + DeserializeOwned + Send + Sync> Page<K> {
    /// The page of an order, after a cursor whose key is one of that order. A caller can forge a cursor.
    pub(crate) fn new(
        order: &'static str,
        first: Option<i32>,
        after: Option<&str>,
        is_key: impl FnOnce(&K) -> bool,
    ) -> Result<Self, Error> {
        let first = page_size(first.unwrap_or(DEFAULT_PAGE), MAX_PAGE)?;
        let after = after.map(Cursor::<K>::decode_cursor).transpose().map_err(|error| coded("BAD_CURSOR", error))?;
        if after.as_ref().is_some_and(|cursor| cursor.order != order || !is_key(&cursor.key)) {
            return Err(coded("BAD_CURSOR", OTHER_CURSOR));
        }
        Ok(Self { first: i64::from(first), after: after.map(|cursor| cursor.key), order })
    }

    /// How many rows to select. One more than the page has shows whether a next page follows.
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
        connection
            .edges
            .extend(rows.into_iter().map(|row| Edge::new(Cursor { order: self.order.into(), key: key(&row) }, row)));
        connection
    }
}
