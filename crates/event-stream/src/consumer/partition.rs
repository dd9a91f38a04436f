//! Taking in one partition: without duplicates, without gaps, effect and checkpoint in one transaction.

use std::mem;

use daybook_event_store::{Daybook, Filter, RecordedEvent};

use super::{
    Consumer, ConsumerError, Effect, EffectError,
    checkpoints::{self, Checkpoint},
    group::{Queue, Received},
    parked::{self, Poisoned},
};
use crate::{Topology, backoff::Backoff};

/// The most messages that are taken in at once, and the most events of the book that are read at once to fill a gap. So a
/// transaction takes less than twice as many, however much is missing.
const BATCH: usize = 1_000;

/// A partition that this process has.
pub(super) struct PartitionRun<'c, E> {
    pub(super) consumer: &'c Consumer<E>,
    pub(super) book: &'c Daybook,
    pub(super) topology: &'c Topology,
    pub(super) queue: Queue,
    pub(super) checkpoint: Checkpoint,
}

impl<E: Effect> PartitionRun<'_, E> {
    /// Takes messages in for as long as the partition is this process's. Ends only with an error that waiting does not mend.
    pub(super) async fn run(mut self) -> ConsumerError {
        if self.queue.began_empty
            && let Err(error) = self.take_in(&[]).await
        {
            return error;
        }
        loop {
            let taken = match self.queue.receive(BATCH).await {
                Ok(received) => self.take_in(&received).await,
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                return error;
            }
        }
    }

    /// Takes messages in, or without any what the broker has forgotten, whatever fails on the way. After a failure it is asked anew how far the partition is; what was taken
    /// in after all is a duplicate then.
    async fn take_in(&mut self, received: &[Received]) -> Result<(), ConsumerError> {
        let mut backoff = Backoff::new();
        loop {
            let attempted = match received {
                [] => self.fill_forgotten().await,
                received => self.attempt(received).await,
            };
            match attempted {
                Ok(()) => return Ok(()),
                Err(error @ ConsumerError::Effect(EffectError::Retired)) => return Err(error),
                Err(error) => {
                    let (topic, partition) = (&self.queue.partition.topic, self.queue.partition.nr);
                    tracing::warn!(consumer = self.consumer.name, topic, partition, %error, "a batch is tried again");
                }
            }
            self.take_again(&mut backoff).await?;
        }
    }

    /// Asks how far the partition is, until there is an answer. A consumer that was removed has none: then its group is joined
    /// anew, if it is wanted.
    async fn take_again(&mut self, backoff: &mut Backoff) -> Result<(), ConsumerError> {
        loop {
            backoff.wait().await;
            let own = std::slice::from_ref(&self.queue.partition);
            match checkpoints::take(self.book, &self.consumer.name, own).await {
                Ok(taken) => {
                    self.checkpoint = taken[0];
                    return Ok(());
                }
                Err(ConsumerError::Fenced) => return Err(ConsumerError::Fenced),
                Err(error) => {
                    tracing::warn!(consumer = self.consumer.name, %error, "the checkpoint is out of reach");
                }
            }
        }
    }

    async fn attempt(&mut self, received: &[Received]) -> Result<(), ConsumerError> {
        let mut events = Vec::with_capacity(received.len());
        let (mut offset, mut position) = (self.checkpoint.offset, self.checkpoint.position);
        for message in received {
            let delivery = match &message.delivery {
                Ok(delivery) => delivery,
                Err(error) => {
                    // Not the relay's. Were it an event that was spoiled, the next message shows the gap, and the book fills it.
                    tracing::error!(topic = self.queue.partition.topic, message.offset, %error, "a foreign message");
                    self.count("daybook_consumer_foreign_total", 1);
                    offset = message.offset;
                    continue;
                }
            };
            if delivery.event.position <= position {
                // The one at the checkpoint itself is read on purpose.
                self.count("daybook_consumer_duplicates_total", u64::from(message.offset != self.checkpoint.offset));
                offset = message.offset;
                continue;
            }
            if delivery.prev_sequence > position {
                self.commit(mem::take(&mut events), (offset, position)).await?;
                self.fill(delivery.prev_sequence).await?;
            }
            (offset, position) = (message.offset, delivery.event.position);
            events.push(delivery.event.clone());
        }
        self.commit(events, (offset, position)).await?;
        self.queue.report(offset);
        Ok(())
    }

    /// Takes in what was published to a log that has no message any more. None will come that shows this gap, until something
    /// happens in one of the partition's streams.
    async fn fill_forgotten(&mut self) -> Result<(), ConsumerError> {
        let client = self.book.pool().get().await?;
        let sql = "SELECT last_position FROM relay_partitions WHERE topic = $1 AND partition = $2";
        let row = client.query_opt(sql, &[&self.queue.partition.topic, &self.queue.partition.nr]).await?;
        drop(client);
        let published = row.map_or(Ok(0), |row| row.try_get(0))?;
        if published > self.checkpoint.position { self.fill(published).await } else { Ok(()) }
    }

    /// Takes in the events of this partition up to a position from the book.
    async fn fill(&mut self, up_to: i64) -> Result<(), ConsumerError> {
        self.count("daybook_consumer_gaps_total", 1);
        let (after, mut filled) = (self.checkpoint.position, 0);
        let (mut read, mut own) = (after, Vec::new());
        while read < up_to {
            let page = self.book.read_after(read, BATCH, &Filter::default()).await?;
            // Positions have no holes, so an empty answer has reached the end of the book.
            read = page.last().map_or(up_to, |last| last.position.min(up_to));
            let (topic, partition) = (&self.queue.partition.topic, self.queue.partition.nr);
            own.extend(
                page.into_iter()
                    .filter(|event| event.position <= up_to && self.topology.is_in(event, topic, partition)),
            );
            // A page may hold little of this partition; a transaction for each would be a waste.
            if own.len() >= BATCH || read == up_to {
                filled += own.len();
                self.commit(mem::take(&mut own), (self.checkpoint.offset, read)).await?;
            }
        }
        let (topic, partition) = (&self.queue.partition.topic, self.queue.partition.nr);
        tracing::info!(
            consumer = self.consumer.name,
            topic,
            partition,
            after,
            up_to,
            filled,
            "a gap was filled from the book"
        );
        Ok(())
    }

    /// Commits events with the checkpoint after them. A poisoned one is set aside with the rest of its stream, and the others
    /// are tried again.
    async fn commit(&mut self, events: Vec<RecordedEvent>, reached: (i64, i64)) -> Result<(), ConsumerError> {
        if reached == (self.checkpoint.offset, self.checkpoint.position) {
            return Ok(());
        }
        let mut poisoned = Poisoned::default();
        loop {
            match self.transact(&events, &poisoned, reached).await {
                Ok(checkpoint) => {
                    self.checkpoint = checkpoint;
                    self.count("daybook_consumer_events_total", events.len() as u64);
                    return Ok(());
                }
                Err(error) => poisoned.note(&self.consumer.name, &events, error)?,
            }
        }
    }

    /// Effect, parked events and checkpoint: one transaction.
    ///
    /// The checkpoint comes last, so that its lock is the last one taken: a rebuild that swaps a view takes the view's lock
    /// first and the checkpoints after it, too.
    async fn transact(
        &self,
        events: &[RecordedEvent],
        poisoned: &Poisoned,
        reached: (i64, i64),
    ) -> Result<Checkpoint, ConsumerError> {
        let name = &self.consumer.name;
        let mut client = self.book.pool().get().await?;
        let transaction = client.transaction().await?;
        parked::attempt(&transaction, name, &self.consumer.effect, events, poisoned).await?;
        let checkpoint =
            checkpoints::advance(&transaction, name, &self.queue.partition, self.checkpoint, reached).await?;
        transaction.commit().await?;
        Ok(checkpoint)
    }

    fn count(&self, what: &'static str, by: u64) {
        metrics::counter!(what, "consumer" => self.consumer.name.clone()).increment(by);
    }
}
