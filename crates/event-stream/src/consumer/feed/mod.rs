//! One stream of messages for all consumers of a process.
//!
//! The process is one member of one consumer group, with one client. What it receives is read once and handed to the [inbox](inbox) of
//! each subscriber that wants the partition. A subscriber keeps its own checkpoints and works at its own pace; what it misses on the
//! way it fills from the book. So the feed promises only that a subscriber gets messages in order, and that it learns of each message
//! that it did not get: by a gap, or by its inbox.
//!
//! A subscriber that comes while the feed runs gets what is received from then on. It begins with the question what was published.
//!
//! [`Feed`] decides who gets what. [`run`] receives from Kafka by a [`member`] of the group; the simulation receives from a log in memory.

mod inbox;
mod member;
mod run;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

pub(super) use self::inbox::Inbox;
pub use self::{inbox::InboxLimits, member::ConsumerGroup};
use super::{
    Start,
    contract::{Checkpoint, Partition, Published, ReceivedMessage},
};

/// Hands what a process receives to its subscribers. A clone is another handle of the same feed.
#[derive(Clone, Default)]
pub struct Feed(Arc<Shared>);

#[derive(Default)]
struct Shared {
    limits: InboxLimits,
    state: Mutex<State>,
    /// The assignment has changed.
    assigned: Notify,
    /// A subscriber has found that nothing comes.
    stalled: Notify,
}

#[derive(Default)]
struct State {
    /// Counts the assignments; to have no partitions is one of its own.
    assignment: u64,
    /// Whether the process has ever been given an assignment.
    joined: bool,
    /// The last assignment in which a subscriber has found that nothing comes, and the partition.
    stalled: Option<(u64, Partition)>,
    /// The partitions that this process has, by topic.
    topics: BTreeMap<String, BTreeMap<i32, Source>>,
    subscribers: BTreeMap<u64, Subscriber>,
    last_subscriber: u64,
}

/// A partition that this process receives.
struct Source {
    log: Log,
    /// The position of the last event that was received.
    received: i64,
    /// The offset of the last message that all subscribers have processed, as it was reported.
    reported: Option<i64>,
    readers: Vec<Reader>,
}

/// A subscriber of a partition, and its queue.
struct Reader {
    subscriber: u64,
    inbox: Inbox,
    queue: usize,
}

struct Subscriber {
    name: String,
    topics: Vec<String>,
    start: Start,
    /// What it was given when the partitions were assigned, until it takes it.
    prepared: Option<Attached>,
}

/// A log when this process began to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The first offset that it held.
    pub low: i64,
    /// The offset after its last message.
    pub high: i64,
    /// Where reading began.
    pub start: i64,
}

/// What a subscriber gets of an assignment.
pub(super) struct Attached {
    pub(super) inbox: Inbox,
    /// The partition of each queue of the inbox.
    pub(super) partitions: Vec<AttachedPartition>,
}

/// A partition that a subscriber gets.
pub(super) struct AttachedPartition {
    pub(super) partition: Partition,
    log: Log,
    /// Where the subscriber came late: the position of the last event that was received before.
    late: Option<i64>,
}

impl AttachedPartition {
    /// Whether a consumer at this checkpoint may miss events that no message shows: then, up to which position at least.
    pub(super) fn missed(&self, checkpoint: &Checkpoint) -> Option<i64> {
        let Log { low, high, start } = self.log;
        let begins = checkpoint.begins(low, high);
        self.late.or_else(|| (begins.at_end || begins.offset < start).then_some(0))
    }
}

impl Feed {
    /// A feed without subscribers, whose inboxes hold so much.
    #[must_use]
    pub fn new(limits: InboxLimits) -> Self {
        Self(Arc::new(Shared { limits, ..Shared::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step below leaves anything half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a consumer of this name a subscriber of topics. It is one until the subscription is dropped.
    #[must_use]
    pub fn subscribe(&self, name: &str, topics: &[String], start: Start) -> Subscription {
        let mut state = self.lock();
        state.last_subscriber += 1;
        let id = state.last_subscriber;
        let subscriber = Subscriber { name: name.to_owned(), topics: topics.to_vec(), start, prepared: None };
        state.subscribers.insert(id, subscriber);
        Subscription { feed: self.clone(), id, seen: 0 }
    }

    /// The names of the subscribers.
    #[must_use]
    pub fn subscribers(&self) -> Vec<String> {
        self.lock().subscribers.values().map(|subscriber| subscriber.name.clone()).collect()
    }

    /// Where to begin in a log that holds the offsets from `low` up to and without `high`: at the smallest offset that a subscriber
    /// needs. `known` says where a subscriber is, if it has begun; `published` is what the relay says of the partition.
    ///
    /// A subscriber whose offset says nothing, and that has processed all that is in the log, needs the last message only. It shows
    /// whether anything is missing.
    pub fn log(
        &self,
        partition: &Partition,
        (low, high): (i64, i64),
        known: impl Fn(&str) -> Option<Checkpoint>,
        published: Option<&Published>,
    ) -> Log {
        let last = (high - 1).max(low);
        let need = |subscriber: &Subscriber| match known(&subscriber.name) {
            Some(checkpoint) if (low..high).contains(&checkpoint.offset) => checkpoint.offset,
            Some(checkpoint) if published.is_some_and(|published| published.log_end <= checkpoint.position) => last,
            None if subscriber.start == Start::Head => last,
            _ => low,
        };
        let state = self.lock();
        let readers = state.subscribers.values().filter(|subscriber| subscriber.topics.contains(&partition.topic));
        Log { low, high, start: readers.map(need).min().unwrap_or(last) }
    }

    /// This process has these partitions now. Everything that is handed over from now on reaches the subscribers that are there.
    pub fn assign(&self, partitions: impl IntoIterator<Item = (Partition, Log)>) {
        let mut state = self.lock();
        state.joined = true;
        state.topics.clear();
        for (Partition { topic, nr }, log) in partitions {
            let source = Source { log, received: 0, reported: None, readers: Vec::new() };
            state.topics.entry(topic).or_default().insert(nr, source);
        }
        let subscribers: Vec<u64> = state.subscribers.keys().copied().collect();
        for id in subscribers {
            let prepared = state.attach(id, self.0.limits, false);
            if let Some(subscriber) = state.subscribers.get_mut(&id) {
                subscriber.prepared = prepared;
            }
        }
        self.announce(state);
    }

    /// Whether this process has been a member of its group, with or without partitions.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.lock().joined
    }

    /// This process has no partitions any more.
    pub fn revoke(&self) {
        let mut state = self.lock();
        state.topics.clear();
        state.subscribers.values_mut().for_each(|subscriber| subscriber.prepared = None);
        self.announce(state);
    }

    fn announce(&self, mut state: MutexGuard<'_, State>) {
        state.assignment += 1;
        drop(state);
        self.0.assigned.notify_waiters();
    }

    /// Hands a message over to all subscribers of its partition. Returns into how many inboxes it does not fit.
    pub fn hand_over(&self, topic: &str, nr: i32, message: &ReceivedMessage) -> usize {
        let mut state = self.lock();
        let State { topics, subscribers, .. } = &mut *state;
        let Some(source) = topics.get_mut(topic).and_then(|partitions| partitions.get_mut(&nr)) else {
            // Received for an assignment that is over. The next owner of the partition begins at the checkpoints.
            tracing::debug!(topic, partition = nr, message.offset, "a message of a partition that is not ours");
            return 0;
        };
        source.received = source.received.max(message.position().unwrap_or(0));
        let mut dropped = 0;
        for Reader { subscriber, inbox, queue } in &source.readers {
            if !inbox.offer(*queue, message)
                && let Some(Subscriber { name, .. }) = subscribers.get(subscriber)
            {
                dropped += 1;
                metrics::counter!("daybook_consumer_dropped_total", "consumer" => name.clone()).increment(1);
            }
        }
        dropped
    }

    /// The partitions in which all subscribers have gone on since the last call, and the offset of the last message that all have
    /// processed.
    pub fn take_reports(&self) -> Vec<(Partition, i64)> {
        let mut state = self.lock();
        let partitions = state.topics.iter_mut();
        let sources =
            partitions.flat_map(|(topic, sources)| sources.iter_mut().map(move |(nr, source)| (topic, *nr, source)));
        let report = |(topic, nr, source): (&String, i32, &mut Source)| {
            let processed = source.readers.iter().map(|reader| reader.inbox.processed(reader.queue));
            // One that is not known comes first.
            let offset = processed.min()??;
            let is_new = source.reported.replace(offset) != Some(offset);
            is_new.then(|| (Partition { topic: topic.clone(), nr }, offset))
        };
        sources.filter_map(report).collect()
    }

    /// Whether this process has a partition.
    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.lock().topics.get(&partition.topic).is_some_and(|sources| sources.contains_key(&partition.nr))
    }

    /// Waits until a subscriber finds that nothing comes in the present assignment. Returns the partition.
    pub async fn stalled(&self) -> Partition {
        let stalled = || {
            let state = self.lock();
            let of_now = state.stalled.as_ref().filter(|(assignment, _)| *assignment == state.assignment);
            of_now.map(|(_, partition)| partition.clone())
        };
        until(&self.0.stalled, stalled).await
    }
}

impl State {
    /// Gives a subscriber an inbox for its partitions, in the place of one that it had. None when it has no partitions.
    fn attach(&mut self, id: u64, limits: InboxLimits, late: bool) -> Option<Attached> {
        let subscriber = self.subscribers.get(&id)?;
        let wanted = |topic: &String| subscriber.topics.contains(topic);
        let count = self.topics.iter().filter(|(topic, _)| wanted(topic)).map(|(_, sources)| sources.len()).sum();
        let inbox = Inbox::new(count, limits);
        let mut partitions = Vec::with_capacity(count);
        for (topic, sources) in self.topics.iter_mut().filter(|(topic, _)| wanted(topic)) {
            for (nr, source) in sources {
                source.readers.retain(|reader| reader.subscriber != id);
                source.readers.push(Reader { subscriber: id, inbox: inbox.clone(), queue: partitions.len() });
                let partition = Partition { topic: topic.clone(), nr: *nr };
                let late = late.then_some(source.received);
                partitions.push(AttachedPartition { partition, log: source.log, late });
            }
        }
        (count > 0).then_some(Attached { inbox, partitions })
    }
}

/// A subscriber's place in a feed.
pub struct Subscription {
    feed: Feed,
    id: u64,
    /// The assignment that it has seen.
    seen: u64,
}

impl Subscription {
    /// The partitions of the present assignment that the subscriber wants, with a new inbox. None when there are none.
    pub(super) fn attach(&mut self) -> Option<Attached> {
        let mut state = self.feed.lock();
        self.seen = state.assignment;
        let prepared = state.subscribers.get_mut(&self.id).and_then(|subscriber| subscriber.prepared.take());
        prepared.or_else(|| state.attach(self.id, self.feed.0.limits, true))
    }

    /// The feed.
    pub(super) fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Waits until the assignment is another one than at the last [`attach`](Self::attach).
    pub(super) async fn changed(&self) {
        until(&self.feed.0.assigned, || (self.feed.lock().assignment != self.seen).then_some(())).await;
    }

    /// Says that nothing comes from a partition though there is more in it.
    pub(super) fn nothing_comes(&self, partition: Partition) {
        self.feed.lock().stalled = Some((self.seen, partition));
        self.feed.0.stalled.notify_waiters();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.feed.lock();
        state.subscribers.remove(&self.id);
        let sources = state.topics.values_mut().flat_map(BTreeMap::values_mut);
        sources.for_each(|source| source.readers.retain(|reader| reader.subscriber != self.id));
    }
}

/// Waits until there is an answer; asks again after each notice.
async fn until<T>(notice: &Notify, answer: impl Fn() -> Option<T>) -> T {
    loop {
        let mut notified = pin!(notice.notified());
        // Before the question, so that no notice between them is lost.
        notified.as_mut().enable();
        if let Some(answer) = answer() {
            return answer;
        }
        notified.await;
    }
}
