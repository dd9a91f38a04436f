//! Processing the partitions that a consumer has in this process: without duplicates, without gaps, effect and checkpoints in one
//! transaction.
//!
//! What has come in all of them goes into one transaction, and the next transaction waits a moment for company. So the number of
//! transactions follows from time, and not from partitions times events, and a slow trickle does not cost more than a stream.

use std::{pin::pin, time::Duration};

use daybook_event_store::RecordedEvent;
use futures::future::{Either, select};
use uuid::Uuid;

use super::{
    ConsumerError, EffectError,
    contract::{AssignedPartition, Checkpoint, ConsumerEnvironment, Partition, ReceivedMessage},
    feed::Inbox,
    orphans::LOOK_EVERY,
    parked::Poisoned,
    stall::StallWatch,
};
use crate::{SharedEvent, Topology, backoff::Backoff, bounds::PAGE_BYTES, envelope::EnvelopeError};

/// How large a batch is: a transaction takes less than twice as many events, however much is missing.
pub(super) const BATCH: usize = 1_000;
/// How long after the beginning of a transaction the next one begins at the soonest, unless it is full.
const PACE: Duration = Duration::from_millis(20);

/// What processes the partitions of one consumer.
pub(super) struct PartitionWorker<'c, S> {
    /// The name of the consumer.
    pub(super) name: &'c str,
    /// Which partition an event is in.
    pub(super) topology: &'c Topology,
    /// What the consumer keeps, reads and waits for.
    pub(super) environment: &'c S,
    /// The history of the book. Messages of another one are not processed.
    pub(super) history: Uuid,
    /// The messages.
    pub(super) inbox: Inbox,
    /// The partition of each queue of the inbox; at least one.
    pub(super) partitions: Vec<AssignedPartition>,
    /// The most messages that are processed at once, and the most events of the book that are read at once to fill gaps.
    pub(super) batch: usize,
}

/// What messages are believed to say of the book as long as nothing has failed: the transaction that processes them checks whether it
/// goes so far. So it need not be asked before.
const ANYTHING: i64 = i64::MAX;

/// What goes into one transaction: events, and where each partition is after them, as offset and position.
struct Batch {
    events: Vec<SharedEvent>,
    reached: Vec<(i64, i64)>,
}

/// How far messages are believed.
#[derive(Clone, Copy)]
struct Ends {
    /// Genuine ones up to this position.
    claims: i64,
    /// For the others, the book is read up to this position.
    book: i64,
}

/// A partition in which events are missing, up to a position.
struct Gap {
    queue: usize,
    up_to: i64,
}

impl<S: ConsumerEnvironment> PartitionWorker<'_, S> {
    /// Processes messages for as long as the partitions are this process's. Ends only with an error that waiting does not mend.
    pub(super) async fn run(mut self) -> ConsumerError {
        let mut watch = StallWatch::new(self.environment.now());
        loop {
            let begun = self.environment.now();
            match self.turn(&mut watch).await {
                Ok(taken) if taken >= self.batch => {}
                Ok(_) => {
                    watch.emptied();
                    self.environment.sleep((begun + PACE).saturating_sub(self.environment.now())).await;
                }
                Err(error) => return error,
            }
        }
    }

    /// Processes what was published to adopted partitions, from the book, and returns how far they are then. It ends at the first failure
    /// and takes no partition again, because they are not assigned to this process.
    pub(super) async fn fill_from_book(mut self) -> Result<Vec<AssignedPartition>, ConsumerError> {
        let all: Vec<(usize, i64)> = (0..self.partitions.len()).map(|queue| (queue, 0)).collect();
        self.fill_missed(&all, ANYTHING).await?;
        Ok(self.partitions)
    }

    /// Processes what has come; returns how many messages that were.
    async fn turn(&mut self, watch: &mut StallWatch) -> Result<usize, ConsumerError> {
        watch.look(self.environment, &self.partitions).await?;
        let missed = self.inbox.take_missed();
        if !missed.is_empty() {
            self.catch_up(&missed).await?;
        }
        let received = self.receive(watch.due).await;
        self.process(&received).await?;
        Ok(received.iter().map(Vec::len).sum())
    }

    /// At least one message, and as many more as are there, by queue; none when none comes in time.
    async fn receive(&self, until: Duration) -> Vec<Vec<ReceivedMessage>> {
        let time = self.environment.sleep(until.saturating_sub(self.environment.now()));
        match select(pin!(self.inbox.filled()), pin!(time)).await {
            Either::Left(_) => self.inbox.take(self.batch),
            Either::Right(_) => self.partitions.iter().map(|_| Vec::new()).collect(),
        }
    }

    /// Fills what was published to partitions and has not come. No message may follow that shows such a gap.
    async fn catch_up(&mut self, missed: &[(usize, i64)]) -> Result<(), ConsumerError> {
        let (mut backoff, mut end) = (Backoff::new(), ANYTHING);
        while let Err(error) = self.fill_missed(missed, end).await {
            end = self.take_again(&mut backoff, error).await?;
        }
        Ok(())
    }

    async fn fill_missed(&mut self, missed: &[(usize, i64)], end: i64) -> Result<(), ConsumerError> {
        let published = self.environment.published().await?;
        let gap = |&(queue, received): &(usize, i64)| {
            let AssignedPartition { partition, checkpoint } = &self.partitions[queue];
            let last = published.get(partition).map_or(0, |published| published.last);
            // The relay may not have noted yet what was received.
            let up_to = last.max(received).min(end);
            (up_to > checkpoint.position).then_some(Gap { queue, up_to })
        };
        let gaps: Vec<Gap> = missed.iter().filter_map(gap).collect();
        if gaps.is_empty() { Ok(()) } else { self.fill(&gaps).await }
    }

    /// Processes messages, whatever fails on the way.
    async fn process(&mut self, received: &[Vec<ReceivedMessage>]) -> Result<(), ConsumerError> {
        let (mut backoff, mut end) = (Backoff::new(), ANYTHING);
        while let Err(error) = self.attempt(received, end).await {
            end = self.take_again(&mut backoff, error).await?;
        }
        Ok(())
    }

    /// After a failure, takes the assigned partitions again and reads how far they are, until there is an answer. What was processed after
    /// all is a duplicate then. A consumer that was removed gets no answer, and ends.
    ///
    /// Returns how far the book goes. A message that was received before and claims to come from beyond it is not the relay's.
    async fn take_again(&mut self, backoff: &mut Backoff, failure: ConsumerError) -> Result<i64, ConsumerError> {
        if matches!(failure, ConsumerError::Effect(EffectError::Retired)) {
            return Err(failure);
        }
        tracing::warn!(consumer = self.name, error = %failure, "a batch is tried again");
        let own: Vec<Partition> = self.partitions.iter().map(|assigned| assigned.partition.clone()).collect();
        loop {
            self.environment.back_off(backoff.time()).await;
            // The database that has failed may have been replaced by one that holds another history of the book.
            let again = async { Ok((self.environment.take(&own).await?, self.environment.head().await?)) };
            match again.await {
                Ok((taken, head)) => {
                    self.history = head.epoch;
                    for (assigned, checkpoint) in self.partitions.iter_mut().zip(taken) {
                        assigned.checkpoint = checkpoint;
                    }
                    return Ok(head.position);
                }
                Err(ConsumerError::Fenced) => return Err(ConsumerError::Fenced),
                Err(error) => {
                    tracing::warn!(consumer = self.name, %error, "the checkpoints are out of reach");
                }
            }
        }
    }

    /// Processes what messages say of the book up to an `end`.
    async fn attempt(&mut self, received: &[Vec<ReceivedMessage>], end: i64) -> Result<(), ConsumerError> {
        let mut taken = vec![0; received.len()];
        let ends = Ends { claims: end, book: self.end_for_claims(received).await?.min(end) };
        loop {
            let (batch, gaps) = self.read(received, ends, &mut taken);
            self.commit(batch).await?;
            if gaps.is_empty() {
                break;
            }
            self.fill(&gaps).await?;
        }
        for (queue, messages) in received.iter().enumerate() {
            if !messages.is_empty() {
                self.inbox.report(queue, self.partitions[queue].checkpoint.offset);
            }
        }
        Ok(())
    }

    /// The end of the book, if a message without a signature claims an event after a checkpoint. Otherwise it is not needed.
    async fn end_for_claims(&self, received: &[Vec<ReceivedMessage>]) -> Result<i64, ConsumerError> {
        let claims = |(queue, messages): (usize, &Vec<ReceivedMessage>)| {
            let position = self.partitions[queue].checkpoint.position;
            messages.iter().any(|message| {
                matches!(message.content, Err(EnvelopeError::NotSigned { claimed: Some(claimed) }) if claimed > position)
            })
        };
        if received.iter().enumerate().any(claims) { Ok(self.environment.head().await?.position) } else { Ok(0) }
    }

    /// Reads messages, from those of each queue on that were not `taken` yet, up to its first gap.
    fn read(&self, received: &[Vec<ReceivedMessage>], end: Ends, taken: &mut [usize]) -> (Batch, Vec<Gap>) {
        let mut batch = self.nothing();
        let mut gaps = Vec::new();
        for (queue, messages) in received.iter().enumerate() {
            for message in &messages[taken[queue]..] {
                if let Some(up_to) = self.read_one(queue, message, end, &mut batch) {
                    gaps.push(Gap { queue, up_to });
                    break;
                }
                taken[queue] += 1;
            }
        }
        (batch, gaps)
    }

    /// Adds a message to a batch, unless it is a duplicate. Where events before it are missing, it is not added, and the
    /// position up to which they are missing is returned.
    fn read_one(&self, queue: usize, message: &ReceivedMessage, end: Ends, batch: &mut Batch) -> Option<i64> {
        let Ends { claims: end, book } = end;
        let AssignedPartition { partition: Partition { topic, .. }, checkpoint } = &self.partitions[queue];
        let (offset, position) = &mut batch.reached[queue];
        match &message.content {
            Err(EnvelopeError::SetAside { position: missing, history, .. }) if *history == self.history => {
                if *missing > *position && *missing <= end {
                    // The book has the event.
                    return Some(*missing);
                }
            }
            Err(EnvelopeError::NotSigned { claimed }) => {
                // It proves nothing. A relay of an earlier program does not sign, so the book is asked for what the message claims.
                let up_to = claimed.unwrap_or(0).min(book);
                if up_to > *position {
                    return Some(up_to);
                }
                self.count("daybook_consumer_foreign_total", 1);
            }
            Err(error) => {
                // Not the relay's. Were it an event that was spoiled, the next message shows the gap, and the book fills it.
                tracing::error!(topic, message.offset, %error, "a foreign message");
                self.count("daybook_consumer_foreign_total", 1);
            }
            Ok(received) if received.history != self.history => {
                // Left behind when the book was restored. The relay removes it, and publishes what is to stand in its place.
                tracing::debug!(topic, message.offset, "a message of another history");
                self.count("daybook_consumer_foreign_total", 1);
            }
            Ok(received) if received.event.position > end => {
                let claimed = received.event.position;
                tracing::error!(topic, message.offset, claimed, "a message from beyond the book");
                self.count("daybook_consumer_foreign_total", 1);
            }
            Ok(received) if received.event.position <= *position => {
                // The one at the checkpoint itself is read on purpose.
                self.count("daybook_consumer_duplicates_total", u64::from(message.offset != checkpoint.offset));
            }
            Ok(received) if received.prev_sequence > *position => return Some(received.prev_sequence),
            Ok(received) => {
                *position = received.event.position;
                batch.events.push(received.event.clone());
            }
        }
        *offset = message.offset;
        None
    }

    /// Processes what is missing from the book: one pass over it for all gaps.
    async fn fill(&mut self, gaps: &[Gap]) -> Result<(), ConsumerError> {
        self.count("daybook_consumer_gaps_total", gaps.len() as u64);
        let (mut after, mut up_to) = (i64::MAX, 0);
        for gap in gaps {
            after = after.min(self.partitions[gap.queue].checkpoint.position);
            up_to = up_to.max(gap.up_to);
        }
        let (begin, mut filled) = (after, 0);
        let (mut batch, mut bytes, mut committed) = (self.nothing(), 0, self.environment.now());
        while after < up_to {
            let page = self.environment.read_after(after, self.batch).await?;
            // Positions have no holes, so an empty answer has reached the end of the book.
            after = page.last().map_or(up_to, |last| last.position.min(up_to));
            let missing = page.into_iter().filter(|event| gaps.iter().any(|gap| self.lacks(gap, event)));
            for event in missing {
                bytes += event.data.len();
                batch.events.push(event.into());
            }
            // A page may hold little that is missing; a transaction for each would be a waste. But other processes adopt a partition whose
            // checkpoint does not move.
            let is_due = self.environment.now() >= committed + LOOK_EVERY;
            if batch.events.len() < self.batch && bytes < PAGE_BYTES && !is_due && after < up_to {
                continue;
            }
            for gap in gaps {
                let (_, position) = &mut batch.reached[gap.queue];
                *position = after.min(gap.up_to).max(*position);
            }
            filled += batch.events.len();
            self.commit(batch).await?;
            (batch, bytes, committed) = (self.nothing(), 0, self.environment.now());
        }
        tracing::info!(consumer = self.name, after = begin, up_to, filled, "gaps were filled from the book");
        Ok(())
    }

    /// Whether an event of the book is one of those that a partition lacks.
    fn lacks(&self, gap: &Gap, event: &RecordedEvent) -> bool {
        let AssignedPartition { partition: Partition { topic, nr }, checkpoint } = &self.partitions[gap.queue];
        event.position > checkpoint.position && event.position <= gap.up_to && self.topology.is_in(event, topic, *nr)
    }

    /// A batch with nothing in it: every partition stays where it is.
    fn nothing(&self) -> Batch {
        let reached =
            self.partitions.iter().map(|AssignedPartition { checkpoint, .. }| (checkpoint.offset, checkpoint.position));
        Batch { events: Vec::new(), reached: reached.collect() }
    }

    /// Commits a batch with the checkpoints after it. A poisoned event is parked with the rest of its stream, and the others
    /// are tried again.
    async fn commit(&mut self, mut batch: Batch) -> Result<(), ConsumerError> {
        batch.events.sort_unstable_by_key(|event| event.position);
        let mut poisoned = Poisoned::default();
        loop {
            match self.transact(&batch, &poisoned).await {
                Ok(moved) => {
                    for (queue, checkpoint) in moved {
                        self.partitions[queue].checkpoint = checkpoint;
                    }
                    self.count("daybook_consumer_events_total", batch.events.len() as u64);
                    return Ok(());
                }
                Err(error) => {
                    let error = self.environment.blame(&batch.events, &poisoned, error).await?;
                    poisoned.note(self.name, &batch.events, error)?;
                }
            }
        }
    }

    /// Effect, parked events and checkpoints: one transaction. Returns the checkpoints that have moved.
    async fn transact(&self, batch: &Batch, poisoned: &Poisoned) -> Result<Vec<(usize, Checkpoint)>, ConsumerError> {
        let moves = self.partitions.iter().zip(&batch.reached).enumerate();
        let moves = moves.filter(|(_, (assigned, reached))| !assigned.checkpoint.is_at(**reached));
        let (moved, moves): (Vec<usize>, Vec<_>) = moves
            .map(|(queue, (AssignedPartition { partition, checkpoint }, reached))| {
                (queue, (partition, *checkpoint, *reached))
            })
            .unzip();
        if moved.is_empty() {
            return Ok(Vec::new());
        }
        let checkpoints = self.environment.transact(self.history, &batch.events, poisoned, &moves).await?;
        Ok(moved.into_iter().zip(checkpoints).collect())
    }

    fn count(&self, what: &'static str, by: u64) {
        metrics::counter!(what, "consumer" => self.name.to_owned()).increment(by);
    }
}
