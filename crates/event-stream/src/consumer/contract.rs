//! What a consumer rests on: where it keeps its checkpoints, what it reads, and time.
//!
//! [`ConsumerEnvironment`] has two implementations: PostgreSQL and the clock of tokio, and those of the simulation, in memory and with
//! faults (`tests/src/simulation`). All decisions are made above it, by code that runs on both.

use std::{collections::HashMap, future::Future, time::Duration};

use daybook_event_store::{Head, RecordedEvent};
use uuid::Uuid;

use super::{ConsumerError, Start, parked::Poisoned};
use crate::{
    SharedEvent,
    envelope::{EnvelopeError, EventMessage},
};

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
    /// The offset of the last message that was processed; -1 before the first.
    pub offset: i64,
    /// Every event of the partition up to this position was processed.
    pub position: i64,
    /// Raised by each process that takes the partition over.
    pub generation: i64,
}

impl Checkpoint {
    /// Whether it is at this offset and position.
    pub(super) fn is_at(&self, (offset, position): (i64, i64)) -> bool {
        (self.offset, self.position) == (offset, position)
    }

    /// Where a consumer at this checkpoint begins in a log that holds the offsets from `low` up to and without `high`. The message at
    /// the checkpoint is read once more: if the topic was made again, with other offsets, that message shows a gap.
    #[must_use]
    pub fn begins(&self, low: i64, high: i64) -> ReadFrom {
        let known = (low..high).contains(&self.offset);
        ReadFrom {
            offset: if known { self.offset } else { low },
            at_end: if known { self.offset + 1 == high } else { low == high },
        }
    }
}

/// Where to begin in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadFrom {
    /// The offset.
    pub offset: i64,
    /// Every message from there on was processed. An event that was published and is not in the log shows by no gap then.
    pub at_end: bool,
}

/// A partition that a consumer processes, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedPartition {
    /// The partition.
    pub partition: Partition,
    /// How far it was processed.
    pub checkpoint: Checkpoint,
}

/// What was published to a partition, as positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The last event that was ever published.
    pub last: i64,
    /// The last event of the log as it is now: before `last` while a topic that was lost is filled again.
    pub log_end: i64,
}

/// A move of a checkpoint: its partition, the checkpoint as this process knows it, and the offset and position that it moves to.
pub type CheckpointMove<'p> = (&'p Partition, Checkpoint, (i64, i64));

/// Makes sure that checkpoints move no further than the book, and that it is of the history that they were read for. What the book does
/// not have, the relay has not published. A checkpoint that was moved there would make duplicates of the events that come later.
///
/// # Errors
/// [`ConsumerError::NotInTheBook`].
pub fn stay_within(head: &Head, history: Uuid, moves: &[CheckpointMove<'_>]) -> Result<(), ConsumerError> {
    let beyond = |(_, from, (_, to)): &CheckpointMove<'_>| *to > from.position && *to > head.position;
    if head.epoch == history && !moves.iter().any(beyond) { Ok(()) } else { Err(ConsumerError::NotInTheBook) }
}

/// What a consumer keeps, reads and waits for.
pub trait ConsumerEnvironment: Sync {
    /// Gives the consumer a checkpoint at its start in each partition of its topics where it has none yet, and takes partitions over, each
    /// from its checkpoint. The process that had them before can commit no more.
    ///
    /// # Errors
    /// The store failed.
    fn begin(
        &self,
        partitions: &[Partition],
        start: Start,
    ) -> impl Future<Output = Result<Vec<Checkpoint>, ConsumerError>> + Send;

    /// Takes assigned partitions over that the consumer has begun with.
    ///
    /// # Errors
    /// [`ConsumerError::Fenced`] where the consumer was removed meanwhile; otherwise the store failed.
    fn take(&self, partitions: &[Partition]) -> impl Future<Output = Result<Vec<Checkpoint>, ConsumerError>> + Send;

    /// Takes partitions over that are not assigned to this process, each only if its checkpoint is still the given one. So of several
    /// processes that find the same partition, one takes it over. Returns those that were taken over, with their checkpoints.
    ///
    /// # Errors
    /// The store failed.
    fn adopt(
        &self,
        partitions: &[AssignedPartition],
    ) -> impl Future<Output = Result<Vec<AssignedPartition>, ConsumerError>> + Send;

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

    /// The partitions in which the consumer is behind what was published to them.
    ///
    /// # Errors
    /// The store failed.
    fn behind(&self) -> impl Future<Output = Result<Vec<AssignedPartition>, ConsumerError>> + Send;

    /// The events of the book after a position, in order, at most `limit`, and fewer where they are large. None mean that the end was
    /// reached.
    ///
    /// # Errors
    /// The store failed.
    fn read_after(
        &self,
        after: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<RecordedEvent>, ConsumerError>> + Send;

    /// Effect, parked events and checkpoints in one transaction. It begins by making sure that the moves [stay within](stay_within) the
    /// book. Returns the checkpoints after their moves.
    ///
    /// # Errors
    /// [`ConsumerError::NotInTheBook`] where they do not, [`ConsumerError::Fenced`] where a checkpoint is not what its move begins at,
    /// and [`ConsumerError::Effect`]: nothing was done. Where the store failed, whether it was done is unknown.
    fn transact(
        &self,
        history: Uuid,
        events: &[SharedEvent],
        poisoned: &Poisoned,
        moves: &[CheckpointMove<'_>],
    ) -> impl Future<Output = Result<Vec<Checkpoint>, ConsumerError>> + Send;

    /// Finds the event that a failure comes from, if it is one of the data: that is then [poison](super::EffectError::Poison).
    /// Any other failure is returned as it is.
    ///
    /// # Errors
    /// The store failed.
    fn blame(
        &self,
        events: &[SharedEvent],
        poisoned: &Poisoned,
        failure: ConsumerError,
    ) -> impl Future<Output = Result<ConsumerError, ConsumerError>> + Send;

    /// Goes on with the streams that wait for a program that knows their events, where this program does. Returns how many events that were.
    ///
    /// # Errors
    /// The store failed.
    fn take_up_waiting(&self) -> impl Future<Output = Result<usize, ConsumerError>> + Send {
        std::future::ready(Ok(0))
    }

    /// The time since some moment.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Waits after a failure, between half and the whole of a time.
    fn back_off(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// A message of a partition, as its consumers share it.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    /// Its place in the log.
    pub offset: i64,
    /// The event that it carries, if it carries one.
    pub content: Result<ReceivedEvent, EnvelopeError>,
}

/// The event that a message carries.
#[derive(Debug, Clone)]
pub struct ReceivedEvent {
    /// The event.
    pub event: SharedEvent,
    /// No event of the same partition stands between this position and the event's own.
    pub prev_sequence: i64,
    /// The history of the book that it is of.
    pub history: Uuid,
}

impl From<EventMessage> for ReceivedEvent {
    fn from(EventMessage { event, prev_sequence, history }: EventMessage) -> Self {
        Self { event: event.into(), prev_sequence, history }
    }
}

impl ReceivedMessage {
    /// The position of the event that it carries or stands for.
    #[must_use]
    pub fn position(&self) -> Option<i64> {
        match &self.content {
            Ok(received) => Some(received.event.position),
            Err(EnvelopeError::SetAside { position, .. }) => Some(*position),
            Err(_) => None,
        }
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        /// What a message takes beside the JSON of its event: its other texts, and what it says once it is decoded.
        const REST: usize = 1_024;
        REST + self.content.as_ref().map_or(0, |received| received.event.data.len())
    }
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
        let begins = |offset, low, high| {
            let begins = Checkpoint { offset, position: 7, generation: 1 }.begins(low, high);
            (begins.offset, begins.at_end)
        };
        assert_eq!(begins(-1, 0, 0), (0, true), "nothing was ever there");
        assert_eq!(begins(-1, 0, 3), (0, false));
        assert_eq!(begins(1, 0, 3), (1, false));
        assert_eq!(begins(2, 0, 3), (2, true), "what is there was processed; what has expired is not there");
        assert_eq!(begins(2, 3, 5), (3, false), "the oldest have expired");
        assert_eq!(begins(4, 5, 5), (5, true), "all have expired");
        assert_eq!(begins(4, 0, 2), (0, false), "the topic was made again");
    }
}
