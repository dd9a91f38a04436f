//! The promise of a batch, as a property: whatever another process has written meanwhile, a step is committed only on exactly
//! what it was decided on. A version says how many events a stream has, and not which; so the streams here hold names of
//! their writers, and every step remembers those it has seen.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::batch::{NewEvent, Unit};

/// Few streams and few commands, so that they are in each other's way.
const STREAMS: usize = 3;

/// What a command wants: to read some streams, and to write to some of those (none: it is refused).
#[derive(Debug, Clone)]
struct Wish {
    command: u8,
    reads: Vec<usize>,
    writes: Vec<usize>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let streams = || prop::collection::hash_set(0..STREAMS, 0..=STREAMS);
    (0..12_u8, streams(), streams()).prop_map(|(command, reads, writes)| Wish {
        command,
        reads: reads.union(&writes).copied().collect(),
        writes: writes.into_iter().collect(),
    })
}

fn name(stream: usize) -> Arc<str> {
    Arc::from(format!("stream-{stream}"))
}

/// Streams, as the names of those who wrote their events.
type Streams = HashMap<Arc<str>, Vec<String>>;

/// Why nothing was written: the versions that the streams are at, and the commands that are known.
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

    /// What `append_batch` does: everything is at the version that the plan rests on, and no command is known, or nothing is
    /// written and both answers say so.
    fn round(&mut self, plan: &Plan, decided: &[Decided]) -> Result<(), Refused> {
        let actual: Vec<_> = plan.base.iter().map(|(stream, _)| (Arc::clone(stream), self.version(stream))).collect();
        let ids = plan.accepted.iter().map(|&index| decided[index].step.command().0);
        let duplicates: Vec<_> = ids.filter(|id| self.commands.contains(id)).collect();
        if actual != plan.base || !duplicates.is_empty() {
            return Err((actual, duplicates));
        }
        for &index in &plan.accepted {
            let Decided { step, seen, writer } = &decided[index];
            for (stream, _) in step.reads() {
                let there = self.streams.get(stream).cloned().unwrap_or_default();
                assert_eq!(&there, &seen[stream], "{writer} was decided on something else");
            }
            if let Step::Write(unit) = step {
                assert!(self.commands.insert(unit.command_id), "a command is written once");
                for event in &unit.events {
                    self.streams.entry(Arc::clone(&event.stream_id)).or_default().push(writer.clone());
                }
            }
        }
        Ok(())
    }
}

/// A step, and what its decision has seen.
struct Decided {
    step: Step,
    seen: Streams,
    writer: String,
}

/// Decides wishes one after the other on a cached view, which moves on with each of them, as the sequencer does.
fn decide(wishes: &[Wish], mut cached: Streams) -> Vec<Decided> {
    let decide_one = |(nr, wish): (usize, &Wish)| {
        let seen: Streams = wish
            .reads
            .iter()
            .map(|&stream| (name(stream), cached.get(&name(stream)).cloned().unwrap_or_default()))
            .collect();
        let reads = seen.iter().map(|(stream, names)| (Arc::clone(stream), i32::try_from(names.len()).expect("few")));
        let (reads, writer) = (reads.collect(), format!("own-{nr}"));
        let command_id = Uuid::from_u128(u128::from(wish.command));
        for &stream in &wish.writes {
            cached.entry(name(stream)).or_default().push(writer.clone());
        }
        let step = if wish.writes.is_empty() {
            Step::Check { command_id, fingerprint: Vec::new(), reads }
        } else {
            let events = wish.writes.iter().map(|&stream| event(name(stream))).collect();
            let (correlation_id, causation_id) = (command_id, command_id);
            let actor = "test".to_owned();
            let fingerprint = Vec::new();
            Step::Write(Unit {
                command_id,
                fingerprint,
                reads,
                events,
                correlation_id,
                causation_id,
                actor,
                trace: None,
            })
        };
        Decided { step, seen, writer }
    };
    wishes.iter().enumerate().map(decide_one).collect()
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
    fn a_step_is_committed_only_on_what_it_was_decided_on(
        before in prop::collection::vec(0..STREAMS, 0..4),
        wishes in prop::collection::vec(wish(), 1..10),
        meanwhile in prop::collection::vec((any::<prop::sample::Index>(), 0..STREAMS, 0..12_u8), 0..5),
    ) {
        let mut book = Book::default();
        for stream in before {
            book.streams.entry(name(stream)).or_default().push("before".to_owned());
        }
        let decided = decide(&wishes, book.streams.clone());
        let steps: Vec<Step> = decided.iter().map(|decided| decided.step.clone()).collect();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; steps.len()];
        let mut known = HashMap::new();
        for round in 0.. {
            // Another process writes between any two rounds, at times the very commands that are on their way here.
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
            let plan = plan(&steps, &outcomes, &known);
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
                    for (outcome, step) in outcomes.iter_mut().zip(&steps) {
                        if outcome.is_none() && duplicates.contains(&step.command().0) {
                            *outcome =
                                Some(Outcome::Duplicate { first_position: 1, events: 1, same_fingerprint: true });
                        }
                    }
                }
            }
        }
    }
}
