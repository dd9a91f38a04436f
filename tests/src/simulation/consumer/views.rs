//! The database of the consumers in memory: the book, what was published, checkpoints, parked events, and a view that remembers which
//! events it has taken in. Every commit is judged at once.

use std::collections::{BTreeMap, HashMap, HashSet};

use daybook_event_store::{Head, RecordedEvent};
use daybook_event_stream::{
    EffectError, Topology,
    consumer::{
        ConsumerError,
        contract::{Checkpoint, Partition, Published, Step, stay_within},
        parked::{Poisoned, divide},
    },
};
use uuid::Uuid;

use super::HISTORY;

/// A step of a checkpoint, on its way to the database.
pub(super) type OwnedStep = (Partition, Checkpoint, (i64, i64));

/// All of it.
#[derive(Default)]
pub(super) struct Views {
    /// The book.
    pub(super) book: Vec<RecordedEvent>,
    /// What was published.
    pub(super) published: HashMap<Partition, Published>,
    /// How far the consumer is.
    pub(super) checkpoints: HashMap<Partition, Checkpoint>,
    /// Parked events, by position, with their streams.
    pub(super) parked: BTreeMap<i64, String>,
    /// The view: the positions that were taken in, by stream, in their order.
    pub(super) view: BTreeMap<String, Vec<i64>>,
    /// Events that cannot be taken in.
    pub(super) poison: HashSet<i64>,
    /// What was found wrong.
    pub(super) wrong: Vec<String>,
    /// How many commits there were.
    pub(super) commits: u64,
    /// How many were refused because the partition was somebody else's.
    pub(super) fenced: u64,
    /// How often events were parked.
    pub(super) parkings: u64,
    /// How often partitions were taken over.
    pub(super) takings: u64,
    /// How often somebody has asked how far the book goes.
    pub(super) measured: u64,
    /// How often what is not in the book was refused.
    pub(super) refused: u64,
}

impl Views {
    /// Takes partitions over; those that are new begin at the start.
    pub(super) fn take(&mut self, partitions: &[Partition]) -> Vec<Checkpoint> {
        self.takings += 1;
        let take = |partition: &Partition| {
            let first = Checkpoint { offset: -1, position: 0, generation: 0 };
            let checkpoint = self.checkpoints.entry(partition.clone()).or_insert(first);
            checkpoint.generation += 1;
            *checkpoint
        };
        partitions.iter().map(take).collect()
    }

    /// How far the book goes; the answer to a question of its own.
    pub(super) fn measure(&mut self) -> Head {
        self.measured += 1;
        self.head()
    }

    fn head(&self) -> Head {
        Head { position: i64::try_from(self.book.len()).unwrap_or(i64::MAX), epoch: HISTORY }
    }

    /// How a transaction begins.
    ///
    /// # Errors
    /// As the contract says.
    pub(super) fn look(&mut self, history: Uuid, steps: &[OwnedStep]) -> Result<(), ConsumerError> {
        let steps: Vec<Step<'_>> = steps.iter().map(|(partition, from, to)| (partition, *from, *to)).collect();
        let stays = stay_within(&self.head(), history, &steps);
        self.refused += u64::from(stays.is_err());
        stays
    }

    /// Effect, parked events and checkpoints: all of it or nothing.
    ///
    /// # Errors
    /// As the contract says.
    pub(super) fn transact(
        &mut self,
        topology: &Topology,
        events: &[RecordedEvent],
        poisoned: &Poisoned,
        steps: &[OwnedStep],
    ) -> Result<Vec<Checkpoint>, ConsumerError> {
        let streams: HashSet<String> = self.parked.values().cloned().collect();
        let (aside, taken) = divide(events, &streams, poisoned);
        if let Some(event) = taken.iter().find(|event| self.poison.contains(&event.position)) {
            let (position, reason) = (event.position, "it tastes bad".to_owned());
            return Err(EffectError::Poison { position, reason }.into());
        }
        if steps.iter().any(|(partition, from, _)| self.checkpoints.get(partition) != Some(from)) {
            self.fenced += 1;
            return Err(ConsumerError::Fenced);
        }
        for event in &*taken {
            self.view.entry(event.stream_id.clone()).or_default().push(event.position);
        }
        self.parkings += u64::try_from(aside.len()).unwrap_or(0);
        self.parked.extend(aside.iter().map(|event| (event.position, event.stream_id.clone())));
        let moved = steps.iter().map(|(partition, from, (offset, position))| {
            let to = Checkpoint { offset: *offset, position: *position, ..*from };
            if to.position < from.position {
                self.wrong
                    .push(format!("the checkpoint of {partition:?} goes back from {} to {position}", from.position));
            }
            self.checkpoints.insert(partition.clone(), to);
            to
        });
        let moved = moved.collect();
        self.commits += 1;
        self.judge(topology, steps);
        Ok(moved)
    }

    /// Mends the cause, and takes the parked events of every stream in.
    pub(super) fn unpark(&mut self) {
        self.poison.clear();
        for (position, stream) in std::mem::take(&mut self.parked) {
            self.view.entry(stream).or_default().push(position);
        }
    }

    /// Up to its checkpoint, and no further, a partition is in the view or parked: each event once and in order.
    fn judge(&mut self, topology: &Topology, steps: &[OwnedStep]) {
        for (partition, _, _) in steps {
            let up_to = self.checkpoints[partition].position;
            let own = self.book.iter().filter(|event| topology.is_in(event, &partition.topic, partition.nr));
            let mut streams: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
            for event in own {
                let positions = streams.entry(&event.stream_id).or_default();
                if event.position <= up_to {
                    positions.push(event.position);
                }
            }
            for (stream, expected) in streams {
                let shown = self.view.get(stream).cloned().unwrap_or_default();
                let parked = self.parked.iter().filter(|(_, parked)| *parked == stream).map(|(position, _)| *position);
                let there: Vec<i64> = shown.into_iter().chain(parked).collect();
                if there != expected {
                    let said = format!("{stream} has {there:?}, its partition is at {up_to}: {expected:?}");
                    self.wrong.push(said);
                }
            }
        }
    }
}
