//! The consumer group in memory: members share the partitions, and each hears late of what it has and has not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use daybook_event_stream::consumer::contract::Partition;
use tokio::sync::watch;

/// A group of members that share the partitions.
#[derive(Clone)]
pub(super) struct Group(Arc<Mutex<Deal>>);

/// Which member has what.
struct Deal {
    partitions: Vec<Partition>,
    members: BTreeMap<u64, watch::Sender<Vec<Partition>>>,
    turn: usize,
}

impl Group {
    /// A group without members.
    pub(super) fn new(partitions: Vec<Partition>) -> Self {
        Self(Arc::new(Mutex::new(Deal { partitions, members: BTreeMap::new(), turn: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Deal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins, or joins again: what this member has from now on.
    pub(super) fn join(&self, member: u64) -> watch::Receiver<Vec<Partition>> {
        let (sender, receiver) = watch::channel(Vec::new());
        self.lock().members.insert(member, sender);
        self.rebalance();
        receiver
    }

    /// Leaves, or is taken for dead.
    pub(super) fn leave(&self, member: u64) {
        self.lock().members.remove(&member);
        self.rebalance();
    }

    /// Deals the partitions to other members than before. Each gets all of its partitions again, as with Kafka's eager protocol.
    pub(super) fn rebalance(&self) {
        let mut deal = self.lock();
        deal.turn += 1;
        let Deal { partitions, members, turn } = &*deal;
        for (place, sender) in members.values().enumerate() {
            let own = |nr: usize| (nr + turn) % members.len() == place;
            let share = partitions.iter().enumerate().filter(|(nr, _)| own(*nr));
            sender.send_replace(share.map(|(_, partition)| partition.clone()).collect());
        }
    }
}
