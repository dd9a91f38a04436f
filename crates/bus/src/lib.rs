//! The command bus: load → decide → group commit.
//!
//! One [sequencer](sequencer) decides commands one after the other on cached state, in memory. The commands that are decided
//! during a commit are the next batch, in one transaction. So a thousand buyers of one SKU cause one batch and not a thousand row
//! locks. Answers leave only after the commit, refusals included: the read set of a refusal is checked in the same transaction.
//!
//! The cache may be stale, since another process may write to the same book. Then no operation that rests on a stale stream is written.
//! Those streams are loaded again, and the commands are decided again.
//!
//! What does not belong here: rules (they are in the domain), SQL (in the event store), HTTP (in command-api).

mod answer;
mod cache;
pub mod clock;
mod decided;
mod load;
mod runtime;
mod sequencer;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use daybook_domain::{Actor, Command, Refusal, Storefront, StreamName};
use daybook_event_store::{Store, StoreError};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, sync::oneshot, task::JoinHandle};
use uuid::Uuid;

pub use self::{
    clock::Clock,
    runtime::{Runtime, Tokio},
};

/// The limits of the bus.
#[derive(Debug, Clone)]
pub struct BusSettings {
    /// The most commands that wait for a decision. A further command fails with [`CommandError::Busy`].
    pub queue: usize,
    /// The most commands in one commit.
    pub batch: usize,
    /// The most bytes of folded state that are kept in memory.
    pub cache_bytes: usize,
    /// How often a command is decided, because of conflicts, before it fails with [`CommandError::Contended`].
    pub attempts: u32,
    /// A stream whose fold took more events than this gets a snapshot, so that its next load takes fewer.
    pub snapshot_after: usize,
    /// The channels and locations that buyers may name.
    pub storefront: Storefront,
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            queue: 8_192,
            batch: 1_000,
            cache_bytes: 512 << 20,
            attempts: 100,
            snapshot_after: 500,
            storefront: Storefront::default(),
        }
    }
}

/// A command on its way to the bus.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The command.
    pub command: Command,
    /// The id of the command. A repetition with the same id gets the outcome of the first one.
    pub command_id: Uuid,
    /// The actor that sends it.
    pub actor: Actor,
    /// The correlation id of its causal chain. It is the command id if the command begins the chain.
    pub correlation_id: Uuid,
    /// The id of its cause: the command itself, or the event that a reaction answers.
    pub causation_id: Uuid,
    /// The W3C `traceparent` of the request.
    pub trace: Option<String>,
}

impl Submission {
    /// A command that begins a causal chain.
    #[must_use]
    pub fn new(command: impl Into<Command>, command_id: Uuid, actor: Actor) -> Self {
        let command = command.into();
        Self { command, command_id, actor, correlation_id: command_id, causation_id: command_id, trace: None }
    }

    /// A digest of the actor and the command. It shows that a command id is reused for another command. It also keeps an actor
    /// from getting the outcome of another.
    fn fingerprint(&self) -> Vec<u8> {
        let mut digest = Sha256::new();
        digest.update(self.actor.to_string());
        digest.update([0]);
        digest.update(self.command.name());
        digest.update([0]);
        // Commands are plain structs with text keys, which always serialise.
        digest.update(serde_json::to_vec(&self.command).unwrap_or_default());
        digest.finalize()[..16].to_vec()
    }
}

/// An event that a command wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    #[serde(serialize_with = "daybook_event_store::verbatim")]
    pub data: String,
}

/// A stream that a command wrote to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenStream {
    /// The stream.
    pub id: Arc<str>,
    /// Its version after the command.
    pub version: i32,
}

/// The answer to an accepted command. All that it names is durable. It has no events where the command asked for what was so already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// The bus is shutting down.
    #[error("the command bus has stopped")]
    Stopped,
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
}

/// A command that waits for its outcome.
struct Job {
    submission: Submission,
    fingerprint: Vec<u8>,
    attempts: u32,
    reply: oneshot::Sender<Result<Receipt, CommandError>>,
}

/// The bus. It is cheap to clone. It stops when the last clone is dropped and every queued command is answered.
#[derive(Clone)]
pub struct Bus {
    queue: mpsc::Sender<Job>,
    conflicts: Arc<AtomicU64>,
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
        let (queue, jobs) = mpsc::channel(settings.queue.max(1));
        let conflicts = Arc::default();
        let sequencer = sequencer::Sequencer::new(runtime, book, clock, settings.clone(), jobs, Arc::clone(&conflicts));
        (Self { queue, conflicts }, sequencer.run())
    }

    /// How many decisions were in conflict with the book so far, because another process had changed their streams. Those commands
    /// were decided again.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }

    /// Sends a command and waits for its outcome. If the queue is full, it fails at once with [`CommandError::Busy`].
    ///
    /// # Errors
    /// [`CommandError`] if the command was not accepted.
    pub async fn execute(&self, submission: Submission) -> Result<Receipt, CommandError> {
        let (job, outcome) = job(submission);
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommandError::Busy,
            mpsc::error::TrySendError::Closed(_) => CommandError::Stopped,
        })?;
        outcome.await.unwrap_or(Err(CommandError::Lost))
    }

    /// Sends a command and waits for its outcome. If the queue is full, it waits for a place first. Bulk loads use this.
    ///
    /// # Errors
    /// [`CommandError`] if the command was not accepted.
    pub async fn execute_patiently(&self, submission: Submission) -> Result<Receipt, CommandError> {
        let (job, outcome) = job(submission);
        self.queue.send(job).await.map_err(|_| CommandError::Stopped)?;
        outcome.await.unwrap_or(Err(CommandError::Lost))
    }
}

fn job(submission: Submission) -> (Job, oneshot::Receiver<Result<Receipt, CommandError>>) {
    let (reply, outcome) = oneshot::channel();
    let fingerprint = submission.fingerprint();
    (Job { submission, fingerprint, attempts: 0, reply }, outcome)
}

impl Job {
    fn answer(self, outcome: Result<Receipt, CommandError>) {
        let label = match &outcome {
            Ok(receipt) if receipt.replayed => "replayed",
            Ok(receipt) if receipt.events.is_empty() => "unchanged",
            Ok(_) => "accepted",
            Err(CommandError::Refused { .. }) => "refused",
            Err(CommandError::KeyReused(_)) => "key_reused",
            Err(_) => "failed",
        };
        metrics::counter!("daybook_commands_total", "command" => self.submission.command.name(), "outcome" => label)
            .increment(1);
        // The caller may have stopped waiting. The outcome is valid all the same.
        drop(self.reply.send(outcome));
    }

    fn context(&self, now: DateTime<Utc>, storefront: &Arc<Storefront>) -> daybook_domain::Context {
        let (actor, command_id) = (self.submission.actor.clone(), self.submission.command_id);
        daybook_domain::Context { now, actor, command_id, storefront: Arc::clone(storefront) }
    }
}
