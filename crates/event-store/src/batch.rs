//! What is appended: batches of operations. An operation writes an append unit, or checks a read set.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The most bytes of the data of one event. What goes over the wire, and what a view keeps of it, is bounded by this.
pub const MAX_EVENT_BYTES: usize = 900_000;

/// An event that is not written yet. Its version follows from its stream, its position from the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The stream that it is appended to. Its append unit must have read that stream.
    pub stream_id: Arc<str>,
    /// The name of its type, such as `order.OrderPlaced`.
    pub event_type: Cow<'static, str>,
    /// The version of the schema of `data`.
    pub schema_version: i16,
    /// Its id. UUID version 7 keeps indexes dense.
    pub event_id: Uuid,
    /// When it happened, if that differs from the time of recording.
    pub effective_at: Option<DateTime<Utc>>,
    /// The id of the key that encrypts its personal data.
    pub key_id: Option<Uuid>,
    /// A JSON object, kept byte for byte.
    pub data: String,
}

/// The events of one command, with the versions of the streams that its decision has read. The unit is written as a whole or not at
/// all. It is written only if each of those streams is still at that version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendUnit {
    /// The id of the command. A second append unit with the same id and scope is a duplicate and writes nothing.
    pub command_id: Uuid,
    /// The scope in which the id is known: whose command it is.
    pub scope: String,
    /// A digest of the command. It shows that an id is reused for another command.
    pub fingerprint: Vec<u8>,
    /// The streams that the decision has read, each with its version (0: no events). Every stream that is written to is among them.
    pub reads: Vec<(Arc<str>, i32)>,
    /// The events in their order, at least one.
    pub events: Vec<NewEvent>,
    /// The correlation id: all events of one causal chain have the same.
    pub correlation_id: Uuid,
    /// The id of the cause: the command, or the event that a reaction answered.
    pub causation_id: Uuid,
    /// The actor that sent the command.
    pub actor: String,
    /// The W3C `traceparent` of the request.
    pub trace: Option<String>,
}

impl AppendUnit {
    /// The versions that its events get, computed from the versions that it read.
    #[must_use]
    pub fn versions(&self) -> Vec<i32> {
        let mut now: HashMap<&Arc<str>, i32> = self.reads.iter().map(|(stream, version)| (stream, *version)).collect();
        let next = self.events.iter().map(|event| {
            let version = now.entry(&event.stream_id).or_insert(0);
            *version += 1;
            *version
        });
        next.collect()
    }
}

/// One operation of a batch. Operations are in the order of their decisions, so a later one may rest on what an earlier one
/// writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// An append unit to write.
    Write(AppendUnit),
    /// The check of a refusal, which writes nothing. A refusal is as serialisable as an acceptance: its read set is checked in the same
    /// transaction. So no command is refused because of a stale cache. If the command is in the book already, its first outcome
    /// stands.
    Check {
        /// The id of the command.
        command_id: Uuid,
        /// The scope in which the id is known.
        scope: String,
        /// A digest of the command.
        fingerprint: Vec<u8>,
        /// The streams that the decision has read, each with its version.
        reads: Vec<(Arc<str>, i32)>,
    },
}

impl Operation {
    /// The streams that the decision has read, each with its version.
    #[must_use]
    pub fn reads(&self) -> &[(Arc<str>, i32)] {
        match self {
            Self::Write(unit) => &unit.reads,
            Self::Check { reads, .. } => reads,
        }
    }

    /// The outcome of an operation with an event that is larger than an event may be.
    pub(crate) fn too_large(&self) -> Option<Outcome> {
        let Self::Write(unit) = self else { return None };
        let event = unit.events.iter().find(|event| event.data.len() > MAX_EVENT_BYTES)?;
        let (event_type, bytes) = (&event.event_type, event.data.len());
        let reason = format!("an event {event_type} has {bytes} bytes; an event has at most {MAX_EVENT_BYTES}");
        Some(Outcome::InvalidData { reason })
    }

    /// The id of the command, with the scope in which it is known.
    pub(crate) fn command(&self) -> (Uuid, &str) {
        match self {
            Self::Write(unit) => (unit.command_id, &unit.scope),
            Self::Check { command_id, scope, .. } => (*command_id, scope),
        }
    }

    pub(crate) fn fingerprint(&self) -> &[u8] {
        match self {
            Self::Write(unit) => &unit.fingerprint,
            Self::Check { fingerprint, .. } => fingerprint,
        }
    }
}

/// The outcome of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The append unit is in the book, durably.
    Appended {
        /// The position of its first event; the others follow without gaps.
        first_position: i64,
        /// The versions that its streams have now, in the order of their first events.
        versions: Vec<(Arc<str>, i32)>,
        /// When it was written.
        recorded_at: DateTime<Utc>,
    },
    /// Every stream of a check is at the version that was read.
    Confirmed,
    /// An append unit with this command id was written before, in the same scope.
    Duplicate {
        /// The position of its first event.
        first_position: i64,
        /// How many events it wrote.
        events: i32,
        /// Whether that command has the same fingerprint.
        same_fingerprint: bool,
    },
    /// The append unit holds a value that the store cannot keep, such as a text with a NUL. Nothing was written.
    InvalidData {
        /// The message of the store.
        reason: String,
    },
    /// The store refused to write at present, for example because its disk is full. Nothing was written.
    NotWritten {
        /// The message of the store.
        reason: String,
    },
    /// A stream of the read set has changed, or rests on an earlier operation that was not written. Nothing was written.
    Conflict {
        /// The streams that have changed, each with its present version.
        actual: Vec<(Arc<str>, i32)>,
    },
}
