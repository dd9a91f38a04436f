//! The relay: the only one who produces to Kafka. It reads committed events in order and publishes them.
//!
//! One leader at a time, by an advisory lock, with a fencing epoch for one who was asleep while the lock moved on. What is
//! published is checkpointed after the acknowledgements; whoever takes over looks at the end of every partition and skips
//! what is there, so a restart repeats nothing. A topic that was lost or made anew is filled from the book again.

mod checkpoint;
mod leader;
mod publish;
mod tails;

use std::time::Duration;

use daybook_event_store::{Daybook, StoreError};
use rdkafka::error::KafkaError;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    envelope::EnvelopeError,
    kafka::{KafkaSettings, TopicError},
    topology::UnknownStream,
};

/// How long a standby waits before it tries to lead again, and a leader who failed before it starts anew.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// The advisory lock of the leader.
const LOCK: &str = "SELECT pg_try_advisory_lock(hashtext('daybook relay'))";

/// How the relay works.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The broker.
    pub kafka: KafkaSettings,
    /// When topics have to be filled again: only the last events of the book, this many bytes of them. For a broker that keeps
    /// no more (the embedded one); consumers fill what is missing from the book. All events when absent.
    pub refill_bytes: Option<i64>,
}

/// Why the relay stopped for a moment.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The book or the checkpoint failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker failed.
    #[error("Kafka failed: {0}")]
    Kafka(#[from] KafkaError),
    /// The topics are not as they should be.
    #[error(transparent)]
    Topics(#[from] TopicError),
    /// An event belongs to no topic.
    #[error(transparent)]
    UnknownStream(#[from] UnknownStream),
    /// An event of the book is not a JSON object.
    #[error("the event at position {position} cannot be published: {source}")]
    Envelope {
        /// The position of the event.
        position: i64,
        /// What is wrong with it.
        source: EnvelopeError,
    },
    /// A message was not acknowledged.
    #[error("the event at position {position} was not acknowledged: {source}")]
    NotAcknowledged {
        /// The position of the event.
        position: i64,
        /// Why not.
        source: KafkaError,
    },
    /// Another relay leads now.
    #[error("another relay leads now")]
    Fenced,
    /// A task of the relay was lost.
    #[error("a task of the relay was interrupted")]
    Interrupted,
}

impl From<tokio_postgres::Error> for RelayError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

/// How far the relay is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RelayStatus {
    /// How often a leader has taken over.
    pub epoch: i64,
    /// Everything up to this position is published.
    pub position: i64,
    /// The position of the last event of the book.
    pub head: i64,
    /// How many positions the book is ahead.
    pub lag: i64,
    /// What was published last, by partition.
    pub partitions: Vec<PartitionStatus>,
}

/// The last event of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The position of the last event.
    pub last_position: i64,
    /// Its offset.
    pub last_offset: i64,
}

/// The relay of a book.
#[derive(Clone)]
pub struct Relay {
    book: Daybook,
    settings: RelaySettings,
}

impl Relay {
    /// A relay that does not run yet.
    #[must_use]
    pub const fn new(book: Daybook, settings: RelaySettings) -> Self {
        Self { book, settings }
    }

    /// Publishes, or stands by while another one does, until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let led = tokio::select! {
                led = self.lead_if_free(&stop) => led,
                () = stop.cancelled() => return,
            };
            match led {
                Ok(()) => {}
                Err(RelayError::Fenced) => tracing::info!("another relay leads now; standing by"),
                Err(error) => tracing::warn!(%error, "the relay starts anew"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_AFTER) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Leads if nobody else does. The lock is the connection's: it is free again when the connection ends.
    async fn lead_if_free(&self, stop: &CancellationToken) -> Result<(), RelayError> {
        let mut client = self.book.connect().await?;
        if client.query_one(LOCK, &[]).await?.try_get(0)? {
            leader::lead(&self.book, &self.settings, &mut client, stop).await?;
        }
        Ok(())
    }
}

/// How far the relay of a book is.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn status(book: &Daybook) -> Result<RelayStatus, StoreError> {
    let head = book.head().await?.position;
    let client = book.pool().get().await?;
    let row = client.query_one("SELECT epoch, position FROM relay", &[]).await?;
    let rows = client
        .query(
            "SELECT topic, partition, last_position, last_offset FROM relay_partitions ORDER BY topic, partition",
            &[],
        )
        .await?;
    let partitions = rows.iter().map(|row| {
        Ok(PartitionStatus {
            topic: row.try_get(0)?,
            partition: row.try_get(1)?,
            last_position: row.try_get(2)?,
            last_offset: row.try_get(3)?,
        })
    });
    let position: i64 = row.try_get(1)?;
    Ok(RelayStatus {
        epoch: row.try_get(0)?,
        position,
        head,
        lag: (head - position).max(0),
        partitions: partitions.collect::<Result<_, tokio_postgres::Error>>()?,
    })
}

/// Asks the leader to publish the whole book again. Consumers skip what they have taken in.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn republish(book: &Daybook) -> Result<(), StoreError> {
    let client = book.pool().get().await?;
    client.execute("UPDATE relay SET republish = true", &[]).await?;
    Ok(())
}
