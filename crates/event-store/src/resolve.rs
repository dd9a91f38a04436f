//! Which steps of a batch can be committed together: a pure simulation of their reads and writes, in order.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use crate::batch::{Outcome, Step};

/// The steps that hold together, by index, and the versions of the streams that they rest on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The steps that can be committed together, in order.
    pub(crate) accepted: Vec<usize>,
    /// What they rest on: each stream once, with the version it must be at before the batch.
    pub(crate) base: Vec<(Arc<str>, i32)>,
    /// The steps that cannot, each with the versions that its streams are at.
    pub(crate) conflicts: Vec<(usize, Outcome)>,
}

/// Walks through the steps that have no outcome yet, in order. A stream is at its `known` version where there is one, otherwise
/// at the version that the first step to read it expects; every accepted write moves it on. A step that repeats a command id of
/// this round stays pending: once the first one is written, the book shows that it is a duplicate.
///
/// A step that was decided on what an earlier one meant to write falls with that one. Its versions alone would not show that: another
/// process may have written as many events as the earlier one would have, and the numbers then fit what was never seen.
pub(crate) fn plan(steps: &[Step], outcomes: &[Option<Outcome>], known: &HashMap<Arc<str>, i32>) -> Plan {
    let mut plan = Plan::default();
    let mut now: HashMap<&Arc<str>, i32> = HashMap::new();
    let mut command_ids: HashSet<Uuid> = HashSet::new();
    let mut unwritten = Unwritten::default();
    for (index, (step, outcome)) in steps.iter().zip(outcomes).enumerate() {
        match outcome {
            None => {}
            Some(Outcome::Appended { .. } | Outcome::Confirmed) => continue,
            Some(Outcome::Conflict { .. } | Outcome::Duplicate { .. } | Outcome::Unacceptable { .. }) => {
                unwritten.add(step, Fate::Fallen);
                continue;
            }
        }
        if command_ids.contains(&step.command().0) {
            unwritten.add(step, Fate::Waiting);
            continue;
        }
        for (stream, expected) in step.reads() {
            if !now.contains_key(stream) {
                let version = known.get(stream).copied().unwrap_or(*expected);
                now.insert(stream, version);
                plan.base.push((Arc::clone(stream), version));
            }
        }
        let rests_on = unwritten.under(step);
        let is = |stream, expected| now.get(stream).copied().unwrap_or(expected);
        let stale: Vec<_> = step
            .reads()
            .iter()
            .filter(|(stream, expected)| is(stream, *expected) != *expected || rests_on.contains_key(stream))
            .map(|(stream, expected)| (Arc::clone(stream), is(stream, *expected)))
            .collect();
        if !stale.is_empty() {
            // Only what the book has said is a conflict, and what was decided on something that will not be written. Against what
            // another step merely expects, it waits for the next round.
            let has_fallen = rests_on.values().any(|fate| *fate == Fate::Fallen);
            if has_fallen || (rests_on.is_empty() && stale.iter().all(|(stream, _)| known.contains_key(stream))) {
                plan.conflicts.push((index, Outcome::Conflict { actual: stale }));
                unwritten.add(step, Fate::Fallen);
            } else {
                unwritten.add(step, Fate::Waiting);
            }
            continue;
        }
        if let Step::Write(unit) = step {
            command_ids.insert(unit.command_id);
            for event in &unit.events {
                if let Some(version) = now.get_mut(&event.stream_id) {
                    *version += 1;
                }
            }
        }
        plan.accepted.push(index);
    }
    plan
}

/// What becomes of a step that is not written in this round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It may be in the next one.
    Waiting,
    /// It never will be.
    Fallen,
}

/// What steps meant to write and have not written: by stream, the version that it was at before.
#[derive(Default)]
struct Unwritten<'s>(HashMap<&'s Arc<str>, (i32, Fate)>);

impl<'s> Unwritten<'s> {
    fn add(&mut self, step: &'s Step, fate: Fate) {
        let Step::Write(unit) = step else { return };
        for (stream, version) in &unit.reads {
            if unit.events.iter().any(|event| event.stream_id == *stream) {
                let first = self.0.entry(stream).or_insert((*version, fate));
                first.0 = first.0.min(*version);
                if fate == Fate::Fallen {
                    first.1 = fate;
                }
            }
        }
    }

    /// The streams of which a step has read more than was there before them.
    fn under(&self, step: &'s Step) -> HashMap<&'s Arc<str>, Fate> {
        let reads = step.reads().iter();
        let over = reads.filter_map(|(stream, expected)| {
            let (before, fate) = self.0.get(stream)?;
            (expected > before).then_some((stream, *fate))
        });
        over.collect()
    }
}

#[cfg(test)]
mod serialisable;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{NewEvent, Unit};

    fn write(id: u128, reads: &[(&str, i32)], writes: &[&str]) -> Step {
        let event = |stream: &&str| NewEvent {
            stream_id: Arc::from(*stream),
            event_type: "Happened".into(),
            schema_version: 1,
            event_id: Uuid::nil(),
            effective_at: None,
            key_id: None,
            data: "{}".to_owned(),
        };
        Step::Write(Unit {
            command_id: Uuid::from_u128(id),
            fingerprint: Vec::new(),
            reads: reads.iter().map(|(stream, version)| (Arc::from(*stream), *version)).collect(),
            events: writes.iter().map(event).collect(),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            actor: "test".to_owned(),
            trace: None,
        })
    }

    fn all(steps: &[Step]) -> Vec<Option<Outcome>> {
        vec![None; steps.len()]
    }

    #[test]
    fn a_step_may_rest_on_what_an_earlier_one_writes() {
        let steps = [
            write(1, &[("a", 5)], &["a", "a"]),
            write(2, &[("a", 7), ("b", 0)], &["b"]),
            Step::Check { command_id: Uuid::from_u128(3), fingerprint: Vec::new(), reads: vec![("b".into(), 1)] },
        ];
        let plan = plan(&steps, &all(&steps), &HashMap::new());
        assert_eq!(plan.accepted, [0, 1, 2]);
        assert_eq!(plan.base, [("a".into(), 5), ("b".into(), 0)]);
    }

    #[test]
    fn what_rests_on_a_stale_step_falls_with_it_even_if_the_version_happens_to_fit() {
        let steps = [write(1, &[("a", 5)], &["a"]), write(2, &[("a", 6)], &["a"]), write(3, &[("b", 1)], &["b"])];
        let plan = plan(&steps, &all(&steps), &HashMap::from([("a".into(), 6)]));
        let conflict = || Outcome::Conflict { actual: vec![("a".into(), 6)] };
        assert_eq!(plan.accepted, [2]);
        assert_eq!(
            plan.conflicts,
            [(0, conflict()), (1, conflict())],
            "version 6 is not the one that the second one saw"
        );
    }

    #[test]
    fn what_rests_on_a_step_of_an_earlier_round_that_fell_falls_as_well() {
        let check = |version| Step::Check {
            command_id: Uuid::from_u128(2),
            fingerprint: Vec::new(),
            reads: vec![("a".into(), version)],
        };
        let conflict = Outcome::Conflict { actual: vec![("b".into(), 9)] };
        let duplicate = Outcome::Duplicate { first_position: 1, events: 1, same_fingerprint: true };
        for fallen in [conflict, duplicate] {
            let steps = [write(1, &[("a", 5), ("b", 1)], &["a"]), check(6)];
            let on_top = plan(&steps, &[Some(fallen.clone()), None], &HashMap::from([("a".into(), 6)]));
            assert_eq!((on_top.accepted.len(), on_top.conflicts.len()), (0, 1), "after {fallen:?}");
            let steps = [write(1, &[("a", 5), ("b", 1)], &["a"]), check(5)];
            let beside = plan(&steps, &[Some(fallen.clone()), None], &HashMap::new());
            assert_eq!((beside.accepted.len(), beside.conflicts.len()), (1, 0), "after {fallen:?}");
        }
    }

    #[test]
    fn what_rests_on_a_step_that_waits_waits_with_it() {
        let again = || write(1, &[("a", 0)], &["a"]);
        let steps = [again(), write(1, &[("a", 1)], &["a"]), write(2, &[("a", 2)], &["a"])];
        let plan = plan(&steps, &all(&steps), &HashMap::new());
        assert_eq!((plan.accepted, plan.conflicts), (vec![0], vec![]));
    }

    #[test]
    fn of_two_that_expect_the_same_version_the_first_one_wins() {
        let steps = [write(1, &[("a", 5)], &["a"]), write(2, &[("a", 5)], &["a"])];
        let unknown = plan(&steps, &all(&steps), &HashMap::new());
        assert_eq!(
            (unknown.accepted, unknown.conflicts),
            (vec![0], vec![]),
            "the second one waits for the book's word"
        );
        let known = plan(&steps, &all(&steps), &HashMap::from([("a".into(), 5)]));
        assert_eq!(known.accepted, [0]);
        assert_eq!(known.conflicts, [(1, Outcome::Conflict { actual: vec![("a".into(), 6)] })]);
    }

    #[test]
    fn a_repeated_command_id_waits_for_the_first_one() {
        let steps = [write(1, &[("a", 0)], &["a"]), write(1, &[("a", 0)], &["a"])];
        let plan = plan(&steps, &all(&steps), &HashMap::new());
        assert_eq!((plan.accepted, plan.conflicts), (vec![0], vec![]));
    }
}
