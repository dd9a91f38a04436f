//! The contract of the book with the code that decides commands: what that code may call, and what it may rely on.
//!
//! The contract has two implementations: PostgreSQL ([`Daybook`]), and a book in memory with injected faults
//! (`tests/src/simulation`). The tests of the event store run on both. An implementation replaces the transaction ([`Session`])
//! only, so both use the same code for the rounds of a batch.

use std::{future::Future, sync::Arc};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    AppendUnit, Appender, Daybook, Filter, LoadedStream, PostgresSession, RecordedEvent, Snapshot, StoreError,
};

/// A book that commands are decided on. All that is read was committed, and may be stale when the result arrives.
pub trait Store: Clone + Send + Sync + 'static {
    /// The session that an appender uses.
    type Session: Session;

    /// An appender, connected and prepared.
    ///
    /// # Errors
    /// [`StoreError`] when the store is out of reach.
    fn appender(&self) -> impl Future<Output = Result<Appender<Self::Session>, StoreError>> + Send;

    /// Loads many streams, each as of one moment, from its snapshot of this `fold_version` if it has one. A stream that does not
    /// exist is loaded as an empty one.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn load_streams(
        &self,
        streams: &[Arc<str>],
        fold_version: i16,
    ) -> impl Future<Output = Result<Vec<LoadedStream>, StoreError>> + Send;

    /// Saves a snapshot, unless a later one exists. A snapshot of the same version is replaced.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed. A lost snapshot costs only time.
    fn save_snapshot(
        &self,
        stream_id: &str,
        fold_version: i16,
        snapshot: &Snapshot,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The events after a position, in order, at most `limit`. Fewer than `limit` events mean that the end was reached.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn read_after(
        &self,
        after: i64,
        limit: usize,
        filter: &Filter,
    ) -> impl Future<Output = Result<Vec<RecordedEvent>, StoreError>> + Send;
}

/// The calls of an [`Appender`] to the store, one after the other. After an error the session must not be used again. The failed call
/// may have taken effect, may take effect later, or never.
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

    /// The commands among `ids` that are in the book.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn commands(&mut self, ids: &[Uuid]) -> impl Future<Output = Result<Vec<KnownCommand>, StoreError>> + Send;
}

/// What one transaction has to write, and what it has to look up first.
#[derive(Debug)]
pub struct Writing<'a> {
    /// Streams, each with the version that it must be at.
    pub streams: Vec<&'a (Arc<str>, i32)>,
    /// Commands that must not be in the book.
    pub commands: Vec<Uuid>,
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
    /// The digest of the command.
    pub fingerprint: Vec<u8>,
    /// The position of its first event.
    pub first_position: i64,
    /// How many events it wrote.
    pub events: i32,
}

impl Store for Daybook {
    type Session = PostgresSession;

    async fn appender(&self) -> Result<Appender, StoreError> {
        Self::appender(self).await
    }

    async fn load_streams(&self, streams: &[Arc<str>], fold_version: i16) -> Result<Vec<LoadedStream>, StoreError> {
        Self::load_streams(self, streams, fold_version).await
    }

    async fn save_snapshot(&self, stream: &str, fold_version: i16, snapshot: &Snapshot) -> Result<(), StoreError> {
        Self::save_snapshot(self, stream, fold_version, snapshot).await
    }

    async fn read_after(&self, after: i64, limit: usize, filter: &Filter) -> Result<Vec<RecordedEvent>, StoreError> {
        Self::read_after(self, after, limit, filter).await
    }
}
