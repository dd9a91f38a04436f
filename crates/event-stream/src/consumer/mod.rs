//! Consumers, which projectors and reactors share: they process events once in effect, and in order per stream.
//!
//! A process has one [`feed`] for all of its consumers. Each consumer is a subscriber of it, with a worker of its own.
//!
//! The effect and the checkpoint are one PostgreSQL transaction. Kafka's own offset only says where to begin to read, and what lag
//! monitors show. A position at or below the checkpoint is a duplicate, and is skipped. A `prevsequence` above it is a gap, and is
//! filled from the book first. So a consumer proves to itself that it missed nothing.
//!
//! A consumer processes its partitions together, one transaction at a time. A process that takes a partition over raises its
//! generation. The checkpoint moves only for the generation that it was read with, so a process that has lost a partition cannot commit.

mod checkpoints;
pub mod contract;
pub mod feed;
mod orphans;
pub mod parked;
mod postgres;
mod stall;
mod subscriber;
mod waiting;
mod worker;

use std::future::Future;

use daybook_event_store::{RecordedEvent, StoreError};
use deadpool_postgres::Transaction;
use rdkafka::error::KafkaError;

use crate::{SharedEvent, kafka::TopicError};

pub use self::subscriber::{Consumer, Ended, Subscriber};

/// Where a consumer begins that has no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the beginning of the book: it gets everything that ever happened.
    Beginning,
    /// At the end of the book as it is then: it gets what happens from then on.
    Head,
}

/// Why an effect did not take place.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// One event cannot be processed, now or later. Its stream is parked, and the other streams continue.
    #[error("the event at position {position} cannot be processed: {reason}")]
    Poison {
        /// The position of the event.
        position: i64,
        /// Why not.
        reason: String,
    },
    /// A newer program has written the event, and this one does not know it. Its stream waits for a program that does, and the other streams
    /// continue.
    #[error("the event at position {position} waits for a newer program: {reason}")]
    Newer {
        /// The position of the event.
        position: i64,
        /// What this program does not know.
        reason: String,
    },
    /// The database failed. The batch is tried again.
    #[error("the database failed: {}", daybook_event_store::chain(.0))]
    Database(#[from] tokio_postgres::Error),
    /// A row cannot be written as the database needs it, or cannot be read back.
    #[error("a row cannot be written or read: {0}")]
    Row(#[from] serde_json::Error),
    /// This consumer has ended: its view has a newer version.
    #[error("this consumer is retired")]
    Retired,
}

/// What a consumer does with events, inside the transaction that moves its checkpoint.
pub trait Effect: Send + Sync {
    /// Processes events. Those of one stream are in order, and none comes twice. There may be no events, when only the checkpoint moves.
    /// The effect may answer then, too, that the consumer is [retired](EffectError::Retired).
    fn apply(
        &self,
        transaction: &Transaction<'_>,
        events: &[SharedEvent],
    ) -> impl Future<Output = Result<(), EffectError>> + Send;

    /// Whether this program knows the type of an event, in its version.
    fn knows(&self, _event: &RecordedEvent) -> bool {
        true
    }

    /// A running consumer calls this after the transaction of [`apply`](Self::apply) was committed: now others can see what was written.
    /// It is not called where the process ends in between.
    fn committed(&self) {}
}

/// Why a consumer begins again.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The book or the checkpoints failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker failed.
    #[error("Kafka failed: {0}")]
    Kafka(#[from] KafkaError),
    /// The topics are not as they should be.
    #[error(transparent)]
    Topics(#[from] TopicError),
    /// The effect failed.
    #[error(transparent)]
    Effect(#[from] EffectError),
    /// A partition holds messages that do not come.
    #[error("nothing comes from partition {partition} of topic {topic}, though there is more in it")]
    Stalled {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A checkpoint would go beyond the book, or into another history of it. The relay has not published what was read.
    #[error("what was read is not in the book")]
    NotInTheBook,
    /// Another process has this partition now.
    #[error("another process has moved the checkpoint")]
    Fenced,
}

impl From<tokio_postgres::Error> for ConsumerError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<deadpool_postgres::PoolError> for ConsumerError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Store(error.into())
    }
}
