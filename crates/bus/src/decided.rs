//! A decided command: its operation for the store, and the answer to the sender after the commit.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use daybook_codec::{Encoded, encode};
use daybook_domain::{Decision, MAX_EVENT_BYTES, Refusal, Rejection, StreamName, Streams, general::EventTooLarge};
use daybook_event_store::{AppendUnit, NewEvent, Operation, RecordedEvent};

use super::{CommandError, Job, Receipt, WrittenEvent, WrittenStream};
use crate::{clock::new_id, key::Key};

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

// What a decision may write, the book keeps.
const _: () = assert!(MAX_EVENT_BYTES <= daybook_event_store::MAX_EVENT_BYTES);

/// What the store is asked for after a decision.
pub(super) struct Planned {
    pub(super) operation: Operation,
    /// The decision, if something is written.
    pub(super) decision: Option<Decision>,
    /// The answer, if nothing is written.
    pub(super) unwritten: Option<Unwritten>,
}

/// Why the store is asked for nothing.
pub(super) enum Unplanned {
    /// The decision reads streams that are not loaded.
    NotLoaded,
    /// An event cannot be written as JSON.
    Failed(CommandError),
}

/// Plans what the store is asked for after a decision.
pub(super) fn plan(
    job: &Job,
    streams: &Streams<'_>,
    decided: Result<Decision, Rejection>,
    now: DateTime<Utc>,
) -> Result<Planned, Unplanned> {
    let unwritten = match decided {
        Ok(Decision { repeats: Some(stream), .. }) => Unwritten::Repeats(stream),
        Ok(decision) => match write(job, streams, &decision, now) {
            Ok(operation) => return Ok(Planned { operation, decision: Some(decision), unwritten: None }),
            Err(Unwritable::Refused(refusal)) => Unwritten::Refused(refusal),
            Err(Unwritable::Failed(error)) => return Err(Unplanned::Failed(error)),
        },
        Err(Rejection::Refused(refusal)) => Unwritten::Refused(refusal),
        Err(Rejection::NotLoaded) => return Err(Unplanned::NotLoaded),
    };
    Ok(Planned { operation: check(job, streams), decision: None, unwritten: Some(unwritten) })
}

/// Why a decision cannot be written.
enum Unwritable {
    /// An event would be too large. The command is refused, as by any other rule.
    Refused(Refusal),
    /// An event cannot be written as JSON.
    Failed(CommandError),
}

/// The operation that writes a decision.
fn write(job: &Job, streams: &Streams<'_>, decision: &Decision, now: DateTime<Utc>) -> Result<Operation, Unwritable> {
    let at = decision.effective_at.unwrap_or(now);
    let events = decision.events.iter().map(|(stream, event)| {
        let failed = |error: serde_json::Error| Unwritable::Failed(CommandError::Unwritable(error.to_string()));
        let Encoded { event_type, schema_version, key_id, data } = encode(event).map_err(failed)?;
        if data.len() > MAX_EVENT_BYTES {
            let (event_type, bytes) = (event_type.to_owned(), data.len());
            return Err(Unwritable::Refused(EventTooLarge { event_type, bytes, limit: MAX_EVENT_BYTES }.into()));
        }
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
    let Key { scope, fingerprint } = Key::of(&job.submission, &job.fingerprint, streams);
    Ok(Operation::Write(AppendUnit {
        command_id: job.submission.command_id,
        scope,
        fingerprint,
        reads: reads(streams),
        events: events.collect::<Result<_, Unwritable>>()?,
        correlation_id: job.submission.correlation_id,
        causation_id: job.submission.causation_id,
        actor: job.submission.actor.to_string(),
        trace: job.submission.trace.clone(),
    }))
}

/// The operation that checks what an answer rests on of which nothing is written.
fn check(job: &Job, streams: &Streams<'_>) -> Operation {
    let Key { scope, fingerprint } = Key::of(&job.submission, &job.fingerprint, streams);
    Operation::Check { command_id: job.submission.command_id, scope, fingerprint, reads: reads(streams) }
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

#[cfg(test)]
mod tests {
    use daybook_domain::{
        Actor, Command, Currency, Money, Quantity, Source, State,
        ids::{Channel, ExternalRef, OrderId, ProductId, Sku},
        order::{ImportedLine, Order, OrderImported, Totals},
    };
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{Submission, turns::SenderId};

    /// Nothing is loaded.
    struct Nothing;

    impl Source<State> for Nothing {
        fn find(&self, _: &StreamName) -> Option<(&State, i32)> {
            None
        }
    }

    fn job() -> Job {
        let body = json!({ "order_id": Uuid::nil(), "note": "n" });
        let command = Command::deserialize("AddNote", body).expect("a command").expect("a body");
        let submission = Submission::new(command, Uuid::nil(), Actor::Guest);
        Job::new(submission, false, |_| SenderId(0)).0
    }

    /// An order of more lines than any command writes.
    fn imported(lines: usize) -> Decision {
        let currency: Currency = "EUR".parse().expect("a currency");
        let nothing = Money::zero(currency);
        let (sku, product_id): (Sku, _) = ("s".repeat(64).parse().expect("a SKU"), ProductId(Uuid::nil()));
        let quantity = Quantity::ONE;
        let line = ImportedLine { sku, product_id, quantity, line_total: nothing, discount: nothing };
        let order_id = OrderId(Uuid::nil());
        let event = OrderImported {
            order_id,
            external_ref: "x".parse::<ExternalRef>().expect("a reference"),
            customer_id: None,
            customer_ref: None,
            channel: Channel::default(),
            currency,
            lines: vec![line; lines],
            totals: Totals { gross: nothing, discount: nothing, net: nothing },
            placed_at: DateTime::UNIX_EPOCH,
        };
        Decision::of::<Order>(&order_id, event)
    }

    #[test]
    fn a_decision_with_an_event_that_is_too_large_is_refused_with_the_size_and_another_is_written() {
        let (source, now) = (Nothing, DateTime::UNIX_EPOCH);
        let streams = Streams::over(&source);
        let large = write(&job(), &streams, &imported(10_000), now);
        let Err(Unwritable::Refused(refusal)) = large else { panic!("it is not refused") };
        let data = refusal.data();
        assert_eq!((refusal.code(), &data["event_type"]), ("event_too_large", &json!("order.OrderImported")));
        assert_eq!(data["limit"], json!(MAX_EVENT_BYTES));
        assert!(data["bytes"].as_u64() > data["limit"].as_u64(), "{data:?}");
        assert!(matches!(write(&job(), &streams, &imported(10), now), Ok(Operation::Write(_))));
    }
}
