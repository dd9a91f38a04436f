//! Taking in the partitions that this process has: without duplicates, without gaps, effect and checkpoints in one transaction.
//!
//! What has come in all of them goes into one transaction, and the next one waits a moment for company. So the number of
//! transactions follows from time, and not from partitions times events, and a slow trickle does not cost more than a stream.

use std::{pin::pin, time::Duration};

use daybook_event_store::RecordedEvent;
use futures::future::{Either, select, select_all};
use uuid::Uuid;

use super::{
    ConsumerError, EffectError,
    contract::{Checkpoint, Messages, Partition, Received, Surroundings},
    parked::Poisoned,
    stall::StallWatch,
};
use crate::{Topology, backoff::Backoff};

/// How large a batch is: a transaction takes less than twice as many events, however much is missing.
pub(super) const BATCH: usize = 1_000;
/// How long after the beginning of a transaction the next one begins at the soonest, unless it is full.
const PACE: Duration = Duration::from_millis(20);

/// A partition, and how far it was taken in.
pub struct Part<M> {
    /// Its messages.
    pub queue: M,
    /// How far it was taken in.
    pub checkpoint: Checkpoint,
}

/// The partitions that this process has.
pub struct Share<'c, S, M> {
    /// The name of the consumer.
    pub name: &'c str,
    /// Where an event goes.
    pub topology: &'c Topology,
    /// What it keeps, reads and waits for.
    pub around: &'c S,
    /// The history of the book: what is of another one is not taken in.
    pub history: Uuid,
    /// The partitions; at least one.
    pub parts: Vec<Part<M>>,
    /// The most messages that are taken in at once, and the most events of the book that are read at once to fill gaps.
    pub batch: usize,
}

/// What messages are believed to say of the book, as long as nothing has failed: the transaction that takes them in looks whether it
/// goes so far. So it need not be asked before.
const ANYTHING: i64 = i64::MAX;

/// What goes into one transaction: events, and where each partition is after them, as offset and position.
struct Batch {
    events: Vec<RecordedEvent>,
    reached: Vec<(i64, i64)>,
}

/// A part whose next message shows that events before it are missing, up to a position.
struct Gap {
    part: usize,
    up_to: i64,
}

impl<S: Surroundings, M: Messages> Share<'_, S, M> {
    /// Takes messages in for as long as the partitions are this process's. Ends only with an error that waiting does not mend.
    pub async fn run(mut self) -> ConsumerError {
        if let Err(error) = self.begin().await {
            return error;
        }
        let mut watch = StallWatch::new(self.around.now());
        loop {
            let begun = self.around.now();
            match self.turn(&mut watch).await {
                Ok(taken) if taken >= self.batch => {}
                Ok(_) => {
                    watch.emptied();
                    self.around.sleep((begun + PACE).saturating_sub(self.around.now())).await;
                }
                Err(error) => return error,
            }
        }
    }

    /// Takes in what has come; returns how many messages that were.
    async fn turn(&mut self, watch: &mut StallWatch) -> Result<usize, ConsumerError> {
        watch.look(self.around, &self.parts).await?;
        let received = self.receive(watch.due).await?;
        self.take_in(&received).await?;
        Ok(received.iter().map(Vec::len).sum())
    }

    /// At least one message, and as many more as are there, by part; none when none comes in time.
    async fn receive(&self, until: Duration) -> Result<Vec<Vec<Received>>, ConsumerError> {
        let mut received: Vec<Vec<Received>> = self.parts.iter().map(|_| Vec::new()).collect();
        let first = select_all(self.parts.iter().map(|part| Box::pin(part.queue.next())));
        let time = pin!(self.around.sleep(until.saturating_sub(self.around.now())));
        let Either::Left(((message, first, _), _)) = select(first, time).await else { return Ok(received) };
        received[first].push(message?);
        let mut room = self.batch.saturating_sub(1);
        // The one that had something goes on last, so that none is passed over for long.
        for nr in (first + 1..self.parts.len()).chain(0..=first) {
            room -= self.parts[nr].queue.drain(room, &mut received[nr]).await?;
        }
        Ok(received)
    }

    /// Takes in what was published to logs that have no message after the checkpoint. None will come that shows such a gap, until
    /// something happens in one of the partition's streams.
    async fn begin(&mut self) -> Result<(), ConsumerError> {
        if self.parts.iter().any(|part| part.queue.began_at_end()) {
            let (mut backoff, mut end) = (Backoff::new(), ANYTHING);
            while let Err(error) = self.fill_forgotten(end).await {
                end = self.take_again(&mut backoff, error).await?;
            }
        }
        Ok(())
    }

    async fn fill_forgotten(&mut self, end: i64) -> Result<(), ConsumerError> {
        let published = self.around.published().await?;
        let gap = |(part, Part { queue, checkpoint }): (usize, &Part<M>)| {
            let up_to = published.get(queue.partition())?.last.min(end);
            (queue.began_at_end() && up_to > checkpoint.position).then_some(Gap { part, up_to })
        };
        let gaps: Vec<Gap> = self.parts.iter().enumerate().filter_map(gap).collect();
        if gaps.is_empty() { Ok(()) } else { self.fill(&gaps).await }
    }

    /// Takes messages in, whatever fails on the way.
    async fn take_in(&mut self, received: &[Vec<Received>]) -> Result<(), ConsumerError> {
        let (mut backoff, mut end) = (Backoff::new(), ANYTHING);
        while let Err(error) = self.attempt(received, end).await {
            end = self.take_again(&mut backoff, error).await?;
        }
        Ok(())
    }

    /// After a failure, asks anew how far the partitions are, until there is an answer; what was taken in after all is a duplicate
    /// then. A consumer that was removed has none: then its group is joined anew, if it is wanted.
    ///
    /// Returns how far the book goes. What was read before that and claims to come from beyond it is not of the relay.
    async fn take_again(&mut self, backoff: &mut Backoff, failure: ConsumerError) -> Result<i64, ConsumerError> {
        if matches!(failure, ConsumerError::Effect(EffectError::Retired)) {
            return Err(failure);
        }
        tracing::warn!(consumer = self.name, error = %failure, "a batch is tried again");
        let own: Vec<Partition> = self.parts.iter().map(|part| part.queue.partition().clone()).collect();
        loop {
            self.around.back_off(backoff.time()).await;
            // What has failed may be a database that another one has taken the place of, with a book of another history.
            let anew = async { Ok((self.around.take(&own).await?, self.around.head().await?)) };
            match anew.await {
                Ok((taken, head)) => {
                    self.history = head.epoch;
                    for (part, checkpoint) in self.parts.iter_mut().zip(taken) {
                        part.checkpoint = checkpoint;
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

    /// Takes in what messages say of the book up to an `end`.
    async fn attempt(&mut self, received: &[Vec<Received>], end: i64) -> Result<(), ConsumerError> {
        let mut taken = vec![0; received.len()];
        loop {
            let (batch, gaps) = self.read(received, end, &mut taken);
            self.commit(batch).await?;
            if gaps.is_empty() {
                break;
            }
            self.fill(&gaps).await?;
        }
        for (part, messages) in self.parts.iter().zip(received) {
            if !messages.is_empty() {
                part.queue.report(part.checkpoint.offset);
            }
        }
        Ok(())
    }

    /// Reads messages, from those of each part on that were not `taken` yet, up to its first gap.
    fn read(&self, received: &[Vec<Received>], end: i64, taken: &mut [usize]) -> (Batch, Vec<Gap>) {
        let mut batch = self.nothing();
        let mut gaps = Vec::new();
        for (part, messages) in received.iter().enumerate() {
            for message in &messages[taken[part]..] {
                if let Some(up_to) = self.read_one(part, message, end, &mut batch) {
                    gaps.push(Gap { part, up_to });
                    break;
                }
                taken[part] += 1;
            }
        }
        (batch, gaps)
    }

    /// Adds a message to a batch, unless it is a duplicate. Where events before it are missing, it is not added, and the
    /// position up to which they are missing is returned.
    fn read_one(&self, part: usize, message: &Received, end: i64, batch: &mut Batch) -> Option<i64> {
        let Part { queue, checkpoint } = &self.parts[part];
        let (offset, position) = &mut batch.reached[part];
        match &message.delivery {
            Err(error) => {
                // Not the relay's. Were it an event that was spoiled, the next message shows the gap, and the book fills it.
                tracing::error!(topic = queue.partition().topic, message.offset, %error, "a foreign message");
                self.count("daybook_consumer_foreign_total", 1);
            }
            Ok(delivery) if delivery.history != self.history => {
                // Left behind when the book was restored. The relay removes it, and publishes what is to stand in its place.
                tracing::debug!(topic = queue.partition().topic, message.offset, "a message of another history");
                self.count("daybook_consumer_foreign_total", 1);
            }
            Ok(delivery) if delivery.event.position > end => {
                let claimed = delivery.event.position;
                tracing::error!(
                    topic = queue.partition().topic,
                    message.offset,
                    claimed,
                    "a message from beyond the book"
                );
                self.count("daybook_consumer_foreign_total", 1);
            }
            Ok(delivery) if delivery.event.position <= *position => {
                // The one at the checkpoint itself is read on purpose.
                self.count("daybook_consumer_duplicates_total", u64::from(message.offset != checkpoint.offset));
            }
            Ok(delivery) if delivery.prev_sequence > *position => return Some(delivery.prev_sequence),
            Ok(delivery) => {
                *position = delivery.event.position;
                batch.events.push(delivery.event.clone());
            }
        }
        *offset = message.offset;
        None
    }

    /// Takes in what is missing from the book: one pass over it for all gaps.
    async fn fill(&mut self, gaps: &[Gap]) -> Result<(), ConsumerError> {
        self.count("daybook_consumer_gaps_total", gaps.len() as u64);
        let (mut after, mut up_to) = (i64::MAX, 0);
        for gap in gaps {
            after = after.min(self.parts[gap.part].checkpoint.position);
            up_to = up_to.max(gap.up_to);
        }
        let (begin, mut filled) = (after, 0);
        let mut batch = self.nothing();
        while after < up_to {
            let page = self.around.read_after(after, self.batch).await?;
            // Positions have no holes, so an empty answer has reached the end of the book.
            after = page.last().map_or(up_to, |last| last.position.min(up_to));
            batch.events.extend(page.into_iter().filter(|event| gaps.iter().any(|gap| self.lacks(gap, event))));
            // A page may hold little that is missing; a transaction for each would be a waste.
            if batch.events.len() < self.batch && after < up_to {
                continue;
            }
            for gap in gaps {
                let (_, position) = &mut batch.reached[gap.part];
                *position = after.min(gap.up_to).max(*position);
            }
            filled += batch.events.len();
            self.commit(batch).await?;
            batch = self.nothing();
        }
        tracing::info!(consumer = self.name, after = begin, up_to, filled, "gaps were filled from the book");
        Ok(())
    }

    /// Whether an event of the book is one of those that a part lacks.
    fn lacks(&self, gap: &Gap, event: &RecordedEvent) -> bool {
        let Part { queue, checkpoint } = &self.parts[gap.part];
        let Partition { topic, nr } = queue.partition();
        event.position > checkpoint.position && event.position <= gap.up_to && self.topology.is_in(event, topic, *nr)
    }

    /// A batch with nothing in it: every part stays where it is.
    fn nothing(&self) -> Batch {
        let reached = self.parts.iter().map(|part| (part.checkpoint.offset, part.checkpoint.position));
        Batch { events: Vec::new(), reached: reached.collect() }
    }

    /// Commits a batch with the checkpoints after it. A poisoned event is set aside with the rest of its stream, and the others
    /// are tried again.
    async fn commit(&mut self, mut batch: Batch) -> Result<(), ConsumerError> {
        batch.events.sort_unstable_by_key(|event| event.position);
        let mut poisoned = Poisoned::default();
        loop {
            match self.transact(&batch, &poisoned).await {
                Ok(moved) => {
                    for (part, checkpoint) in moved {
                        self.parts[part].checkpoint = checkpoint;
                    }
                    self.count("daybook_consumer_events_total", batch.events.len() as u64);
                    return Ok(());
                }
                Err(error) => {
                    let error = self.around.blame(&batch.events, &poisoned, error).await?;
                    poisoned.note(self.name, &batch.events, error)?;
                }
            }
        }
    }

    /// Effect, parked events and checkpoints: one transaction. Returns the checkpoints that have moved.
    async fn transact(&self, batch: &Batch, poisoned: &Poisoned) -> Result<Vec<(usize, Checkpoint)>, ConsumerError> {
        let steps = self.parts.iter().zip(&batch.reached).enumerate();
        let steps = steps.filter(|(_, (part, reached))| !part.checkpoint.is_at(**reached));
        let (moved, steps): (Vec<usize>, Vec<_>) =
            steps.map(|(nr, (part, reached))| (nr, (part.queue.partition(), part.checkpoint, *reached))).unzip();
        if moved.is_empty() {
            return Ok(Vec::new());
        }
        let checkpoints = self.around.transact(self.history, &batch.events, poisoned, &steps).await?;
        Ok(moved.into_iter().zip(checkpoints).collect())
    }

    fn count(&self, what: &'static str, by: u64) {
        metrics::counter!(what, "consumer" => self.name.to_owned()).increment(by);
    }
}
