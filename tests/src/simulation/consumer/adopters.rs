//! What is known of adopted partitions: of all processes, and of one consumer.

use std::{collections::HashSet, sync::Mutex, time::Duration};

use daybook_event_stream::consumer::contract::Partition;

use super::plan::Plan;
use crate::nemesis::{check::Check, random::Random};

/// The adoptions of all processes.
#[derive(Default)]
pub(super) struct Adoptions {
    /// The number of adopted partitions.
    pub(super) adopted: u64,
    /// The number of partitions that a process wanted to adopt, and that another one had taken over or moved meanwhile.
    pub(super) refused: u64,
    /// The partitions that a process took again, though they were not assigned to it.
    pub(super) taken_again: Vec<String>,
}

impl Adoptions {
    /// The promise that processes do not compete for a partition.
    pub(super) fn taken_again(&mut self) -> Check {
        let name = "only a process to which a partition is assigned takes it again after a failure";
        let mut check = Check { checked: self.adopted, ..Check::new(name) };
        for violation in self.taken_again.drain(..) {
            check.violates(|| violation);
        }
        check
    }

    /// The promise that one of several processes adopts a partition.
    pub(super) fn refused(&self) -> Check {
        let name = "a partition that another process has taken over or moved is not adopted";
        Check { checked: self.refused, ..Check::new(name) }
    }
}

/// One consumer of one process, as far as it adopts partitions or makes others adopt them.
pub(super) struct Adopter {
    /// The partitions that it has adopted, and that were not assigned to it since.
    pub(super) adopted: Mutex<HashSet<Partition>>,
    /// How long its next transaction hangs.
    pub(super) hang: Mutex<Option<Duration>>,
    /// How long it takes to read a page of the book.
    pub(super) slow_read: Duration,
}

impl Adopter {
    /// The consumer that a plan wants.
    pub(super) fn new(random: &mut Random, plan: &Plan) -> Self {
        let hangs = random.percent(plan.hang_percent);
        let hang = hangs.then(|| Duration::from_secs(random.between(20, 60)));
        Self { adopted: Mutex::default(), hang: Mutex::new(hang), slow_read: plan.slow_read }
    }
}
