//! What makes processes adopt partitions, and how they do it. A process that hangs in a transaction, or reads the book slowly,
//! has partitions that do not move. Others adopt them, and compete with each other and with the process that comes back.

use std::{collections::HashSet, sync::PoisonError};

use daybook_event_stream::consumer::{
    ConsumerError,
    contract::{AssignedPartition, ConsumerEnvironment, Partition},
};

use super::{environment::Environment, tables::Tables};

impl Environment {
    fn adopted<T>(&self, on: impl FnOnce(&mut HashSet<Partition>) -> T) -> T {
        on(&mut self.adopter.adopted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The feed has assigned partitions.
    pub(super) fn assigned(&self, partitions: &[Partition]) {
        self.adopted(|adopted| adopted.retain(|adopted| !partitions.contains(adopted)));
    }

    /// The consumer takes partitions again after a failure.
    pub(super) fn takes_again(&self, partitions: &[Partition]) {
        let of_others = self.adopted(|adopted| {
            let of_others = partitions.iter().filter(|partition| adopted.contains(*partition));
            of_others.cloned().collect::<Vec<_>>()
        });
        if !of_others.is_empty() {
            let violation = format!("{} takes {of_others:?} again", self.consumer);
            self.server.tables().adoptions.taken_again.push(violation);
        }
    }

    /// Adopts partitions.
    pub(super) async fn adopt_unmoved(
        &self,
        orphans: &[AssignedPartition],
    ) -> Result<Vec<AssignedPartition>, ConsumerError> {
        self.adopted(|adopted| adopted.extend(orphans.iter().map(|orphan| orphan.partition.clone())));
        let (consumer, orphans) = (self.consumer, orphans.to_vec());
        let adopt = move |tables: &mut Tables, _| tables.adopt(consumer, orphans);
        Ok(self.server.ask("adopt partitions", adopt).await?)
    }

    /// Hangs in the first transaction, where the plan wants that.
    pub(super) async fn hang(&self) {
        let hang = self.adopter.hang.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(time) = hang {
            self.sleep(time).await;
        }
    }

    /// Reads slowly, where the plan wants that.
    pub(super) async fn linger(&self) {
        if !self.adopter.slow_read.is_zero() {
            self.sleep(self.adopter.slow_read).await;
        }
    }
}

impl Tables {
    /// Takes partitions over whose checkpoints are still the given ones.
    fn adopt(&mut self, consumer: &'static str, mut orphans: Vec<AssignedPartition>) -> Vec<AssignedPartition> {
        let found = orphans.len();
        let checkpoints = &self.view(consumer).checkpoints;
        orphans.retain(|orphan| checkpoints.get(&orphan.partition) == Some(&orphan.checkpoint));
        let count = |number: usize| u64::try_from(number).unwrap_or(0);
        self.adoptions.adopted += count(orphans.len());
        self.adoptions.refused += count(found - orphans.len());
        let partitions: Vec<Partition> = orphans.into_iter().map(|orphan| orphan.partition).collect();
        let checkpoints = self.take(consumer, &partitions);
        let adopted = partitions.into_iter().zip(checkpoints);
        adopted.map(|(partition, checkpoint)| AssignedPartition { partition, checkpoint }).collect()
    }
}
