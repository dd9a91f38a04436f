//! Finds the operations of a batch that can be committed together. It simulates their reads and writes in order, without IO.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use crate::batch::{Operation, Outcome};

/// The plan of a round: which operations are committed, and the versions that they require.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The indices of the operations that can be committed together, in order.
    pub(crate) accepted: Vec<usize>,
    /// The versions that they require: each stream once, with its version before the batch.
    pub(crate) base: Vec<(Arc<str>, i32)>,
    /// The indices of the operations that cannot be committed, each with its conflict.
    pub(crate) conflicts: Vec<(usize, Outcome)>,
}

/// Plans a round of the operations that have no outcome yet, in order. A stream begins at its `known` version. If that is not known,
/// it begins at the version that the first operation to read it expects. Every accepted write advances it. An operation that repeats a
/// command of this round, by id and scope, waits: after the first one is written, the book shows the duplicate.
///
/// An operation fails if it was decided on events of an earlier operation that fails. Versions alone would not show that: another
/// process may have written just as many events, and the version would then match other events.
pub(crate) fn plan(operations: &[Operation], outcomes: &[Option<Outcome>], known: &HashMap<Arc<str>, i32>) -> Plan {
    let mut plan = Plan::default();
    let mut now: HashMap<&Arc<str>, i32> = HashMap::new();
    let mut commands: HashSet<(Uuid, &str)> = HashSet::new();
    let mut unwritten = Unwritten::default();
    for (index, (operation, outcome)) in operations.iter().zip(outcomes).enumerate() {
        match outcome {
            None => {}
            Some(Outcome::Appended { .. } | Outcome::Confirmed) => continue,
            Some(
                Outcome::Conflict { .. }
                | Outcome::Duplicate { .. }
                | Outcome::InvalidData { .. }
                | Outcome::NotWritten { .. },
            ) => {
                unwritten.add(operation, Fate::Failed);
                continue;
            }
        }
        if commands.contains(&operation.command()) {
            unwritten.add(operation, Fate::Waiting);
            continue;
        }
        for (stream, expected) in operation.reads() {
            if !now.contains_key(stream) {
                let version = known.get(stream).copied().unwrap_or(*expected);
                now.insert(stream, version);
                plan.base.push((Arc::clone(stream), version));
            }
        }
        let rests_on = unwritten.under(operation);
        let is = |stream, expected| now.get(stream).copied().unwrap_or(expected);
        let stale: Vec<_> = operation
            .reads()
            .iter()
            .filter(|(stream, expected)| is(stream, *expected) != *expected || rests_on.contains_key(stream))
            .map(|(stream, expected)| (Arc::clone(stream), is(stream, *expected)))
            .collect();
        if !stale.is_empty() {
            // Two cases are conflicts: the book's own version differs, or the operation rests on a failed one. If it differs only from
            // the version that another operation expects, it waits for the next round.
            let has_failed = rests_on.values().any(|fate| *fate == Fate::Failed);
            if has_failed || (rests_on.is_empty() && stale.iter().all(|(stream, _)| known.contains_key(stream))) {
                plan.conflicts.push((index, Outcome::Conflict { actual: stale }));
                unwritten.add(operation, Fate::Failed);
            } else {
                unwritten.add(operation, Fate::Waiting);
            }
            continue;
        }
        if let Operation::Write(unit) = operation {
            commands.insert(operation.command());
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

/// The state of an operation that is not written in this round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It may be written in the next round.
    Waiting,
    /// It is never written.
    Failed,
}

/// The streams of operations that are not written, each with its version before those operations.
#[derive(Default)]
struct Unwritten<'s>(HashMap<&'s Arc<str>, (i32, Fate)>);

impl<'s> Unwritten<'s> {
    fn add(&mut self, operation: &'s Operation, fate: Fate) {
        let Operation::Write(unit) = operation else { return };
        for (stream, version) in &unit.reads {
            if unit.events.iter().any(|event| event.stream_id == *stream) {
                let first = self.0.entry(stream).or_insert((*version, fate));
                first.0 = first.0.min(*version);
                if fate == Fate::Failed {
                    first.1 = fate;
                }
            }
        }
    }

    /// The streams whose version in the read set of an operation counts unwritten events.
    fn under(&self, operation: &'s Operation) -> HashMap<&'s Arc<str>, Fate> {
        let reads = operation.reads().iter();
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
    use crate::batch::{AppendUnit, NewEvent};

    fn write(id: u128, reads: &[(&str, i32)], writes: &[&str]) -> Operation {
        let event = |stream: &&str| NewEvent {
            stream_id: Arc::from(*stream),
            event_type: "Happened".into(),
            schema_version: 1,
            event_id: Uuid::nil(),
            effective_at: None,
            key_id: None,
            data: "{}".to_owned(),
        };
        Operation::Write(AppendUnit {
            command_id: Uuid::from_u128(id),
            scope: "test".to_owned(),
            fingerprint: Vec::new(),
            reads: reads.iter().map(|(stream, version)| (Arc::from(*stream), *version)).collect(),
            events: writes.iter().map(event).collect(),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            actor: "test".to_owned(),
            trace: None,
        })
    }

    fn all(operations: &[Operation]) -> Vec<Option<Outcome>> {
        vec![None; operations.len()]
    }

    #[test]
    fn an_operation_may_rest_on_what_an_earlier_one_writes() {
        let operations = [
            write(1, &[("a", 5)], &["a", "a"]),
            write(2, &[("a", 7), ("b", 0)], &["b"]),
            Operation::Check {
                command_id: Uuid::from_u128(3),
                scope: "test".to_owned(),
                fingerprint: Vec::new(),
                reads: vec![("b".into(), 1)],
            },
        ];
        let plan = plan(&operations, &all(&operations), &HashMap::new());
        assert_eq!(plan.accepted, [0, 1, 2]);
        assert_eq!(plan.base, [("a".into(), 5), ("b".into(), 0)]);
    }

    #[test]
    fn what_rests_on_a_stale_operation_fails_with_it_even_if_the_version_matches() {
        let operations = [write(1, &[("a", 5)], &["a"]), write(2, &[("a", 6)], &["a"]), write(3, &[("b", 1)], &["b"])];
        let plan = plan(&operations, &all(&operations), &HashMap::from([("a".into(), 6)]));
        let conflict = || Outcome::Conflict { actual: vec![("a".into(), 6)] };
        assert_eq!(plan.accepted, [2]);
        assert_eq!(
            plan.conflicts,
            [(0, conflict()), (1, conflict())],
            "version 6 is another event than the second operation has read"
        );
    }

    #[test]
    fn what_rests_on_a_failed_operation_of_an_earlier_round_fails_as_well() {
        let check = |version| Operation::Check {
            command_id: Uuid::from_u128(2),
            scope: "test".to_owned(),
            fingerprint: Vec::new(),
            reads: vec![("a".into(), version)],
        };
        let conflict = Outcome::Conflict { actual: vec![("b".into(), 9)] };
        let duplicate = Outcome::Duplicate { first_position: 1, events: 1, same_fingerprint: true };
        for failed in [conflict, duplicate] {
            let operations = [write(1, &[("a", 5), ("b", 1)], &["a"]), check(6)];
            let on_top = plan(&operations, &[Some(failed.clone()), None], &HashMap::from([("a".into(), 6)]));
            assert_eq!((on_top.accepted.len(), on_top.conflicts.len()), (0, 1), "after {failed:?}");
            let operations = [write(1, &[("a", 5), ("b", 1)], &["a"]), check(5)];
            let beside = plan(&operations, &[Some(failed.clone()), None], &HashMap::new());
            assert_eq!((beside.accepted.len(), beside.conflicts.len()), (1, 0), "after {failed:?}");
        }
    }

    #[test]
    fn what_rests_on_a_waiting_operation_waits_with_it() {
        let again = || write(1, &[("a", 0)], &["a"]);
        let operations = [again(), write(1, &[("a", 1)], &["a"]), write(2, &[("a", 2)], &["a"])];
        let plan = plan(&operations, &all(&operations), &HashMap::new());
        assert_eq!((plan.accepted, plan.conflicts), (vec![0], vec![]));
    }

    #[test]
    fn of_two_operations_that_expect_the_same_version_the_first_wins() {
        let operations = [write(1, &[("a", 5)], &["a"]), write(2, &[("a", 5)], &["a"])];
        let unknown = plan(&operations, &all(&operations), &HashMap::new());
        assert_eq!(
            (unknown.accepted, unknown.conflicts),
            (vec![0], vec![]),
            "the second operation waits until the book shows the version"
        );
        let known = plan(&operations, &all(&operations), &HashMap::from([("a".into(), 5)]));
        assert_eq!(known.accepted, [0]);
        assert_eq!(known.conflicts, [(1, Outcome::Conflict { actual: vec![("a".into(), 6)] })]);
    }

    #[test]
    fn a_repeated_command_id_waits_for_the_first_operation() {
        let operations = [write(1, &[("a", 0)], &["a"]), write(1, &[("a", 0)], &["a"])];
        let plan = plan(&operations, &all(&operations), &HashMap::new());
        assert_eq!((plan.accepted, plan.conflicts), (vec![0], vec![]));
    }
}
