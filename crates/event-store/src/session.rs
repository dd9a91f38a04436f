//! The session of an appender: the calls to the store in which the rounds of a batch are written.

use std::{future::Future, sync::Arc};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{AppendUnit, StoreError};

/// The calls of an [`Appender`](crate::Appender) to the store, one after the other. After an error the session must not be used
/// again. The failed call may have taken effect, may take effect later, or never.
pub trait Session: Send + 'static {
    /// Writes append units in one transaction: all of them or none.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed. Whether the units were written is unknown.
    fn write(&mut self, writing: &Writing<'_>) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// The versions of streams, in the order of `streams`; 0 for a stream without events.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn versions(&mut self, streams: &[&str]) -> impl Future<Output = Result<Vec<i32>, StoreError>> + Send;

    /// The commands with these ids that are in the book, of every scope.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn commands(&mut self, ids: &[Uuid]) -> impl Future<Output = Result<Vec<KnownCommand>, StoreError>> + Send;

    /// Locks the head of the book. No other session writes until the next [`write`](Self::write), whatever its outcome, or until
    /// [`unlock`](Self::unlock). A session that does neither for seconds is ended, and its lock with it.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn lock(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Unlocks the head without a write. Does nothing if it is not locked.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed. Nothing was written.
    fn unlock(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What one transaction has to write, and what it has to look up first.
#[derive(Debug)]
pub struct Writing<'a> {
    /// Streams, each with the version that it must be at.
    pub streams: Vec<&'a (Arc<str>, i32)>,
    /// Commands that must not be in the book, each with its scope.
    pub commands: Vec<(Uuid, &'a str)>,
    /// The append units to write. Their own versions and commands need not be looked up: one that exists is a
    /// [`Written::UniqueViolation`].
    pub units: &'a [&'a AppendUnit],
}

/// The outcome of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The units are in the book, durably, without gaps from `first_position` on. Recorded times never decrease.
    Committed {
        /// The position of the first event.
        first_position: i64,
        /// When it was written.
        recorded_at: DateTime<Utc>,
    },
    /// Nothing was written: a stream that was looked up has another version, or a command that was looked up is in the book.
    Refused {
        /// The versions of the streams that were looked up, in the same order.
        actual: Vec<i32>,
        /// The commands that were looked up and are in the book.
        duplicates: Vec<Uuid>,
    },
    /// Nothing was written: a version or a command that was not looked up exists already.
    UniqueViolation,
    /// Nothing was written: one of the append units holds a value that the store can never keep.
    InvalidData {
        /// The message of the store.
        reason: String,
    },
}

/// A command that is in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCommand {
    /// Its id.
    pub command_id: Uuid,
    /// The scope in which its id is known.
    pub scope: String,
    /// The digest of the command.
    pub fingerprint: Vec<u8>,
    /// The position of its first event.
    pub first_position: i64,
    /// How many events it wrote.
    pub events: i32,
}
