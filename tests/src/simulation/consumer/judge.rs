//! What the consumers have promised, and whether it was so.

use std::collections::BTreeMap;

use daybook_event_stream::Topology;

use super::{
    super::seeds::{Told, Verdict},
    BEYOND,
    tables::Tables,
};
use crate::nemesis::check::Check;

/// What came of a story, beside what the tables say.
pub(super) struct End {
    /// Who does not come to the end of the book, where somebody does not.
    pub(super) caught_up: Result<(), String>,
    /// Whether a consumer that could not commit has held up the others; none where all could.
    pub(super) held_up: Option<Result<(), String>>,
    /// How many messages did not fit into an inbox.
    pub(super) dropped: u64,
    /// How often a partition was taken for stalled, where nothing went wrong.
    pub(super) calm_stalled: Option<u64>,
    /// How often a consumer has subscribed.
    pub(super) subscribed: u64,
    /// Whether a process did not run a consumer that the others ran.
    pub(super) absent: bool,
}

/// Judges a story.
pub(super) fn judge(tables: &mut Tables, topology: &Topology, end: &End, told: Told) -> Verdict {
    let counted = |name: &str, checked| Check { checked, ..Check::new(name) };
    let mut ends = Check::new("everybody comes to the end of the book when nothing goes wrong any more");
    ends.holds(end.caught_up.is_ok(), || end.caught_up.clone().err().unwrap_or_default());
    let mut held_up = Check::new("a consumer that cannot commit holds up no other consumer");
    if let Some(others) = &end.held_up {
        held_up.holds(others.is_ok(), || others.clone().err().unwrap_or_default());
    }
    let mut stalled = Check::new("a partition is taken for stalled only where something went wrong");
    if let Some(times) = end.calm_stalled {
        stalled.holds(times == 0, || format!("{times} times"));
    }
    let mut commits = counted(
        "after every commit the view is a fold of the book up to the checkpoint, and no further",
        tables.commits,
    );
    for wrong in tables.wrong.drain(..) {
        commits.violates(|| wrong);
    }
    let mut beyond = counted("a checkpoint goes no further than the book", tables.refused);
    let name = "how far the book goes is asked only when partitions are taken over, not for a batch";
    let mut asked = counted(name, tables.commits);
    let (measured, takings) = (tables.measured, tables.takings);
    asked.holds(measured <= takings, || format!("{measured} questions, and partitions were taken {takings} times"));
    let mut fold = Check::new("in the end every view is a fold of the book, also of what was parked");
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
        counted("what cannot be processed is parked, and what comes after it in its stream", tables.parkings),
        counted("a process that has lost a partition cannot commit", tables.fenced),
        counted("what does not fit into an inbox is filled from the book", end.dropped),
        counted("a consumer that subscribes while the feed runs misses nothing", end.subscribed),
        counted("partitions of a process that does not run a consumer are processed by another one", end.absent.into()),
        beyond,
        asked,
        fold,
    ];
    Verdict { told, checks, accepted: tables.commits, ..Verdict::default() }
}
