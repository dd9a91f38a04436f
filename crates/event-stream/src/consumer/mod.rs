//! The runner that projectors and reactors share: takes events in, once in effect and in order per stream.
//!
//! The effect and the checkpoint are one PostgreSQL transaction. Kafka's own offset only says where to begin to look and what
//! to show on lag monitors: a position at or below the checkpoint is a duplicate and is skipped; a `prevsequence` above it is a
//! gap, and is filled from the book before going on. So a consumer proves to itself that it missed nothing.
//!
//! What a process has of the partitions is taken in together, a transaction at a time. Who takes a partition over raises its
//! generation, and the checkpoint moves only for the generation that it was read with: who lost a partition cannot commit.

mod checkpoints;
pub mod contract;
pub mod feed;
mod orphans;
pub mod parked;
mod postgres;
mod stall;
mod subscriber;
mod worker;

use std::future::Future;

use daybook_event_store::StoreError;
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
    /// One event cannot be taken in, now or later. Its stream is parked, the others go on.
    #[error("the event at position {position} cannot be taken in: {reason}")]
    Poison {
        /// The position of the event.
        position: i64,
        /// Why not.
        reason: String,
    },
    /// The database failed; it is tried again.
    #[error("the database failed: {}", daybook_event_store::chain(.0))]
    Database(#[from] tokio_postgres::Error),
    /// A row cannot be put into words for the database.
    #[error("a row cannot be written: {0}")]
    Row(#[from] serde_json::Error),
    /// This consumer is not wanted any more: its view has a newer version.
    #[error("this consumer is retired")]
    Retired,
}

/// What a consumer does with events, inside the transaction that moves its checkpoint.
pub trait Effect: Send + Sync {
    /// Takes events in: those of one stream are in order, and none comes twice. There may be none at all, when only the
    /// checkpoint moves; this is still the place to say that the consumer is [retired](EffectError::Retired).
    fn apply(
        &self,
        transaction: &Transaction<'_>,
        events: &[SharedEvent],
    ) -> impl Future<Output = Result<(), EffectError>> + Send;
}

/// Why a consumer stopped for a moment.
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
    /// There are messages in a partition, and none comes.
    #[error("nothing comes from partition {partition} of topic {topic}, though there is more in it")]
    Stalled {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A checkpoint would go beyond the book, or into another history of it: what was read was not published by the relay.
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
