//! The guarantee of a batch as a property: an operation is committed only on exactly the events that it was decided on, even while
//! another process writes. A version counts the events of a stream, and does not identify them. So the streams here hold the names
//! of the writers, and every operation keeps the names that it has read.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::batch::{AppendUnit, NewEvent};

/// Few streams and few commands, so that they conflict.
const STREAMS: usize = 3;

/// A command: the streams that it reads, and those of them that it writes to (none: it is refused).
#[derive(Debug, Clone)]
struct Request {
    command: u8,
    reads: Vec<usize>,
    writes: Vec<usize>,
}

fn request() -> impl Strategy<Value = Request> {
    let streams = || prop::collection::hash_set(0..STREAMS, 0..=STREAMS);
    (0..12_u8, streams(), streams()).prop_map(|(command, reads, writes)| Request {
        command,
        reads: reads.union(&writes).copied().collect(),
        writes: writes.into_iter().collect(),
    })
}

fn name(stream: usize) -> Arc<str> {
    Arc::from(format!("stream-{stream}"))
}

/// Streams. Each is the list of the writers of its events.
type Streams = HashMap<Arc<str>, Vec<String>>;

/// Why nothing was written: the present versions of the streams, and the commands that are in the book.
type Refused = (Vec<(Arc<str>, i32)>, Vec<Uuid>);

/// A book in memory.
#[derive(Default)]
struct Book {
    streams: Streams,
    commands: HashSet<Uuid>,
}

impl Book {
    fn version(&self, stream: &Arc<str>) -> i32 {
        i32::try_from(self.streams.get(stream).map_or(0, Vec::len)).expect("few")
    }

    /// Does what `append_batch` does. It writes if every stream is at the version of the plan and no command is in the book. Otherwise
    /// it writes nothing, and returns the versions and the known commands.
    fn round(&mut self, plan: &Plan, decided: &[Decided]) -> Result<(), Refused> {
        let actual: Vec<_> = plan.base.iter().map(|(stream, _)| (Arc::clone(stream), self.version(stream))).collect();
        let ids = plan.accepted.iter().map(|&index| decided[index].operation.command().0);
        let duplicates: Vec<_> = ids.filter(|id| self.commands.contains(id)).collect();
        if actual != plan.base || !duplicates.is_empty() {
            return Err((actual, duplicates));
        }
        for &index in &plan.accepted {
            let Decided { operation, seen, writer } = &decided[index];
            for (stream, _) in operation.reads() {
                let actual = self.streams.get(stream).cloned().unwrap_or_default();
                assert_eq!(&actual, &seen[stream], "{writer} was decided on something else");
            }
            if let Operation::Write(unit) = operation {
                assert!(self.commands.insert(unit.command_id), "a command is written once");
                for event in &unit.events {
                    self.streams.entry(Arc::clone(&event.stream_id)).or_default().push(writer.clone());
                }
            }
        }
        Ok(())
    }
}

/// An operation, and what its decision has read.
struct Decided {
    operation: Operation,
    seen: Streams,
    writer: String,
}

/// Decides requests one after the other on cached streams, as the sequencer does. Each decision changes the cached streams.
fn decide(requests: &[Request], mut cached: Streams) -> Vec<Decided> {
    let decide_one = |(nr, request): (usize, &Request)| {
        let seen: Streams = request
            .reads
            .iter()
            .map(|&stream| (name(stream), cached.get(&name(stream)).cloned().unwrap_or_default()))
            .collect();
        let reads = seen.iter().map(|(stream, names)| (Arc::clone(stream), i32::try_from(names.len()).expect("few")));
        let (reads, writer) = (reads.collect(), format!("own-{nr}"));
        let command_id = Uuid::from_u128(u128::from(request.command));
        for &stream in &request.writes {
            cached.entry(name(stream)).or_default().push(writer.clone());
        }
        let operation = if request.writes.is_empty() {
            Operation::Check { command_id, scope: "test".to_owned(), fingerprint: Vec::new(), reads }
        } else {
            let events = request.writes.iter().map(|&stream| event(name(stream))).collect();
            let (correlation_id, causation_id) = (command_id, command_id);
            let actor = "test".to_owned();
            let fingerprint = Vec::new();
            Operation::Write(AppendUnit {
                command_id,
                scope: actor.clone(),
                fingerprint,
                reads,
                events,
                correlation_id,
                causation_id,
                actor,
                trace: None,
            })
        };
        Decided { operation, seen, writer }
    };
    requests.iter().enumerate().map(decide_one).collect()
}

fn event(stream_id: Arc<str>) -> NewEvent {
    NewEvent {
        stream_id,
        event_type: "Happened".into(),
        schema_version: 1,
        event_id: Uuid::nil(),
        effective_at: None,
        key_id: None,
        data: "{}".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_operation_is_committed_only_on_what_it_was_decided_on(
        before in prop::collection::vec(0..STREAMS, 0..4),
        requests in prop::collection::vec(request(), 1..10),
        meanwhile in prop::collection::vec((any::<prop::sample::Index>(), 0..STREAMS, 0..12_u8), 0..5),
    ) {
        let mut book = Book::default();
        for stream in before {
            book.streams.entry(name(stream)).or_default().push("before".to_owned());
        }
        let decided = decide(&requests, book.streams.clone());
        let operations: Vec<Operation> = decided.iter().map(|decided| decided.operation.clone()).collect();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; operations.len()];
        let mut known = HashMap::new();
        for round in 0.. {
            // Another process writes between two rounds, sometimes the same commands as this batch.
            for (when, stream, command) in &meanwhile {
                if when.index(4) == round {
                    book.streams.entry(name(*stream)).or_default().push(format!("other-{round}"));
                    book.commands.insert(Uuid::from_u128(u128::from(*command)));
                }
            }
            if outcomes.iter().all(Option::is_some) {
                break;
            }
            prop_assert!(round < 200, "it ends");
            let plan = plan(&operations, &outcomes, &known);
            for (index, conflict) in &plan.conflicts {
                outcomes[*index] = Some(conflict.clone());
            }
            match book.round(&plan, &decided) {
                Ok(()) => {
                    for &index in &plan.accepted {
                        outcomes[index] = Some(Outcome::Confirmed);
                    }
                    known.clear();
                }
                Err((actual, duplicates)) => {
                    known.extend(actual);
                    for (outcome, operation) in outcomes.iter_mut().zip(&operations) {
                        if outcome.is_none() && duplicates.contains(&operation.command().0) {
                            *outcome =
                                Some(Outcome::Duplicate { first_position: 1, events: 1, same_fingerprint: true });
                        }
                    }
                }
            }
        }
    }
}
