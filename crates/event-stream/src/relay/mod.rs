//! The relay: the only producer to Kafka. It reads committed events in order and publishes them.
//!
//! One relay leads at a time, by an advisory lock. A fencing epoch stops a leader that was asleep while another one took over. The
//! checkpoint is saved after the acknowledgements. A new leader reads the end of every log and skips the events that it finds there,
//! so a restart repeats nothing. A partition that was lost or created again is filled from the book. The other partitions continue
//! where they are. After a failure the leader begins in the same way, so it never guesses what a broken connection did.

mod adopt;
mod checkpoint;
mod leader;
mod log_ends;
mod monitor;
mod publish;
mod refill;
mod set_aside;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use daybook_event_store::{Daybook, StoreError};
use rdkafka::error::KafkaError;
use serde::Serialize;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::{Backoff, jittered},
    kafka::{KafkaSettings, TopicError},
};

/// How long a standby waits before it tries to lead again.
const STANDBY: Duration = Duration::from_millis(500);
/// How long a leader that is stopped may take to publish up to the head.
const GRACE: Duration = Duration::from_secs(3);
/// The two halves of the advisory lock of the leader.
const LOCK: [i32; 2] = [0x6461_7962, 0x7265_6c61];

/// How the relay works.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The broker.
    pub kafka: KafkaSettings,
    /// When lost topics have to be filled again: only the last events of the book, this many bytes of them. For a broker that keeps
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
    /// An event can never be published: the broker refuses it, no topic is for it, or it is not a JSON object. It is set aside.
    #[error("the event at position {position} cannot be published: {reason}")]
    Refused {
        /// The position of the event.
        position: i64,
        /// Why not.
        reason: String,
        /// Whether it belongs to no topic that this program knows.
        no_topic: bool,
    },
    /// The broker refuses a batch. Its events are published one by one, so that the refused one shows.
    #[error("the broker refuses a batch of events up to position {up_to}: {source}")]
    RefusedBatch {
        /// The position of the last event of the batch.
        up_to: i64,
        /// Why.
        source: KafkaError,
    },
    /// A message was not acknowledged.
    #[error("the event at position {position} was not acknowledged: {source}")]
    NotAcknowledged {
        /// The position of the event.
        position: i64,
        /// Why not.
        source: KafkaError,
    },
    /// A topic was created again while the relay led.
    #[error("partition {partition} of topic {topic} is shorter than what was published to it")]
    MadeAgain {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A topic belongs to another book, or the book was set back to an older state than what was published from it.
    #[error(
        "topic {topic} holds an event at position {position} that is not of this book, or of a history that it has left \
         behind; use another topic prefix, or make the topics this book's with `daybook relay adopt`"
    )]
    AnotherBook {
        /// The topic.
        topic: String,
        /// The position that the event claims.
        position: i64,
    },
    /// The topics stay as they are, and the request to adopt them is dropped.
    #[error("the topics are not adopted, since the broker does not let their records be deleted: {0}")]
    NotAdopted(KafkaError),
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

pub use set_aside::{SetAside, list as list_set_aside, retry, skip};

/// How far the relay is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RelayStatus {
    /// Whether a relay leads.
    pub leader: bool,
    /// How often a leader has taken over.
    pub epoch: i64,
    /// Everything up to this position has been published.
    pub position: i64,
    /// Where publishing stands: behind `position` while a lost topic is filled again.
    pub cursor: i64,
    /// The position of the last event of the book.
    pub head: i64,
    /// How many positions the book is ahead of where publishing stands.
    pub lag: i64,
    /// Whether a request to publish everything again, or to adopt the topics, waits for the leader.
    pub asked_to_begin_again: bool,
    /// What was published last, by partition.
    pub partitions: Vec<PartitionStatus>,
    /// The events that are set aside.
    pub set_aside: Vec<SetAside>,
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
    /// Whether it has led, or has found another relay that leads.
    joined: Arc<AtomicBool>,
}

impl Relay {
    /// A relay that does not run yet.
    #[must_use]
    pub fn new(book: Daybook, settings: RelaySettings) -> Self {
        Self { book, settings, joined: Arc::default() }
    }

    /// Whether this relay, or a clone of it, has led since it runs, or has found another relay that leads.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.joined.load(Ordering::Relaxed)
    }

    /// Publishes, or stands by while another relay does, until it is stopped. A leader that is stopped publishes what the book holds at
    /// that moment, and gives up the lead.
    pub async fn run(self, stop: CancellationToken) {
        let (mut backoff, mut one_by_one) = (Backoff::new(), 0);
        while !stop.is_cancelled() {
            let too_late = async {
                stop.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            let led = tokio::select! {
                led = self.lead_if_free(&stop, one_by_one) => led,
                () = too_late => return,
            };
            if let Err(RelayError::RefusedBatch { up_to, .. }) = led {
                one_by_one = up_to;
            }
            let pause = async {
                match led {
                    Ok(_) | Err(RelayError::Fenced) => {
                        backoff.reset();
                        tokio::time::sleep(jittered(STANDBY)).await;
                    }
                    // The event is set aside, or will show. The relay begins again at once, where the broker and the checkpoint agree.
                    Err(error @ (RelayError::Refused { .. } | RelayError::RefusedBatch { .. })) => {
                        tracing::warn!(%error, "the relay begins again");
                        backoff.reset();
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the relay begins again");
                        backoff.wait().await;
                    }
                }
            };
            tokio::select! {
                () = pause => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Leads if no other relay does, and returns whether it has led. The lock belongs to the connection, and is free when that ends.
    ///
    /// Events up to the position `one_by_one` are published one by one. An event that is refused is set aside.
    async fn lead_if_free(&self, stop: &CancellationToken, one_by_one: i64) -> Result<bool, RelayError> {
        let mut client = self.book.connect().await?;
        let lock: &[&(dyn ToSql + Sync)] = &[&LOCK[0], &LOCK[1]];
        if !client.query_one("SELECT pg_try_advisory_lock($1, $2)", lock).await?.try_get::<_, bool>(0)? {
            self.joined.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        let led = leader::lead(self, &mut client, stop, one_by_one).await;
        if let Err(RelayError::Refused { position, reason, no_topic }) = &led {
            set_aside::note(&self.book, *position, reason, *no_topic).await?;
        }
        led?;
        // A standby then need not wait until the server notices the end of the connection.
        client.execute("SELECT pg_advisory_unlock($1, $2)", lock).await?;
        Ok(true)
    }
}

/// How far the relay of a book is.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn status(book: &Daybook) -> Result<RelayStatus, StoreError> {
    let head = book.head().await?.position;
    let client = book.pool().get().await?;
    let row = client
        .query_one(
            "SELECT epoch, position, cursor, republish OR adopt, EXISTS (
                 SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                 WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()
                   AND l.classid = $1::int::oid AND l.objid = $2::int::oid AND l.objsubid = 2
             ) FROM relay",
            &[&LOCK[0], &LOCK[1]],
        )
        .await?;
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
    let partitions = partitions.collect::<Result<_, tokio_postgres::Error>>()?;
    drop(client);
    let cursor: i64 = row.try_get(2)?;
    Ok(RelayStatus {
        leader: row.try_get(4)?,
        epoch: row.try_get(0)?,
        position: row.try_get(1)?,
        cursor,
        head,
        lag: (head - cursor).max(0),
        asked_to_begin_again: row.try_get(3)?,
        partitions,
        set_aside: set_aside::list(book).await?,
    })
}

/// Asks the leader to adopt the topics: it deletes their records and publishes the whole book again. This is for a restored book, whose
/// topics hold events that it no longer has.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn adopt(book: &Daybook) -> Result<(), StoreError> {
    let client = book.pool().get().await?;
    client.execute("UPDATE relay SET adopt = true", &[]).await?;
    Ok(())
}

/// Asks the leader to publish the whole book again. Consumers skip what they have processed.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn republish(book: &Daybook) -> Result<(), StoreError> {
    let client = book.pool().get().await?;
    client.execute("UPDATE relay SET republish = true", &[]).await?;
    Ok(())
}
