//! The database of the consumers in memory: the book, what was published, and for each consumer its checkpoints, its parked events and
//! a view that remembers which events it has processed. Every commit is judged at once.

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

/// All of it.
#[derive(Default)]
pub(super) struct Tables {
    /// The book.
    pub(super) book: Vec<RecordedEvent>,
    /// What was published.
    pub(super) published: HashMap<Partition, Published>,
    /// What each consumer has, by its name.
    pub(super) consumers: BTreeMap<&'static str, View>,
    /// A consumer whose transactions wait for a lock that another session holds.
    pub(super) locked: Option<&'static str>,
    /// What was found wrong.
    pub(super) wrong: Vec<String>,
    /// How many commits there were.
    pub(super) commits: u64,
    /// How many were refused because the partition was another process's.
    pub(super) fenced: u64,
    /// How often events were parked.
    pub(super) parkings: u64,
    /// How often partitions were taken over.
    pub(super) takings: u64,
    /// How often a consumer has asked how far the book goes.
    pub(super) measured: u64,
    /// How often what is not in the book was refused.
    pub(super) refused: u64,
    /// The adoptions of partitions.
    pub(super) adoptions: Adoptions,
}

/// What one consumer has.
#[derive(Default)]
pub(super) struct View {
    /// How far it is.
    pub(super) checkpoints: BTreeMap<Partition, Checkpoint>,
    /// The position after which it has begun.
    pub(super) began: HashMap<Partition, i64>,
    /// Parked events, by position, with their streams.
    pub(super) parked: BTreeMap<i64, String>,
    /// The positions that were processed, by stream, in their order.
    pub(super) rows: BTreeMap<String, Vec<i64>>,
    /// Events that it cannot process.
    pub(super) poison: HashSet<i64>,
}

impl Tables {
    /// What a consumer has.
    pub(super) fn view(&mut self, consumer: &'static str) -> &mut View {
        self.consumers.entry(consumer).or_default()
    }

    /// Begins with partitions of a consumer that has these in all.
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
        self.takings += 1;
        let view = self.view(consumer);
        let take = |partition: &Partition| {
            let checkpoint = view.checkpoints.get_mut(partition)?;
            checkpoint.generation += 1;
            Some(*checkpoint)
        };
        partitions.iter().filter_map(take).collect()
    }

    /// The partitions in which a consumer is behind what was published to them.
    pub(super) fn behind(&mut self, consumer: &'static str) -> Vec<AssignedPartition> {
        let view = self.consumers.entry(consumer).or_default();
        let published = |partition: &Partition| self.published.get(partition).map_or(0, |published| published.last);
        let behind = view.checkpoints.iter().filter(|(partition, at)| at.position < published(partition));
        let behind = behind.map(|(partition, at)| AssignedPartition { partition: partition.clone(), checkpoint: *at });
        behind.collect()
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
        let steps: Vec<CheckpointMove<'_>> =
            steps.iter().map(|(partition, from, to)| (partition, *from, *to)).collect();
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
            let (position, reason) = (event.position, "it tastes bad".to_owned());
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
                let wrong = format!("the checkpoint of {partition:?} goes back from {} to {position}", from.position);
                self.wrong.push(format!("{consumer}: {wrong}"));
            }
            view.checkpoints.insert(partition.clone(), to);
            to
        });
        let moved = moved.collect();
        self.commits += 1;
        let wrong = view.wrong(&self.book, topology, steps.iter().map(|(partition, ..)| partition));
        self.wrong.extend(wrong.into_iter().map(|wrong| format!("{consumer}: {wrong}")));
        Ok(moved)
    }
}

impl View {
    /// Mends the cause, and processes the parked events of every stream.
    pub(super) fn unpark(&mut self) {
        self.poison.clear();
        for (position, stream) in std::mem::take(&mut self.parked) {
            self.rows.entry(stream).or_default().push(position);
        }
    }

    /// The events of a partition that the consumer gets.
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

    /// Up to its checkpoint, and no further, a partition is in the view or parked: each event once and in order. Says what is not so.
    fn wrong<'p>(
        &self,
        book: &[RecordedEvent],
        topology: &Topology,
        partitions: impl Iterator<Item = &'p Partition>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
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
                    wrong.push(format!("{stream} has {has:?}, its partition is at {up_to}: {expected:?}"));
                }
            }
        }
        wrong
    }
}
