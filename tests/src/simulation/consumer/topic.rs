//! The broker in memory: logs of partitions, which lose, repeat and forget, and a group of members, each of which hears late of what
//! it has and has not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daybook_bus::Host;
use daybook_event_stream::{
    consumer::{
        ConsumerError,
        contract::{Messages, Partition, Received, Start},
    },
    envelope::{Delivery, EnvelopeError},
};
use tokio::sync::watch;

use super::{super::scheduler::Place, HISTORY};

/// The messages of a partition.
struct Log {
    /// Offsets begin here: what was before is gone.
    low: i64,
    messages: Vec<Result<Delivery, EnvelopeError>>,
    /// The last event that came into it, though it may have expired since; 0 before the first.
    end: i64,
    /// How often it was made anew.
    made: u64,
    grown: watch::Sender<()>,
}

impl Log {
    fn high(&self) -> i64 {
        self.low + i64::try_from(self.messages.len()).unwrap_or(0)
    }

    fn at(&self, offset: i64) -> Option<Received> {
        let place = usize::try_from(offset - self.low).ok()?;
        Some(Received { offset, delivery: self.messages.get(place)?.clone() })
    }
}

/// All partitions of a topic.
#[derive(Clone)]
pub(super) struct Topic {
    name: String,
    logs: Arc<Vec<Mutex<Log>>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Topic {
    /// An empty one.
    #[must_use]
    pub(super) fn new(name: String, partitions: usize) -> Self {
        let log = || Mutex::new(Log { low: 0, messages: Vec::new(), end: 0, made: 0, grown: watch::Sender::new(()) });
        Self { name, logs: Arc::new((0..partitions).map(|_| log()).collect()) }
    }

    /// Its partitions.
    #[must_use]
    pub(super) fn partitions(&self) -> Vec<Partition> {
        (0..).take(self.logs.len()).map(|nr| Partition { topic: self.name.clone(), nr }).collect()
    }

    fn log(&self, nr: i32) -> MutexGuard<'_, Log> {
        lock(&self.logs[usize::try_from(nr).unwrap_or(0)])
    }

    /// Adds a message.
    pub(super) fn produce(&self, nr: i32, message: Result<Delivery, EnvelopeError>) {
        let mut log = self.log(nr);
        if let Ok(delivery) = &message {
            log.end = log.end.max(delivery.event.position);
        }
        log.messages.push(message);
        log.grown.send_replace(());
    }

    /// Adds a message that nobody who may has published: it says nothing of how far the partition was published.
    pub(super) fn forge(&self, nr: i32, delivery: Delivery) {
        let mut log = self.log(nr);
        log.messages.push(Ok(delivery));
        log.grown.send_replace(());
    }

    /// Lets the oldest messages go.
    pub(super) fn expire(&self, nr: i32, count: usize) {
        let mut log = self.log(nr);
        let count = count.min(log.messages.len());
        log.messages.drain(..count);
        log.low += i64::try_from(count).unwrap_or(0);
    }

    /// Loses the newest messages: others will have their offsets.
    pub(super) fn cut(&self, nr: i32, count: usize) {
        let mut log = self.log(nr);
        let left = log.messages.len().saturating_sub(count);
        if left < log.messages.len() {
            log.messages.truncate(left);
            // What is of another history, or beyond, was forged.
            let own = |delivery: &&Delivery| delivery.history == HISTORY && delivery.event.position <= log.end;
            let left = log.messages.iter().filter_map(|message| message.as_ref().ok()).filter(own);
            log.end = left.map(|delivery| delivery.event.position).max().unwrap_or(0);
        }
    }

    /// Makes it anew, empty and with other offsets. Who reads it sees nothing any more until it comes back.
    pub(super) fn lose(&self, nr: i32) {
        let mut log = self.log(nr);
        (log.low, log.end, log.made) = (0, 0, log.made + 1);
        log.messages.clear();
    }

    /// The last event that came into the log of a partition; 0 where none did.
    pub(super) fn end(&self, nr: i32) -> i64 {
        self.log(nr).end
    }

    /// Begins to read a partition at `start`, given its first offset and its end; without one at its beginning.
    #[must_use]
    pub(super) fn read(&self, place: Place, partition: Partition, start: impl FnOnce(i64, i64) -> Start) -> Queue {
        let (cursor, made, began_at_end) = {
            let log = self.log(partition.nr);
            let start = start(log.low, log.high());
            (start.offset.unwrap_or(log.low), log.made, start.at_end)
        };
        Queue { topic: self.clone(), place, partition, cursor: Mutex::new(cursor), made, began_at_end }
    }
}

/// The messages of a partition, as a member reads them.
pub(super) struct Queue {
    topic: Topic,
    place: Place,
    partition: Partition,
    cursor: Mutex<i64>,
    made: u64,
    began_at_end: bool,
}

impl Queue {
    /// The next message, if there is one; otherwise what to wait for.
    fn take(&self) -> Result<Received, watch::Receiver<()>> {
        let log = self.topic.log(self.partition.nr);
        let mut cursor = lock(&self.cursor);
        if log.made != self.made {
            // A client takes the new topic for an outdated one, and waits for ever without an error.
            return Err(watch::Sender::new(()).subscribe());
        }
        if *cursor < log.low || *cursor > log.high() {
            *cursor = log.low;
        }
        let message = log.at(*cursor).ok_or_else(|| log.grown.subscribe())?;
        *cursor += 1;
        Ok(message)
    }
}

impl Messages for Queue {
    fn partition(&self) -> &Partition {
        &self.partition
    }

    fn began_at_end(&self) -> bool {
        self.began_at_end
    }

    async fn next(&self) -> Result<Received, ConsumerError> {
        loop {
            match self.take() {
                Ok(message) => return Ok(message),
                Err(mut grown) => {
                    if grown.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
            // On its way from the broker; given up before it is taken, nothing is lost.
            self.place.sleep(Duration::from_micros(100)).await;
        }
    }

    async fn drain(&self, limit: usize, received: &mut Vec<Received>) -> Result<usize, ConsumerError> {
        let before = received.len();
        while received.len() - before < limit {
            let Ok(message) = self.take() else { break };
            received.push(message);
        }
        Ok(received.len() - before)
    }

    fn report(&self, _: i64) {}
}

/// A group of members that share the partitions.
#[derive(Clone)]
pub(super) struct Group(Arc<Mutex<Deal>>);

/// Who has what.
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

    /// Joins, or joins again: what this member has from now on.
    pub(super) fn join(&self, member: u64) -> watch::Receiver<Vec<Partition>> {
        let (sender, receiver) = watch::channel(Vec::new());
        lock(&self.0).members.insert(member, sender);
        self.rebalance();
        receiver
    }

    /// Leaves, or is taken for dead.
    pub(super) fn leave(&self, member: u64) {
        lock(&self.0).members.remove(&member);
        self.rebalance();
    }

    /// Deals the partitions anew, to others than before. Everybody gets what it has anew, as with Kafka's eager protocol.
    pub(super) fn rebalance(&self) {
        let mut deal = lock(&self.0);
        deal.turn += 1;
        let Deal { partitions, members, turn } = &*deal;
        for (place, sender) in members.values().enumerate() {
            let own = |nr: usize| (nr + turn) % members.len() == place;
            let share = partitions.iter().enumerate().filter(|(nr, _)| own(*nr));
            sender.send_replace(share.map(|(_, partition)| partition.clone()).collect());
        }
    }
}
