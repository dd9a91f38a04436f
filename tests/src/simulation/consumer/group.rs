//! The consumer group in memory: members share the partitions, and each learns late of a rebalance.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use daybook_event_stream::consumer::contract::Partition;
use tokio::sync::watch;

/// A group of members that share the partitions.
#[derive(Clone)]
pub(super) struct Group(Arc<Mutex<Assignment>>);

/// The partitions of each member.
struct Assignment {
    partitions: Vec<Partition>,
    members: BTreeMap<u64, watch::Sender<Vec<Partition>>>,
    /// The number of rebalances so far.
    rotation: usize,
}

impl Group {
    /// A group without members.
    pub(super) fn new(partitions: Vec<Partition>) -> Self {
        Self(Arc::new(Mutex::new(Assignment { partitions, members: BTreeMap::new(), rotation: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Assignment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins, or joins again. The receiver gets the partitions of the member from now on.
    pub(super) fn join(&self, member: u64) -> watch::Receiver<Vec<Partition>> {
        let (sender, receiver) = watch::channel(Vec::new());
        self.lock().members.insert(member, sender);
        self.rebalance();
        receiver
    }

    /// Removes a member, because it leaves or counts as dead.
    pub(super) fn leave(&self, member: u64) {
        self.lock().members.remove(&member);
        self.rebalance();
    }

    /// Assigns the partitions to other members than before. Each member gets all of its partitions again, as with Kafka's eager protocol.
    pub(super) fn rebalance(&self) {
        let mut assignment = self.lock();
        assignment.rotation += 1;
        let Assignment { partitions, members, rotation } = &*assignment;
        for (index, sender) in members.values().enumerate() {
            let is_own = |nr: usize| (nr + rotation) % members.len() == index;
            let own = partitions.iter().enumerate().filter(|(nr, _)| is_own(*nr));
            sender.send_replace(own.map(|(_, partition)| partition.clone()).collect());
        }
    }
}
