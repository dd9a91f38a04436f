//! The broker in memory: logs of partitions, which lose, repeat and forget.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use daybook_event_stream::{
    consumer::{
        contract::{Partition, ReceivedMessage},
        feed,
    },
    envelope::{Delivery, EnvelopeError},
};
use tokio::sync::Notify;

use super::HISTORY;

/// The messages of a partition.
#[derive(Default)]
struct Log {
    /// Offsets begin here: what was before is gone.
    low: i64,
    messages: Vec<Result<Delivery, EnvelopeError>>,
    /// The last event that came into it, though it may have expired since; 0 before the first.
    end: i64,
    /// How often it was made again.
    made: u64,
}

impl Log {
    fn high(&self) -> i64 {
        self.low + i64::try_from(self.messages.len()).unwrap_or(0)
    }

    fn at(&self, offset: i64) -> Option<ReceivedMessage> {
        let place = usize::try_from(offset - self.low).ok()?;
        let content = self.messages.get(place)?.clone().map(Into::into);
        Some(ReceivedMessage { offset, content })
    }
}

/// The logs of all partitions.
#[derive(Clone)]
pub(super) struct Logs {
    logs: Arc<Mutex<BTreeMap<Partition, Log>>>,
    grown: Arc<Notify>,
}

impl Logs {
    /// Empty ones.
    #[must_use]
    pub(super) fn new(partitions: impl IntoIterator<Item = Partition>) -> Self {
        let logs = partitions.into_iter().map(|partition| (partition, Log::default())).collect();
        Self { logs: Arc::new(Mutex::new(logs)), grown: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Their partitions.
    #[must_use]
    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.lock().keys().cloned().collect()
    }

    /// Does something to the log of a partition.
    fn change<T: Default>(&self, partition: &Partition, change: impl FnOnce(&mut Log) -> T) -> T {
        self.lock().get_mut(partition).map(change).unwrap_or_default()
    }

    /// Adds a message.
    pub(super) fn produce(&self, partition: &Partition, message: Result<Delivery, EnvelopeError>) {
        self.change(partition, |log| {
            if let Ok(delivery) = &message {
                log.end = log.end.max(delivery.event.position);
            }
            log.messages.push(message);
        });
        self.grown.notify_waiters();
    }

    /// Adds a message that the relay has not published: it says nothing of how far the partition was published.
    pub(super) fn forge(&self, partition: &Partition, delivery: Delivery) {
        self.change(partition, |log| log.messages.push(Ok(delivery)));
        self.grown.notify_waiters();
    }

    /// Expires the oldest messages.
    pub(super) fn expire(&self, partition: &Partition, count: usize) {
        self.change(partition, |log| {
            let count = count.min(log.messages.len());
            log.messages.drain(..count);
            log.low += i64::try_from(count).unwrap_or(0);
        });
    }

    /// Loses the newest messages: others will have their offsets.
    pub(super) fn cut(&self, partition: &Partition, count: usize) {
        self.change(partition, |log| {
            let left = log.messages.len().saturating_sub(count);
            if left < log.messages.len() {
                log.messages.truncate(left);
                // A message of another history, or from beyond, was forged.
                let own = |delivery: &&Delivery| delivery.history == HISTORY && delivery.event.position <= log.end;
                let left = log.messages.iter().filter_map(|message| message.as_ref().ok()).filter(own);
                log.end = left.map(|delivery| delivery.event.position).max().unwrap_or(0);
            }
        });
    }

    /// Makes a log again, empty and with other offsets. A reader sees nothing any more until it begins again.
    pub(super) fn lose(&self, partition: &Partition) {
        self.change(partition, |log| *log = Log { made: log.made + 1, ..Log::default() });
    }

    /// The last event that came into the log of a partition; 0 where none did.
    pub(super) fn end(&self, partition: &Partition) -> i64 {
        self.change(partition, |log| log.end)
    }

    /// The first offset of a log, and the one after its last message.
    pub(super) fn ends(&self, partition: &Partition) -> (i64, i64) {
        self.change(partition, |log| (log.low, log.high()))
    }

    /// Begins to read.
    pub(super) fn read(&self, logs: &[(Partition, feed::Log)]) -> Reader {
        let cursor = |(partition, log): &(Partition, feed::Log)| {
            let made = self.change(partition, |log| log.made);
            Cursor { partition: partition.clone(), offset: log.start, made }
        };
        let cursors = logs.iter().map(cursor).collect();
        Reader { logs: self.clone(), cursors, next: 0 }
    }
}

/// A client that reads partitions.
pub(super) struct Reader {
    logs: Logs,
    cursors: Vec<Cursor>,
    /// The partition that is looked at next.
    next: usize,
}

struct Cursor {
    partition: Partition,
    offset: i64,
    made: u64,
}

impl Reader {
    /// The next message of any of the partitions.
    pub(super) async fn next(&mut self) -> (Partition, ReceivedMessage) {
        loop {
            let grown = Arc::clone(&self.logs.grown);
            let mut grown = pin!(grown.notified());
            grown.as_mut().enable();
            for _ in 0..self.cursors.len() {
                self.next = (self.next + 1) % self.cursors.len();
                if let Some(message) = self.cursors[self.next].take(&self.logs) {
                    return (self.cursors[self.next].partition.clone(), message);
                }
            }
            grown.await;
        }
    }
}

impl Cursor {
    fn take(&mut self, logs: &Logs) -> Option<ReceivedMessage> {
        let Self { partition, offset, made } = self;
        logs.change(partition, |log| {
            if log.made != *made {
                // A client takes the new topic for an outdated one, and waits for ever without an error.
                return None;
            }
            if *offset < log.low || *offset > log.high() {
                *offset = log.low;
            }
            let message = log.at(*offset)?;
            *offset += 1;
            Some(message)
        })
    }
}
