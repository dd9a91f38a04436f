//! Rows in the binary format of PostgreSQL's COPY, so that the database does not have to parse text.
//!
//! The format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use bytes::{Bytes, BytesMut};
use serde::ser::Error;

use super::{Row, Unwritable};

/// How many bytes of rows go to the database at once.
const FULL: usize = 1 << 20;
/// What stands before the rows: a signature, no flags, and no extension of the header.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands behind the rows, where a row would have the number of its fields.
const END: i16 = -1;

/// Rows for one COPY.
#[derive(Debug, Default)]
pub(super) struct Tuples(BytesMut);

impl Tuples {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is time to send them.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= FULL
    }

    /// Adds a row.
    pub(super) fn push<R: Row>(&mut self, row: &R) -> Result<(), Unwritable> {
        if self.0.is_empty() {
            self.0.reserve(FULL + FULL / 4);
            self.0.extend_from_slice(HEAD);
        }
        let fields = i16::try_from(R::TABLE.width()).map_err(Unwritable::custom)?;
        self.0.extend_from_slice(&fields.to_be_bytes());
        row.write(&mut self.0)
    }

    /// All rows, as COPY expects them, if there are any. None are left.
    pub(super) fn take(&mut self) -> Bytes {
        self.0.extend_from_slice(&END.to_be_bytes());
        self.0.split().freeze()
    }
}
