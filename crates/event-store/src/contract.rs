//! The contract of the book with the code that decides commands: what that code may call, and what it may rely on.
//!
//! The contract has two implementations: PostgreSQL ([`Daybook`]), and a book in memory with injected faults
//! (`tests/src/simulation`). The tests of the event store run on both. An implementation replaces the transaction ([`Session`])
//! only, so both use the same code for the rounds of a batch.

use std::{future::Future, sync::Arc};

use crate::{
    Appender, Daybook, Filter, LoadedStream, PostgresSession, RecordedEvent, Snapshot, StoreError, session::Session,
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

    /// Loads the events of many streams after a version each, each stream as of one moment. No snapshot is read.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed.
    fn load_after(
        &self,
        streams: &[(Arc<str>, i32)],
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

impl Store for Daybook {
    type Session = PostgresSession;

    async fn appender(&self) -> Result<Appender, StoreError> {
        Self::appender(self).await
    }

    async fn load_streams(&self, streams: &[Arc<str>], fold_version: i16) -> Result<Vec<LoadedStream>, StoreError> {
        Self::load_streams(self, streams, fold_version).await
    }

    async fn load_after(&self, streams: &[(Arc<str>, i32)]) -> Result<Vec<LoadedStream>, StoreError> {
        Self::load_after(self, streams).await
    }

    async fn save_snapshot(&self, stream: &str, fold_version: i16, snapshot: &Snapshot) -> Result<(), StoreError> {
        Self::save_snapshot(self, stream, fold_version, snapshot).await
    }

    async fn read_after(&self, after: i64, limit: usize, filter: &Filter) -> Result<Vec<RecordedEvent>, StoreError> {
        Self::read_after(self, after, limit, filter).await
    }
}
