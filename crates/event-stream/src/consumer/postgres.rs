//! The environment of a consumer as it really is: PostgreSQL, and the time of tokio.

use std::{collections::HashMap, time::Duration};

use daybook_event_store::{Daybook, Head, RecordedEvent};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    ConsumerError, Effect, Start, checkpoints,
    contract::{AssignedPartition, Checkpoint, CheckpointMove, ConsumerEnvironment, Partition, Published, stay_within},
    parked::{self, Poisoned},
    waiting,
};
use crate::{SharedEvent, Topology, backoff::jittered, bounds::PAGE_BYTES};

/// A consumer, and the database that its effect, its checkpoints and the book are in.
pub(super) struct PostgresEnvironment<'c, E> {
    name: &'c str,
    topics: &'c [String],
    effect: &'c E,
    book: &'c Daybook,
    topology: &'c Topology,
    begun: Instant,
}

impl<'c, E> PostgresEnvironment<'c, E> {
    pub(super) fn new(
        name: &'c str,
        topics: &'c [String],
        effect: &'c E,
        book: &'c Daybook,
        topology: &'c Topology,
    ) -> Self {
        Self { name, topics, effect, book, topology, begun: Instant::now() }
    }
}

impl<E: Effect> ConsumerEnvironment for PostgresEnvironment<'_, E> {
    async fn begin(&self, partitions: &[Partition], start: Start) -> Result<Vec<Checkpoint>, ConsumerError> {
        checkpoints::begin(self.book, self.name, self.topics, self.topology.partitions, start).await?;
        self.take(partitions).await
    }

    async fn take(&self, partitions: &[Partition]) -> Result<Vec<Checkpoint>, ConsumerError> {
        checkpoints::take(self.book, self.name, partitions).await
    }

    async fn adopt(&self, partitions: &[AssignedPartition]) -> Result<Vec<AssignedPartition>, ConsumerError> {
        checkpoints::adopt(self.book, self.name, partitions).await
    }

    async fn head(&self) -> Result<Head, ConsumerError> {
        Ok(self.book.head().await?)
    }

    async fn published(&self) -> Result<HashMap<Partition, Published>, ConsumerError> {
        checkpoints::published(self.book).await
    }

    async fn behind(&self) -> Result<Vec<AssignedPartition>, ConsumerError> {
        checkpoints::behind(self.book, self.name).await
    }

    async fn read_after(&self, after: i64, limit: usize) -> Result<Vec<RecordedEvent>, ConsumerError> {
        Ok(self.book.read_page(after, limit, PAGE_BYTES).await?.events)
    }

    /// The checkpoints come last, so that their locks are the last ones taken: a rebuild that swaps a view takes the view's lock
    /// first and the checkpoints after it, too.
    async fn transact(
        &self,
        history: Uuid,
        events: &[SharedEvent],
        poisoned: &Poisoned,
        moves: &[CheckpointMove<'_>],
    ) -> Result<Vec<Checkpoint>, ConsumerError> {
        let mut client = self.book.pool().get().await?;
        let transaction = client.transaction().await?;
        let processing = parked::begin(&transaction, self.name).await?;
        stay_within(&processing.head, history, moves)?;
        processing.apply(self.effect, events, poisoned).await?;
        let checkpoints = checkpoints::advance(&transaction, self.name, moves).await?;
        transaction.commit().await?;
        self.effect.committed();
        Ok(checkpoints)
    }

    async fn blame(
        &self,
        events: &[SharedEvent],
        poisoned: &Poisoned,
        failure: ConsumerError,
    ) -> Result<ConsumerError, ConsumerError> {
        if !parked::is_blameable(&failure) {
            return Ok(failure);
        }
        let mut client = self.book.pool().get().await?;
        let mut trial = client.transaction().await?;
        let error = parked::blame(&mut trial, self.name, self.effect, events, poisoned, failure).await;
        trial.rollback().await?;
        Ok(error)
    }

    async fn take_up_waiting(&self) -> Result<usize, ConsumerError> {
        waiting::take_up(self.book, self.name, self.effect).await
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn back_off(&self, time: Duration) {
        tokio::time::sleep(jittered(time)).await;
    }
}
