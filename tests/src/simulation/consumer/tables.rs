//! The database of the consumers in memory: the book and the published positions. Each consumer has its checkpoints, its parked events
//! and a view of the events that it has processed. Every commit is judged at once.

use std::collections::{BTreeMap, HashMap, HashSet};

use daybook_event_store::{Head, RecordedEvent};
use daybook_event_stream::{
    EffectError, SharedEvent, Start, Topology,
    consumer::{
        ConsumerError,
        contract::{AssignedPartition, Checkpoint, CheckpointMove, Partition, Published, stay_within},
        parked::{Poisoned, divide},
    },
};
use uuid::Uuid;

use super::{HISTORY, adopters::Adoptions};

/// A step of a checkpoint, on its way to the database.
pub(super) type OwnedStep = (Partition, Checkpoint, (i64, i64));

/// The tables of the database.
#[derive(Default)]
pub(super) struct Tables {
    /// The book.
    pub(super) book: Vec<RecordedEvent>,
    /// The published position of each partition.
    pub(super) published: HashMap<Partition, Published>,
    /// The view of each consumer, by its name.
    pub(super) consumers: BTreeMap<&'static str, View>,
    /// A consumer whose transactions wait for a lock that another session holds.
    pub(super) locked: Option<&'static str>,
    /// The violations that were found.
    pub(super) violations: Vec<String>,
    /// The number of commits.
    pub(super) commits: u64,
    /// The number of commits that were refused because another process has the partition.
    pub(super) fenced: u64,
    /// The number of parked events.
    pub(super) parkings: u64,
    /// How often partitions were taken over.
    pub(super) takeovers: u64,
    /// How often a consumer has read the head of the book.
    pub(super) head_reads: u64,
    /// How often a step beyond the end of the book was refused.
    pub(super) refused: u64,
    /// The adoptions of partitions.
    pub(super) adoptions: Adoptions,
}

/// The data of one consumer.
#[derive(Default)]
pub(super) struct View {
    /// The checkpoint of each partition.
    pub(super) checkpoints: BTreeMap<Partition, Checkpoint>,
    /// The position after which the consumer has begun.
    pub(super) began: HashMap<Partition, i64>,
    /// Parked events, by position, with their streams.
    pub(super) parked: BTreeMap<i64, String>,
    /// The processed positions by stream, in the order of processing.
    pub(super) rows: BTreeMap<String, Vec<i64>>,
    /// The positions of the events that it cannot process.
    pub(super) poison: HashSet<i64>,
}

impl Tables {
    /// The data of a consumer.
    pub(super) fn view(&mut self, consumer: &'static str) -> &mut View {
        self.consumers.entry(consumer).or_default()
    }

    /// Creates the missing checkpoints of all partitions, and takes some of them over.
    pub(super) fn begin(
        &mut self,
        consumer: &'static str,
        all: &[Partition],
        partitions: &[Partition],
        start: Start,
    ) -> Vec<Checkpoint> {
        let position = if start == Start::Head { self.head().position } else { 0 };
        let view = self.view(consumer);
        for partition in all {
            if !view.checkpoints.contains_key(partition) {
                view.checkpoints.insert(partition.clone(), Checkpoint { offset: -1, position, generation: 0 });
                view.began.insert(partition.clone(), position);
            }
        }
        self.take(consumer, partitions)
    }

    /// Takes partitions over.
    pub(super) fn take(&mut self, consumer: &'static str, partitions: &[Partition]) -> Vec<Checkpoint> {
        self.takeovers += 1;
        let view = self.view(consumer);
        let take = |partition: &Partition| {
            let checkpoint = view.checkpoints.get_mut(partition)?;
            checkpoint.generation += 1;
            Some(*checkpoint)
        };
        partitions.iter().filter_map(take).collect()
    }

    /// The partitions in which a consumer is behind the published position.
    pub(super) fn behind(&mut self, consumer: &'static str) -> Vec<AssignedPartition> {
        let view = self.consumers.entry(consumer).or_default();
        let published = |partition: &Partition| self.published.get(partition).map_or(0, |published| published.last);
        let behind = view.checkpoints.iter().filter(|(partition, at)| at.position < published(partition));
        let behind = behind.map(|(partition, at)| AssignedPartition { partition: partition.clone(), checkpoint: *at });
        behind.collect()
    }

    /// The head of the book, for a statement that reads only that.
    pub(super) fn read_head(&mut self) -> Head {
        self.head_reads += 1;
        self.head()
    }

    fn head(&self) -> Head {
        Head { position: i64::try_from(self.book.len()).unwrap_or(i64::MAX), epoch: HISTORY }
    }

    /// Checks at the start of a transaction that its steps stay within the book.
    ///
    /// # Errors
    /// As the contract says.
    pub(super) fn check_bounds(&mut self, history: Uuid, steps: &[OwnedStep]) -> Result<(), ConsumerError> {
        let steps: Vec<CheckpointMove<'_>> =
            steps.iter().map(|(partition, from, to)| (partition, *from, *to)).collect();
        let checked = stay_within(&self.head(), history, &steps);
        self.refused += u64::from(checked.is_err());
        checked
    }

    /// Applies effect, parked events and checkpoints, all or none.
    ///
    /// # Errors
    /// As the contract says.
    pub(super) fn transact(
        &mut self,
        consumer: &'static str,
        topology: &Topology,
        events: &[SharedEvent],
        poisoned: &Poisoned,
        steps: &[OwnedStep],
    ) -> Result<Vec<Checkpoint>, ConsumerError> {
        let view = self.consumers.entry(consumer).or_default();
        let streams: HashSet<String> = view.parked.values().cloned().collect();
        let (parked, processed) = divide(events, &streams, poisoned);
        if let Some(event) = processed.iter().find(|event| view.poison.contains(&event.position)) {
            let (position, reason) = (event.position, "the event is poisoned".to_owned());
            return Err(EffectError::Poison { position, reason }.into());
        }
        if steps.iter().any(|(partition, from, _)| view.checkpoints.get(partition) != Some(from)) {
            self.fenced += 1;
            return Err(ConsumerError::Fenced);
        }
        for event in &*processed {
            view.rows.entry(event.stream_id.clone()).or_default().push(event.position);
        }
        self.parkings += u64::try_from(parked.len()).unwrap_or(0);
        view.parked.extend(parked.iter().map(|event| (event.position, event.stream_id.clone())));
        let moved = steps.iter().map(|(partition, from, (offset, position))| {
            let to = Checkpoint { offset: *offset, position: *position, ..*from };
            if to.position < from.position {
                let back = format!("the checkpoint of {partition:?} goes back from {} to {position}", from.position);
                self.violations.push(format!("{consumer}: {back}"));
            }
            view.checkpoints.insert(partition.clone(), to);
            to
        });
        let moved = moved.collect();
        self.commits += 1;
        let found = view.violations(&self.book, topology, steps.iter().map(|(partition, ..)| partition));
        self.violations.extend(found.into_iter().map(|violation| format!("{consumer}: {violation}")));
        Ok(moved)
    }
}

impl View {
    /// Removes the poison, and processes the parked events of every stream.
    pub(super) fn unpark(&mut self) {
        self.poison.clear();
        for (position, stream) in std::mem::take(&mut self.parked) {
            self.rows.entry(stream).or_default().push(position);
        }
    }

    /// The events of a partition that the consumer must process.
    pub(super) fn expected<'b>(
        &self,
        book: &'b [RecordedEvent],
        topology: &Topology,
        partition: &Partition,
    ) -> Vec<&'b RecordedEvent> {
        let began = self.began.get(partition).copied().unwrap_or(0);
        let own =
            |event: &&RecordedEvent| topology.is_in(event, &partition.topic, partition.nr) && event.position > began;
        book.iter().filter(own).collect()
    }

    /// Violations of this rule: the view and the parked events hold the events up to the checkpoint of a partition, once and in order.
    fn violations<'p>(
        &self,
        book: &[RecordedEvent],
        topology: &Topology,
        partitions: impl Iterator<Item = &'p Partition>,
    ) -> Vec<String> {
        let mut violations = Vec::new();
        for partition in partitions {
            let up_to = self.checkpoints[partition].position;
            let mut streams: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
            for event in self.expected(book, topology, partition) {
                let positions = streams.entry(&event.stream_id).or_default();
                if event.position <= up_to {
                    positions.push(event.position);
                }
            }
            for (stream, expected) in streams {
                let shown = self.rows.get(stream).cloned().unwrap_or_default();
                let parked = self.parked.iter().filter(|(_, parked)| *parked == stream).map(|(position, _)| *position);
                let has: Vec<i64> = shown.into_iter().chain(parked).collect();
                if has != expected {
                    violations.push(format!("{stream} has {has:?}, and up to {up_to} it should have {expected:?}"));
                }
            }
        }
        violations
    }
}
