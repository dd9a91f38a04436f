//! The surroundings of a consumer as they really are: PostgreSQL, and the time of tokio.

use std::{collections::HashMap, time::Duration};

use daybook_event_store::{Daybook, Filter, Head, RecordedEvent};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Consumer, ConsumerError, Effect, checkpoints,
    contract::{Checkpoint, Partition, Published, Step, Surroundings, stay_within},
    parked::{self, Poisoned},
};
use crate::backoff::jittered;

/// A consumer, and the database that its view, its checkpoints and the book are in.
pub(super) struct Here<'c, E> {
    consumer: &'c Consumer<E>,
    book: &'c Daybook,
    begun: Instant,
}

impl<'c, E> Here<'c, E> {
    pub(super) fn new(consumer: &'c Consumer<E>, book: &'c Daybook) -> Self {
        Self { consumer, book, begun: Instant::now() }
    }
}

impl<E: Effect> Surroundings for Here<'_, E> {
    async fn take(&self, partitions: &[Partition]) -> Result<Vec<Checkpoint>, ConsumerError> {
        checkpoints::take(self.book, &self.consumer.name, partitions).await
    }

    async fn head(&self) -> Result<Head, ConsumerError> {
        Ok(self.book.head().await?)
    }

    async fn published(&self) -> Result<HashMap<Partition, Published>, ConsumerError> {
        checkpoints::published(self.book).await
    }

    async fn read_after(&self, after: i64, limit: usize) -> Result<Vec<RecordedEvent>, ConsumerError> {
        Ok(self.book.read_after(after, limit, &Filter::default()).await?)
    }

    /// The checkpoints come last, so that their locks are the last ones taken: a rebuild that swaps a view takes the view's lock
    /// first and the checkpoints after it, too.
    async fn transact(
        &self,
        history: Uuid,
        events: &[RecordedEvent],
        poisoned: &Poisoned,
        steps: &[Step<'_>],
    ) -> Result<Vec<Checkpoint>, ConsumerError> {
        let Consumer { name, effect, .. } = self.consumer;
        let mut client = self.book.pool().get().await?;
        let transaction = client.transaction().await?;
        let begun = parked::begin(&transaction, name).await?;
        stay_within(&begun.head, history, steps)?;
        begun.go_on(effect, events, poisoned).await?;
        let checkpoints = checkpoints::advance(&transaction, name, steps).await?;
        transaction.commit().await?;
        Ok(checkpoints)
    }

    async fn blame(
        &self,
        events: &[RecordedEvent],
        poisoned: &Poisoned,
        failure: ConsumerError,
    ) -> Result<ConsumerError, ConsumerError> {
        if !parked::is_data_error(&failure) {
            return Ok(failure);
        }
        let Consumer { name, effect, .. } = self.consumer;
        let mut client = self.book.pool().get().await?;
        let mut trial = client.transaction().await?;
        let error = parked::blame(&mut trial, name, effect, events, poisoned, failure).await;
        trial.rollback().await?;
        Ok(error)
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
