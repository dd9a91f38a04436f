//! The contract of the book, as those use it who decide on it: what they ask, and what they may rely on.
//!
//! It stands here because the book is kept in two ways: by PostgreSQL ([`Daybook`]), and by the simulation, in memory and with
//! faults (`tests/src/simulation`). The store's own tests run on both. The seam of the append is as low as it can be, at the
//! transaction ([`Session`]), so that the rounds of a batch are the same code on both.

use std::{future::Future, sync::Arc};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Appender, Daybook, Filter, LoadedStream, PostgresSession, RecordedEvent, Snapshot, StoreError, Unit};

/// A book to decide on. Everything that is read was committed, and may be stale when the answer arrives.
pub trait Store: Clone + Send + Sync + 'static {
    /// What appends are made over.
    type Session: Session;

    /// An appender, connected and prepared.
    ///
    /// # Errors
    /// [`StoreError`] when the store is out of reach.
    fn appender(&self) -> impl Future<Output = Result<Appender<Self::Session>, StoreError>> + Send;

    /// Many streams in one go, each as it was at one moment, from its snapshot of this `fold_version` on if there is one. A
    /// stream that does not exist is loaded as an empty one.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn load_streams(
        &self,
        streams: &[Arc<str>],
        fold_version: i16,
    ) -> impl Future<Output = Result<Vec<LoadedStream>, StoreError>> + Send;

    /// Keeps a state, unless a later one is kept already; one of the same version is replaced.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed; nothing is lost by it.
    fn save_snapshot(
        &self,
        stream_id: &str,
        fold_version: i16,
        snapshot: &Snapshot,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The events after a position, in order, at most `limit`. Fewer than `limit` means that the end was reached.
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

/// What an [`Appender`] asks of the store, one question after the other. After an error the session is of no more use, and what
/// was asked may have been done, may be done later, or never.
pub trait Session: Send + 'static {
    /// Writes units in one transaction: all of them or none.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed: whether it has written is unknown.
    fn write(&mut self, writing: &Writing<'_>) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// The versions that streams are at, in the order asked; 0 without events.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn versions(&mut self, streams: &[&str]) -> impl Future<Output = Result<Vec<i32>, StoreError>> + Send;

    /// Those of these commands that are in the book.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn commands(&mut self, ids: &[Uuid]) -> impl Future<Output = Result<Vec<KnownCommand>, StoreError>> + Send;
}

/// What is to be written in one transaction, and what has to be looked up in it before.
#[derive(Debug)]
pub struct Writing<'a> {
    /// Streams, each with the version that it must be at.
    pub streams: Vec<&'a (Arc<str>, i32)>,
    /// Commands that must not be in the book.
    pub commands: Vec<Uuid>,
    /// What to write. Its versions and commands need not be listed above: what is taken is [`Written::Taken`].
    pub units: &'a [&'a Unit],
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is in the book, durably, from this position on and without gaps. Recorded times never run backwards.
    Committed {
        /// The position of the first event.
        first_position: i64,
        /// When it was written.
        recorded_at: DateTime<Utc>,
    },
    /// Nothing was written: a stream that was looked up is not at its version, or a command is in the book.
    Refused {
        /// The versions of the streams that were looked up, in the order asked.
        actual: Vec<i32>,
        /// The commands that were looked up and are in the book.
        duplicates: Vec<Uuid>,
    },
    /// Nothing was written: a version or a command that was not looked up is taken.
    Taken,
    /// Nothing was written: one of the units holds a value that the store cannot keep, and never will.
    Unacceptable {
        /// What the store said.
        reason: String,
    },
}

/// A command that is in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCommand {
    /// Its identity.
    pub command_id: Uuid,
    /// A digest of what it said.
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
