//! Partitions of a consumer that no process moves on.
//!
//! The members of a group share its partitions, whatever program they run. During an upgrade, a member of an earlier program does not
//! know a consumer of a later one, or leaves it alone. That member's partitions of the consumer would stand still until it ends.
//! So a process that runs the consumer looks for partitions that are behind and do not move, adopts them, and fills them from the book.
//!
//! Of several such processes one adopts a partition. It gives up at its first failure, and looks again later. The member that has the
//! partition may only have been slow: then the fence ends the adoption, and the member continues.

use std::{collections::HashMap, time::Duration};

use super::contract::{AssignedPartition, Checkpoint, Partition};

/// How often a consumer looks for such partitions. A process that fills gaps moves its checkpoints more often than a few looks take.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// At so many looks in a row, a partition has to be behind and where it was: longer than partitions take to find another process.
const LOOKS: u32 = 4;

/// What was seen of the partitions that other processes have.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Where each partition that was behind stood at the last look, and at how many looks in a row.
    seen: HashMap<Partition, (Checkpoint, u32)>,
    /// Where this process has left the partitions that it adopted.
    adopted: HashMap<Partition, Checkpoint>,
}

impl Orphans {
    /// Looks at the partitions that are behind. Returns those that no process moves on, with their checkpoints. `is_own` says which
    /// partitions this process has.
    pub(super) fn find(
        &mut self,
        behind: Vec<AssignedPartition>,
        is_own: impl Fn(&Partition) -> bool,
    ) -> Vec<AssignedPartition> {
        self.adopted.retain(|partition, _| !is_own(partition));
        let before = std::mem::take(&mut self.seen);
        let mut orphans = Vec::new();
        for AssignedPartition { partition, checkpoint } in
            behind.into_iter().filter(|behind| !is_own(&behind.partition))
        {
            let looks = before.get(&partition).filter(|(was, _)| *was == checkpoint).map_or(1, |(_, looks)| looks + 1);
            // What this process has moved last has no other owner yet.
            if looks >= LOOKS || self.adopted.get(&partition) == Some(&checkpoint) {
                orphans.push(AssignedPartition { partition, checkpoint });
            } else {
                self.seen.insert(partition, (checkpoint, looks));
            }
        }
        orphans
    }

    /// Notes how far this process has brought partitions.
    pub(super) fn note_adopted(&mut self, adopted: Vec<AssignedPartition>) {
        self.adopted.extend(adopted.into_iter().map(|adopted| (adopted.partition, adopted.checkpoint)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: i64, generation: i64) -> AssignedPartition {
        let partition = Partition { topic: "order".to_owned(), nr: 0 };
        AssignedPartition { partition, checkpoint: Checkpoint { offset: position, position, generation } }
    }

    /// How many of so many looks find the partition.
    fn found(orphans: &mut Orphans, looks: u32, at: &AssignedPartition) -> usize {
        (0..looks).map(|_| orphans.find(vec![at.clone()], |_| false).len()).sum()
    }

    #[test]
    fn a_partition_that_is_behind_and_does_not_move_is_an_orphan() {
        let mut orphans = Orphans::default();
        assert_eq!(found(&mut orphans, LOOKS - 1, &at(3, 1)), 0, "it may just be slow");
        assert_eq!(found(&mut orphans, LOOKS - 1, &at(4, 1)), 0, "it has moved");
        assert_eq!(found(&mut orphans, LOOKS - 1, &at(4, 2)), 0, "another process has taken it over");
        assert_eq!(found(&mut orphans, 1, &at(4, 2)), 1);
        assert_eq!(found(&mut orphans, LOOKS - 1, &at(4, 2)), 0, "it was not adopted: others may have been quicker");
        assert_eq!(orphans.find(Vec::new(), |_| false), [], "it is up to date");
        assert_eq!(found(&mut orphans, LOOKS - 1, &at(4, 2)), 0);
    }

    #[test]
    fn an_adopted_partition_is_moved_on_at_once_until_another_process_does_so() {
        let mut orphans = Orphans::default();
        orphans.note_adopted(vec![at(7, 3)]);
        assert_eq!(orphans.find(Vec::new(), |_| false), [], "nothing was published to it since");
        assert_eq!(found(&mut orphans, 2, &at(7, 3)), 2);
        assert_eq!(found(&mut orphans, LOOKS - 1, &at(7, 4)), 0, "it has an owner again");
    }

    #[test]
    fn a_partition_of_this_process_is_no_orphan() {
        let mut orphans = Orphans::default();
        orphans.note_adopted(vec![at(7, 3)]);
        assert_eq!(orphans.find(vec![at(7, 3)], |_| true), []);
        assert_eq!(found(&mut orphans, LOOKS - 1, &at(7, 3)), 0, "it was its own meanwhile");
    }
}
