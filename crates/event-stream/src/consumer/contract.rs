//! What a consumer finds around it: where it keeps how far it is, the messages of its partitions, and time.
//!
//! It stands here because there are two of each: PostgreSQL and Kafka, and those of the simulation, in memory and with faults
//! (`tests/src/simulation`). All decisions, what to do with a message given a checkpoint, are in [`Share`](super::Share), which runs
//! on both.

use std::{collections::HashMap, future::Future, time::Duration};

use daybook_event_store::{Head, RecordedEvent};
use uuid::Uuid;

use super::{ConsumerError, parked::Poisoned};
use crate::envelope::{Delivery, EnvelopeError};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// Its number in the topic, from 0.
    pub nr: i32,
}

/// How far a consumer is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The offset of the last message that was taken in; -1 before the first.
    pub offset: i64,
    /// Every event of the partition up to this position was taken in.
    pub position: i64,
    /// Raised by whoever takes the partition over.
    pub generation: i64,
}

impl Checkpoint {
    /// Whether it is at this offset and position.
    pub(super) fn is_at(&self, (offset, position): (i64, i64)) -> bool {
        (self.offset, self.position) == (offset, position)
    }

    /// Where to begin in a log that holds the offsets from `low` up to and without `high`. The message at the checkpoint is read
    /// once more: should the topic have been made anew, with other offsets, what comes then shows a gap, and nothing is passed over.
    #[must_use]
    pub fn start(&self, low: i64, high: i64) -> Start {
        let known = (low..high).contains(&self.offset);
        Start {
            offset: known.then_some(self.offset),
            at_end: if known { self.offset + 1 == high } else { low == high },
        }
    }
}

/// Where to begin in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The offset; none is the beginning of the log.
    pub offset: Option<i64>,
    /// There is no message that was not taken in. What was published and is not there shows by no gap then.
    pub at_end: bool,
}

/// What was published to a partition, as positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The last event that ever was.
    pub last: i64,
    /// Where its log ends: before `last` while a topic that was lost is filled again.
    pub log_end: i64,
}

/// A step of a checkpoint: from what this process believes it to be, to an offset and a position.
pub type Step<'p> = (&'p Partition, Checkpoint, (i64, i64));

/// Makes sure that steps go no further than the book, and that it is of the history that they were read for. What the book does not
/// have, the relay has not published: believed, it would move a checkpoint on, and what is really published there would be taken for
/// a duplicate.
///
/// # Errors
/// [`ConsumerError::NotInTheBook`].
pub fn stay_within(head: &Head, history: Uuid, steps: &[Step<'_>]) -> Result<(), ConsumerError> {
    let beyond = |(_, from, (_, to)): &Step<'_>| *to > from.position && *to > head.position;
    if head.epoch == history && !steps.iter().any(beyond) { Ok(()) } else { Err(ConsumerError::NotInTheBook) }
}

/// What a consumer keeps, reads and waits for.
pub trait Surroundings: Sync {
    /// Takes partitions over, each from where it is: whoever had them before can commit no more.
    ///
    /// # Errors
    /// [`ConsumerError::Fenced`] where the consumer was removed meanwhile; otherwise the store failed.
    fn take(&self, partitions: &[Partition]) -> impl Future<Output = Result<Vec<Checkpoint>, ConsumerError>> + Send;

    /// How far the book goes, and which history it is: another one since it was restored from a back-up.
    ///
    /// # Errors
    /// The store failed.
    fn head(&self) -> impl Future<Output = Result<Head, ConsumerError>> + Send;

    /// What was published to each partition.
    ///
    /// # Errors
    /// The store failed.
    fn published(&self) -> impl Future<Output = Result<HashMap<Partition, Published>, ConsumerError>> + Send;

    /// The events of the book after a position, in order, at most `limit`. Fewer mean that the end was reached.
    ///
    /// # Errors
    /// The store failed.
    fn read_after(
        &self,
        after: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<RecordedEvent>, ConsumerError>> + Send;

    /// Effect, parked events and checkpoints in one transaction, which begins by seeing to it that the steps [stay within](stay_within)
    /// the book. Returns the checkpoints after their steps.
    ///
    /// # Errors
    /// [`ConsumerError::NotInTheBook`] where they do not, [`ConsumerError::Fenced`] where a checkpoint is not what the step begins at,
    /// and [`ConsumerError::Effect`]: nothing was done. Where the store failed, whether it was done is unknown.
    fn transact(
        &self,
        history: Uuid,
        events: &[RecordedEvent],
        poisoned: &Poisoned,
        steps: &[Step<'_>],
    ) -> impl Future<Output = Result<Vec<Checkpoint>, ConsumerError>> + Send;

    /// Finds the event that a failure comes from, if it is one of the data: that is then [poison](super::EffectError::Poison).
    /// Any other failure is returned as it is.
    ///
    /// # Errors
    /// The store failed.
    fn blame(
        &self,
        events: &[RecordedEvent],
        poisoned: &Poisoned,
        failure: ConsumerError,
    ) -> impl Future<Output = Result<ConsumerError, ConsumerError>> + Send;

    /// The time since some moment.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Waits after a failure, between half and the whole of a time.
    fn back_off(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// A message, and what it says.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its place in the log.
    pub offset: i64,
    /// What it says, if it is an event.
    pub delivery: Result<Delivery, EnvelopeError>,
}

/// The messages of a partition that this process has.
pub trait Messages: Send + Sync {
    /// The partition.
    fn partition(&self) -> &Partition;

    /// Whether there was no message after the checkpoint when this process got the partition.
    fn began_at_end(&self) -> bool;

    /// Waits for the next message. When the wait is given up, nothing is lost.
    ///
    /// # Errors
    /// The broker failed, and waiting does not mend it.
    fn next(&self) -> impl Future<Output = Result<Received, ConsumerError>> + Send;

    /// Takes the messages that are there, at most `limit`; returns how many.
    ///
    /// # Errors
    /// The broker failed, and waiting does not mend it.
    fn drain(
        &self,
        limit: usize,
        received: &mut Vec<Received>,
    ) -> impl Future<Output = Result<usize, ConsumerError>> + Send;

    /// Tells the broker how far it is, for lag monitors only.
    fn report(&self, offset: i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_moves_only_to_where_the_book_of_its_history_has_come() {
        let (history, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let partition = Partition { topic: "order".to_owned(), nr: 0 };
        let moves = |epoch, from, to| {
            let from = Checkpoint { offset: 3, position: from, generation: 1 };
            stay_within(&Head { position: 10, epoch }, history, &[(&partition, from, (4, to))]).is_ok()
        };
        assert!(moves(history, 9, 10));
        assert!(!moves(history, 9, 11), "beyond the end");
        assert!(!moves(other, 9, 10), "positions of another history");
        assert!(moves(history, 12, 12), "past a foreign message, whatever the checkpoint is");
    }

    #[test]
    fn a_log_is_read_from_the_checkpoint_on_or_from_its_beginning() {
        let start = |offset, low, high| {
            let start = Checkpoint { offset, position: 7, generation: 1 }.start(low, high);
            (start.offset, start.at_end)
        };
        assert_eq!(start(-1, 0, 0), (None, true), "nothing was ever there");
        assert_eq!(start(-1, 0, 3), (None, false));
        assert_eq!(start(1, 0, 3), (Some(1), false));
        assert_eq!(start(2, 0, 3), (Some(2), true), "what is there was taken in; what has expired is not there");
        assert_eq!(start(2, 3, 5), (None, false), "the oldest have expired");
        assert_eq!(start(4, 5, 5), (None, true), "all have expired");
        assert_eq!(start(4, 0, 2), (None, false), "the topic was made anew");
    }
}
