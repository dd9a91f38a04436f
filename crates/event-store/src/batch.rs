//! What is appended: units of work, gathered into batches of steps.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An event that has yet to be written. Its version follows from the stream's, its position from the book's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The stream it joins; the unit must have read it.
    pub stream_id: Arc<str>,
    /// What happened.
    pub event_type: Cow<'static, str>,
    /// The version of the schema of `data`.
    pub schema_version: i16,
    /// Its identity; UUID version 7 keeps indexes dense.
    pub event_id: Uuid,
    /// When it happened, if that is not when it is written.
    pub effective_at: Option<DateTime<Utc>>,
    /// The key that personal data in it is encrypted with.
    pub key_id: Option<Uuid>,
    /// A JSON object, kept byte for byte.
    pub data: String,
}

/// One command's worth of change: what it read, and what it writes to any number of streams. It is written whole or not
/// at all, and only if everything it read is still at the version it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The identity of the command. A second unit with the same id is a duplicate and writes nothing.
    pub command_id: Uuid,
    /// A digest of what the command said, so that a reused id with another body is noticed.
    pub fingerprint: Vec<u8>,
    /// The streams that the decision rests on, each with its version (0: no events). Includes every stream written to.
    pub reads: Vec<(Arc<str>, i32)>,
    /// The events, in the order in which they happened; at least one.
    pub events: Vec<NewEvent>,
    /// The whole story that the events belong to.
    pub correlation_id: Uuid,
    /// What caused them: the command, or the event that a reaction answered.
    pub causation_id: Uuid,
    /// On whose authority.
    pub actor: String,
    /// The W3C `traceparent` of the request.
    pub trace: Option<String>,
}

impl Unit {
    /// The versions that its events get, given what it read.
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

/// One step of a batch. Steps stand in the order in which they were decided: a later one may rest on what an earlier
/// one writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Something to write.
    Write(Unit),
    /// A decision to write nothing. A refusal is as serialisable as an acceptance: what it read is checked at the same
    /// moment, so that no buyer is refused as sold out from a stale cache; and where the command is in the book already, the
    /// refusal was of its repetition, and the first outcome stands.
    Check {
        /// The identity of the command.
        command_id: Uuid,
        /// A digest of what the command said.
        fingerprint: Vec<u8>,
        /// The streams that the decision rests on, each with its version.
        reads: Vec<(Arc<str>, i32)>,
    },
}

impl Step {
    pub(crate) fn reads(&self) -> &[(Arc<str>, i32)] {
        match self {
            Self::Write(unit) => &unit.reads,
            Self::Check { reads, .. } => reads,
        }
    }

    pub(crate) fn command(&self) -> (Uuid, &[u8]) {
        match self {
            Self::Write(unit) => (unit.command_id, &unit.fingerprint),
            Self::Check { command_id, fingerprint, .. } => (*command_id, fingerprint),
        }
    }
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the book, durably.
    Appended {
        /// The position of its first event; the others follow without gaps.
        first_position: i64,
        /// The versions that its streams have now, in the order of first writing.
        versions: Vec<(Arc<str>, i32)>,
        /// When it was written.
        recorded_at: DateTime<Utc>,
    },
    /// Everything that a check rests on is as it was read.
    Confirmed,
    /// A unit with this command id was written before.
    Duplicate {
        /// The position of its first event.
        first_position: i64,
        /// How many events it wrote.
        events: i32,
        /// Whether that command said the same.
        same_fingerprint: bool,
    },
    /// It holds a value that the store cannot keep, such as a text with a NUL. Nothing was written.
    Unacceptable {
        /// What the store said.
        reason: String,
    },
    /// Something it read has changed, or rests on a step before it that was not written. Nothing was written.
    Conflict {
        /// The streams that are not as they were read, with the version they are at.
        actual: Vec<(Arc<str>, i32)>,
    },
}
