//! A decided command: its operation for the store, and the answer to the sender after the commit.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use daybook_codec::{Encoded, encode};
use daybook_domain::{Decision, Refusal, StreamName, Streams};
use daybook_event_store::{AppendUnit, NewEvent, Operation, RecordedEvent};

use super::{CommandError, Job, Receipt, WrittenEvent, WrittenStream};
use crate::clock::new_id;

/// A command that was decided and waits for its commit. Its operation has the same index in the batch.
pub(super) struct Decided {
    pub(super) job: Job,
    /// The streams whose cached state includes the events of this decision.
    pub(super) written: Vec<StreamName>,
    /// The answer, if nothing is written.
    pub(super) unwritten: Option<Unwritten>,
}

/// The answer to a command of which nothing is written. What it rests on is checked as if it wrote.
pub(super) enum Unwritten {
    /// A rule said no.
    Refused(Refusal),
    /// An earlier command, which has begun this stream, had the outcome.
    Repeats(StreamName),
}

/// The operation that writes a decision.
pub(super) fn write(
    job: &Job,
    streams: &Streams<'_>,
    decision: &Decision,
    now: DateTime<Utc>,
) -> Result<Operation, CommandError> {
    let at = decision.effective_at.unwrap_or(now);
    let events = decision.events.iter().map(|(stream, event)| {
        let encoded = encode(event).map_err(|error| CommandError::Unwritable(error.to_string()))?;
        let Encoded { event_type, schema_version, key_id, data } = encoded;
        Ok(NewEvent {
            stream_id: stream.shared(),
            event_type: event_type.into(),
            schema_version,
            event_id: new_id(),
            effective_at: Some(at),
            key_id,
            data,
        })
    });
    Ok(Operation::Write(AppendUnit {
        command_id: job.submission.command_id,
        fingerprint: job.fingerprint.clone(),
        reads: reads(streams),
        events: events.collect::<Result<_, CommandError>>()?,
        correlation_id: job.submission.correlation_id,
        causation_id: job.submission.causation_id,
        actor: job.submission.actor.to_string(),
        trace: job.submission.trace.clone(),
    }))
}

/// The operation that checks what an answer rests on of which nothing is written.
pub(super) fn check(job: &Job, streams: &Streams<'_>) -> Operation {
    let (command_id, fingerprint) = (job.submission.command_id, job.fingerprint.clone());
    Operation::Check { command_id, fingerprint, reads: reads(streams) }
}

fn reads(streams: &Streams<'_>) -> Vec<(Arc<str>, i32)> {
    streams.reads().into_iter().map(|(stream, version)| (stream.shared(), version)).collect()
}

/// The streams of a decision, each once.
pub(super) fn written(decision: &Decision) -> Vec<StreamName> {
    let streams: BTreeSet<_> = decision.events.iter().map(|(stream, _)| stream).collect();
    streams.into_iter().cloned().collect()
}

/// The receipt of an append unit that was just committed.
pub(super) fn receipt(unit: AppendUnit, first_position: i64, versions: &[(Arc<str>, i32)]) -> Receipt {
    // The versions of the events: each stream counts up to its version after the commit.
    let count = |stream: &Arc<str>| unit.events.iter().filter(|event| event.stream_id == *stream).count();
    let mut next: Vec<(Arc<str>, i32)> = versions
        .iter()
        .map(|(stream, last)| (Arc::clone(stream), last - i32::try_from(count(stream)).unwrap_or(0)))
        .collect();
    let events = (first_position..).zip(unit.events).map(|(position, event)| {
        let version = next.iter_mut().find(|(stream, _)| *stream == event.stream_id).map_or(0, |(_, version)| {
            *version += 1;
            *version
        });
        WrittenEvent {
            position,
            stream: event.stream_id,
            version,
            event_type: event.event_type.into_owned(),
            event_id: event.event_id,
            data: event.data,
        }
    });
    let events: Vec<_> = events.collect();
    let streams = versions.iter().map(|(id, version)| WrittenStream { id: Arc::clone(id), version: *version });
    let position = events.last().map_or(first_position - 1, |event| event.position);
    Receipt { position, streams: streams.collect(), events, replayed: false }
}

/// The receipt of a command that was committed earlier, from its events in the book, which begin at this position.
pub(super) fn replayed(first_position: i64, events: Vec<RecordedEvent>) -> Receipt {
    let mut streams: Vec<WrittenStream> = Vec::new();
    let mut written = Vec::with_capacity(events.len());
    for event in events {
        let id: Arc<str> = event.stream_id.into();
        match streams.iter_mut().find(|stream| stream.id == id) {
            Some(stream) => stream.version = event.version,
            None => streams.push(WrittenStream { id: Arc::clone(&id), version: event.version }),
        }
        written.push(WrittenEvent {
            position: event.position,
            stream: id,
            version: event.version,
            event_type: event.event_type,
            event_id: event.event_id,
            data: event.data,
        });
    }
    let position = written.last().map_or(first_position - 1, |event| event.position);
    Receipt { position, streams, events: written, replayed: true }
}
