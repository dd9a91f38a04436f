//! The command bus: load → decide → group commit.
//!
//! One [sequencer](sequencer) decides commands one after the other on cached state, in memory. The commands that are decided
//! during a commit are the next batch, in one transaction. So a thousand buyers of one SKU cause one batch and not a thousand row
//! locks. Answers leave only after the commit, refusals included: the read set of a refusal is checked in the same transaction.
//!
//! The cache may be stale, since another process may write to the same book. Then no operation that rests on a stale stream is written.
//! What is new in those streams is loaded, and the commands are decided again. A command that was in conflict three times is decided
//! while the book is [locked](sequencer::locked), so it cannot lose again.
//!
//! Of several processes one should decide; see [`Elsewhere`]. The [queue](queue) is fair among senders.
//!
//! What does not belong here: rules (they are in the domain), SQL (in the event store), HTTP (in command-api).

mod answer;
mod bases;
mod cache;
pub mod clock;
mod decided;
mod elsewhere;
mod job;
mod key;
mod load;
mod queue;
mod room;
mod runtime;
mod sequencer;
mod turns;
mod vitals;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use daybook_domain::{Actor, Command, Refusal, Storefront, StreamName};
use daybook_event_store::{Store, StoreError};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use daybook_event_store::{Holder, Place};

pub use self::{
    clock::{CLOCK_LIMIT, Clock, WrongClock},
    elsewhere::{Elsewhere, Forwarded},
    runtime::{Runtime, Tokio},
    vitals::{BusMonitor, BusVitals},
};
use self::{job::Job, queue::Queue, turns::SenderId};

/// The limits of the bus.
#[derive(Debug, Clone)]
pub struct BusSettings {
    /// The most commands that wait for a decision. A further command fails with [`CommandError::Busy`].
    pub queue: usize,
    /// The most bytes of commands that are not answered. They count as part of `cache_bytes`.
    pub queue_bytes: usize,
    /// The most commands in one commit.
    pub batch: usize,
    /// The most bytes of folded streams that are kept in memory. An order and its cart take about 1 kB, so the cache of a busy shop
    /// fills up to this limit.
    pub cache_bytes: usize,
    /// How often a command is decided, because of conflicts, before it fails with [`CommandError::Contended`].
    pub attempts: u32,
    /// A stream whose fold took more events than this gets a snapshot, so that its next load takes fewer.
    pub snapshot_after: usize,
    /// A refusal that has read more streams than this is checked beside the commits, so that it holds no other command up.
    pub check_beside: usize,
    /// The channels and locations that buyers may name.
    pub storefront: Storefront,
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            queue: 8_192,
            queue_bytes: 64 << 20,
            batch: 1_000,
            cache_bytes: 128 << 20,
            attempts: 100,
            snapshot_after: 500,
            check_beside: 100,
            storefront: Storefront::default(),
        }
    }
}

/// A command on its way to the bus.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The command.
    pub command: Command,
    /// The id of the command. A repetition with the same id gets the outcome of the first one. Ids are known within the authority
    /// of their sender ([`Authority`](daybook_domain::Authority)), so the same id of another sender is another command.
    pub command_id: Uuid,
    /// The actor that sends it.
    pub actor: Actor,
    /// The correlation id of its causal chain. It is the command id if the command begins the chain.
    pub correlation_id: Uuid,
    /// The id of its cause: the command itself, or the event that a reaction answers.
    pub causation_id: Uuid,
    /// The W3C trace context of the request: `traceparent`, and after a blank `tracestate`.
    pub trace: Option<String>,
    /// The address that a guest's command counts for. Guests without an address share their turns in the queue.
    pub address: Option<IpAddr>,
}

impl Submission {
    /// A command that begins a causal chain.
    #[must_use]
    pub fn new(command: impl Into<Command>, command_id: Uuid, actor: Actor) -> Self {
        let command = command.into();
        let (correlation_id, causation_id) = (command_id, command_id);
        Self { command, command_id, actor, correlation_id, causation_id, trace: None, address: None }
    }
}

/// An event that a command wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenEvent {
    /// Its position in the book.
    pub position: i64,
    /// Its stream.
    pub stream: Arc<str>,
    /// Its version in the stream.
    pub version: i32,
    /// The name of its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its id.
    pub event_id: Uuid,
    /// Its data, a JSON object.
    #[serde(serialize_with = "daybook_event_store::verbatim", deserialize_with = "as_written")]
    pub data: String,
}

/// Reads JSON as the text that it is, byte for byte.
fn as_written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Box::<RawValue>::deserialize(deserializer)?.get().to_owned())
}

/// A stream that a command wrote to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenStream {
    /// The stream.
    pub id: Arc<str>,
    /// Its version after the command.
    pub version: i32,
}

/// The answer to an accepted command. All that it names is durable. It has no events where the command asked for what was so already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The position of the command's last event; without events, the end of the book at the decision. A read model that has reached it
    /// shows the effect of the command.
    pub position: i64,
    /// The streams that were written.
    pub streams: Vec<WrittenStream>,
    /// The events that were written, in order.
    pub events: Vec<WrittenEvent>,
    /// Whether this is the outcome of an earlier command: of the same submission, or of another that asked for the same.
    pub replayed: bool,
}

/// Why a command has no receipt.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// A rule refused the command, or the actor may not send it. Nothing was written.
    #[error("{refusal}")]
    Refused {
        /// The refusal with its data.
        refusal: Refusal,
        /// The part of the command that the refusal is about, as a JSON pointer, if it names one.
        pointer: Option<String>,
    },
    /// The command id was used for another command. Nothing was written.
    #[error("command id {0} was used before, for something else")]
    KeyReused(Uuid),
    /// Other processes changed the streams of the command each time it was decided. Nothing was written. The sender may retry.
    #[error("others kept changing what this command rests on")]
    Contended,
    /// The queue is full. Nothing was written. The sender may retry.
    #[error("too many commands are waiting")]
    Busy,
    /// The store failed. Whether the command is in the book is unknown; a retry with the same id shows it.
    #[error("the store failed: {0}")]
    Failed(Arc<StoreError>),
    /// The task that processed the command is gone. Whether the command is in the book is unknown; a retry with the same id shows it.
    #[error("the outcome was lost")]
    Lost,
    /// A stream that the command needs holds an event that this program cannot read. Nothing was written.
    #[error(transparent)]
    Unreadable(#[from] UnreadableStream),
    /// An event of the decision holds a value that the store cannot keep. Nothing was written.
    #[error("it cannot be written down: {0}")]
    Unwritable(String),
    /// The store refused to write at present, for example because its disk is full. Nothing was written. The sender may retry.
    #[error("the store refused to write: {0}")]
    NotWritten(String),
    /// The clock of the process that decides is wrong. Nothing was written. Another process may decide, and the sender may retry.
    #[error(transparent)]
    WrongClock(#[from] WrongClock),
    /// The bus is shutting down.
    #[error("the command bus has stopped")]
    Stopped,
}

impl CommandError {
    /// The store of another process failed, for this reason.
    #[must_use]
    pub fn failed_elsewhere(reason: String) -> Self {
        Self::Failed(Arc::new(StoreError::Unavailable(reason)))
    }

    /// Whether a failure of the store is known to have come before the write: only reads use the pool of connections.
    #[must_use]
    pub fn nothing_was_written(&self) -> bool {
        matches!(self, Self::Failed(error) if matches!(**error, StoreError::Pool(_)))
    }
}

/// A stream that this program cannot read: an event is damaged, or was written by a later version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{stream} cannot be read at version {version}: {reason}")]
pub struct UnreadableStream {
    /// The stream.
    pub stream: StreamName,
    /// The version of the event that cannot be read.
    pub version: i32,
    /// The reason.
    pub reason: String,
    /// Whether a newer program has written the event. A process of that program can read the stream.
    pub is_newer: bool,
}

/// The answer to a command, and what it cost.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The outcome.
    pub outcome: Result<Receipt, CommandError>,
    /// The most streams that a decision of the command has read, loaded or not. It is 0 if it was not decided.
    pub streams: u32,
}

/// The bus. It is cheap to clone. It stops when the last clone is dropped and every queued command is answered.
#[derive(Clone)]
pub struct Bus {
    handle: Arc<Handle>,
    /// Where commands are decided, if it may be in another process.
    elsewhere: Option<Arc<dyn Elsewhere>>,
}

/// What the clones of a bus share. The queue is closed with the last one.
struct Handle {
    queue: Arc<Queue>,
    conflicts: Arc<AtomicU64>,
    senders: RandomState,
    signs: Arc<vitals::Signs>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Bus {
    /// Starts the bus on a book. The join handle ends when the bus has stopped.
    #[must_use]
    pub fn start(book: impl Store, clock: Clock, settings: &BusSettings) -> (Self, JoinHandle<()>) {
        let (bus, work) = Self::on(Tokio, book, clock, settings);
        (bus, tokio::spawn(work))
    }

    /// A bus on a book, and its work, which the caller has to run. If the work is dropped, the bus ends like a process that is killed.
    pub fn on<B: Store, R: Runtime>(
        runtime: R,
        book: B,
        clock: Clock,
        settings: &BusSettings,
    ) -> (Self, impl Future<Output = ()> + Send + use<B, R>) {
        let queue = Arc::new(Queue::new(settings.queue, settings.queue_bytes));
        let conflicts = Arc::default();
        let signs: Arc<vitals::Signs> = Arc::default();
        let decides = (Arc::clone(&queue), Arc::clone(&conflicts), Arc::clone(&signs));
        let sequencer = sequencer::Sequencer::new(runtime, book, clock, settings.clone(), decides);
        let handle = Arc::new(Handle { queue, conflicts, senders: RandomState::new(), signs });
        (Self { handle, elsewhere: None }, sequencer.run())
    }

    /// The same bus, whose commands may be decided in another process.
    #[must_use]
    pub fn with_elsewhere(self, elsewhere: Arc<dyn Elsewhere>) -> Self {
        Self { elsewhere: Some(elsewhere), ..self }
    }

    /// A monitor of this bus. It does not keep the bus from stopping.
    #[must_use]
    pub fn monitor(&self) -> BusMonitor {
        BusMonitor::new(&self.handle.queue, Arc::clone(&self.handle.signs))
    }

    /// How many decisions were in conflict with the book so far, because another process had changed their streams. Those commands
    /// were decided again.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.handle.conflicts.load(Ordering::Relaxed)
    }

    /// Sends a command and waits for its outcome. If the queue is full, it fails at once with [`CommandError::Busy`].
    ///
    /// # Errors
    /// [`CommandError`] if the command was not accepted.
    pub async fn execute(&self, submission: Submission) -> Result<Receipt, CommandError> {
        self.answer(submission, false).await.outcome
    }

    /// Sends a command and waits for its outcome. If the queue is full, it waits for a place first. Bulk loads use this.
    ///
    /// # Errors
    /// [`CommandError`] if the command was not accepted.
    pub async fn execute_patiently(&self, submission: Submission) -> Result<Receipt, CommandError> {
        self.answer(submission, true).await.outcome
    }

    /// Sends a command to the process that decides, and waits for its answer. A patient caller waits for a place in a full queue.
    pub async fn answer(&self, submission: Submission, is_patient: bool) -> Answer {
        let Some(elsewhere) = self.elsewhere.as_ref().filter(|elsewhere| !elsewhere.is_here()) else {
            return self.answer_here(submission, is_patient).await;
        };
        match elsewhere.forward(&submission, is_patient).await {
            Forwarded::Answered(answer) => answer,
            Forwarded::NotSent => self.answer_here(submission, is_patient).await,
            Forwarded::Unanswered => {
                let answer = self.answer_here(submission, is_patient).await;
                // What this process accepts, the other one finds in the book. What this one does not accept, the other one may still
                // accept, or has accepted.
                match answer.outcome {
                    Ok(_) | Err(CommandError::KeyReused(_) | CommandError::Failed(_)) => answer,
                    Err(_) => Answer { outcome: Err(CommandError::Lost), ..answer },
                }
            }
        }
    }

    /// Decides a command in this process, whichever process should.
    pub async fn answer_here(&self, submission: Submission, is_patient: bool) -> Answer {
        let (job, answer) = Job::new(submission, is_patient, |sender| SenderId(self.handle.senders.hash_one(sender)));
        if is_patient {
            self.handle.queue.push_patiently(job).await;
        } else {
            self.handle.queue.push(job);
        }
        answer.await.unwrap_or(Answer { outcome: Err(CommandError::Lost), streams: 0 })
    }
}
