//! The promises of the consumers, and whether a run has kept them.

use std::collections::BTreeMap;

use daybook_event_stream::Topology;

use super::{
    super::seeds::{Run, Verdict},
    BEYOND,
    tables::Tables,
};
use crate::nemesis::check::Check;

/// The outcome of a run, beside the tables.
pub(super) struct Outcome {
    /// Whether every consumer has reached the end of the book. The error names those that have not.
    pub(super) caught_up: Result<(), String>,
    /// Whether the others have reached the end beside a consumer that cannot commit. None where every consumer can commit.
    pub(super) held_up: Option<Result<(), String>>,
    /// How many messages did not fit into an inbox.
    pub(super) dropped: u64,
    /// How often a partition counted as stalled in a run without faults.
    pub(super) stalled_without_faults: Option<u64>,
    /// How often a consumer has subscribed.
    pub(super) subscribed: u64,
    /// Whether one process did not run a consumer that the others ran.
    pub(super) absent: bool,
}

/// Judges a run.
pub(super) fn judge(tables: &mut Tables, topology: &Topology, outcome: &Outcome, run: Run) -> Verdict {
    let counted = |name: &str, checked| Check { checked, ..Check::new(name) };
    let mut ends = Check::new("every consumer reaches the end of the book after the last fault");
    ends.holds(outcome.caught_up.is_ok(), || outcome.caught_up.clone().err().unwrap_or_default());
    let mut held_up = Check::new("a consumer that cannot commit holds up no other consumer");
    if let Some(others) = &outcome.held_up {
        held_up.holds(others.is_ok(), || others.clone().err().unwrap_or_default());
    }
    let mut stalled = Check::new("a partition counts as stalled only in a run with faults");
    if let Some(times) = outcome.stalled_without_faults {
        stalled.holds(times == 0, || format!("{times} times"));
    }
    let mut commits = counted("after every commit the view is a fold of the book up to the checkpoint", tables.commits);
    for violation in tables.violations.drain(..) {
        commits.violates(|| violation);
    }
    let mut beyond = counted("no checkpoint is beyond the end of the book", tables.refused);
    let name = "the head of the book is read when partitions are taken over, and not for each batch";
    let mut head = counted(name, tables.commits);
    let (head_reads, takeovers) = (tables.head_reads, tables.takeovers);
    head.holds(head_reads <= takeovers, || {
        format!("{head_reads} reads, and partitions were taken over {takeovers} times")
    });
    let mut fold = Check::new("at the end every view is a fold of the book, with its parked events");
    for (name, view) in &mut tables.consumers {
        for (partition, checkpoint) in &view.checkpoints {
            beyond
                .holds(checkpoint.position < BEYOND, || format!("{name}: {partition:?} is at {}", checkpoint.position));
        }
        view.unpark();
        let mut expected: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for event in view.checkpoints.keys().flat_map(|partition| view.expected(&tables.book, topology, partition)) {
            expected.entry(&event.stream_id).or_default().push(event.position);
        }
        for (stream, positions) in &expected {
            let shown = view.rows.get(*stream);
            fold.holds(shown == Some(positions), || format!("{name}: {stream} shows {shown:?}, not {positions:?}"));
        }
        fold.holds(view.rows.len() == expected.len(), || format!("{name} shows streams that are not its own"));
    }
    let checks = vec![
        ends,
        held_up,
        stalled,
        tables.adoptions.taken_again(),
        tables.adoptions.refused(),
        commits,
        counted("an event that cannot be processed is parked, with the later events of its stream", tables.parkings),
        counted("a process that has lost a partition cannot commit to it", tables.fenced),
        counted("messages that do not fit into an inbox are read from the book", outcome.dropped),
        counted("a consumer that subscribes while the feed runs misses no event", outcome.subscribed),
        counted(
            "another process moves on the partitions of a process that does not run the consumer",
            outcome.absent.into(),
        ),
        beyond,
        head,
        fold,
    ];
    Verdict { run, checks, accepted: tables.commits, ..Verdict::default() }
}
