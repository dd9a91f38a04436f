//! The environment of a consumer in memory: a database whose faults a seed decides, and virtual time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daybook_bus::Runtime;
use daybook_event_store::{Head, RecordedEvent};
use daybook_event_stream::{
    SharedEvent, Start, Topology,
    consumer::{
        ConsumerError,
        contract::{AssignedPartition, Checkpoint, CheckpointMove, ConsumerEnvironment, Partition, Published},
        parked::Poisoned,
    },
};
use uuid::Uuid;

use super::{
    super::{scheduler::Process, server::Server},
    tables::{OwnedStep, Tables},
};
use crate::nemesis::random::Random;

/// The interval at which a transaction retries to take a lock.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The environment of one consumer.
pub(super) struct Environment {
    /// The name of the consumer.
    pub(super) consumer: &'static str,
    /// Every partition of its topics.
    pub(super) partitions: Vec<Partition>,
    /// The database.
    pub(super) server: Server<Tables>,
    /// The topics.
    pub(super) topology: Arc<Topology>,
    /// Random numbers, for delays.
    pub(super) random: Mutex<Random>,
    /// The longest time of its transactions in microseconds, beside the network.
    pub(super) slow: u64,
    /// What it adopts, and what makes others adopt its partitions.
    pub(super) adopter: super::adopters::Adopter,
}

impl Environment {
    fn process(&self) -> &Process {
        self.server.process()
    }

    fn random(&self, high: u64) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).between(0, high.max(1))
    }
}

impl ConsumerEnvironment for Environment {
    async fn begin(&self, partitions: &[Partition], start: Start) -> Result<Vec<Checkpoint>, ConsumerError> {
        self.assigned(partitions);
        let (consumer, all, partitions) = (self.consumer, self.partitions.clone(), partitions.to_vec());
        let begin = move |tables: &mut Tables, _| tables.begin(consumer, &all, &partitions, start);
        Ok(self.server.ask("begin", begin).await?)
    }

    async fn take(&self, partitions: &[Partition]) -> Result<Vec<Checkpoint>, ConsumerError> {
        self.takes_again(partitions);
        let (consumer, partitions) = (self.consumer, partitions.to_vec());
        Ok(self.server.ask("take partitions over", move |tables, _| tables.take(consumer, &partitions)).await?)
    }

    async fn head(&self) -> Result<Head, ConsumerError> {
        Ok(self.server.ask("read the head", |tables, _| tables.read_head()).await?)
    }

    async fn published(&self) -> Result<HashMap<Partition, Published>, ConsumerError> {
        Ok(self.server.ask("read the published positions", |tables, _| tables.published.clone()).await?)
    }

    async fn behind(&self) -> Result<Vec<AssignedPartition>, ConsumerError> {
        let consumer = self.consumer;
        Ok(self.server.ask("read the partitions behind", move |tables, _| tables.behind(consumer)).await?)
    }

    async fn read_after(&self, after: i64, limit: usize) -> Result<Vec<RecordedEvent>, ConsumerError> {
        self.linger().await;
        let after = usize::try_from(after).unwrap_or(0);
        let read = move |tables: &mut Tables, _| tables.book.iter().skip(after).take(limit).cloned().collect();
        Ok(self.server.ask("read the book", read).await?)
    }

    async fn transact(
        &self,
        history: Uuid,
        events: &[SharedEvent],
        poisoned: &Poisoned,
        steps: &[CheckpointMove<'_>],
    ) -> Result<Vec<Checkpoint>, ConsumerError> {
        self.hang().await;
        let (consumer, topology) = (self.consumer, Arc::clone(&self.topology));
        let (events, poisoned) = (events.to_vec(), poisoned.clone());
        let own = |(partition, from, to): &CheckpointMove<'_>| ((*partition).clone(), *from, *to);
        let steps: Vec<OwnedStep> = steps.iter().map(own).collect();
        let positions: Vec<_> = events.iter().map(|event| event.position).collect();
        self.process().log(|| format!("{consumer} processes {positions:?} to {steps:?}"));
        while self.server.tables().locked == Some(consumer) {
            self.process().sleep(LOCK_RETRY).await;
        }
        if self.slow > 0 {
            self.process().sleep(Duration::from_micros(self.random(self.slow))).await;
        }
        let transact = move |tables: &mut Tables, _| {
            tables.check_bounds(history, &steps)?;
            tables.transact(consumer, &topology, &events, &poisoned, &steps)
        };
        self.server.ask("process", transact).await?
    }

    async fn adopt(&self, partitions: &[AssignedPartition]) -> Result<Vec<AssignedPartition>, ConsumerError> {
        self.adopt_unmoved(partitions).await
    }

    async fn blame(
        &self,
        _: &[SharedEvent],
        _: &Poisoned,
        failure: ConsumerError,
    ) -> Result<ConsumerError, ConsumerError> {
        Ok(failure)
    }

    fn now(&self) -> Duration {
        (self.process().now() - chrono::DateTime::UNIX_EPOCH).to_std().unwrap_or_default()
    }

    async fn sleep(&self, time: Duration) {
        self.process().sleep(time).await;
    }

    async fn back_off(&self, time: Duration) {
        let half = u64::try_from(time.as_micros() / 2).unwrap_or(0);
        self.process().sleep(Duration::from_micros(half + self.random(half))).await;
    }
}
