//! The broker in memory: the logs of partitions, which can lose, repeat and expire messages.

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
    envelope::{EnvelopeError, EventMessage},
};
use tokio::sync::Notify;

use super::HISTORY;

/// The messages of a partition.
#[derive(Default)]
struct Log {
    /// The first offset. Earlier messages have expired.
    low: i64,
    messages: Vec<Result<EventMessage, EnvelopeError>>,
    /// The position of the last event that was produced, even if it has expired. 0 before the first.
    end: i64,
    /// How often the topic was created again.
    incarnation: u64,
}

impl Log {
    fn high(&self) -> i64 {
        self.low + i64::try_from(self.messages.len()).unwrap_or(0)
    }

    fn at(&self, offset: i64) -> Option<ReceivedMessage> {
        let index = usize::try_from(offset - self.low).ok()?;
        let content = self.messages.get(index)?.clone().map(Into::into);
        Some(ReceivedMessage { offset, content })
    }
}

/// The logs of all partitions.
#[derive(Clone)]
pub(super) struct Logs {
    logs: Arc<Mutex<BTreeMap<Partition, Log>>>,
    appended: Arc<Notify>,
}

impl Logs {
    /// Empty logs.
    #[must_use]
    pub(super) fn new(partitions: impl IntoIterator<Item = Partition>) -> Self {
        let logs = partitions.into_iter().map(|partition| (partition, Log::default())).collect();
        Self { logs: Arc::new(Mutex::new(logs)), appended: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions.
    #[must_use]
    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.lock().keys().cloned().collect()
    }

    /// Changes the log of a partition.
    fn change<T: Default>(&self, partition: &Partition, change: impl FnOnce(&mut Log) -> T) -> T {
        self.lock().get_mut(partition).map(change).unwrap_or_default()
    }

    /// Adds a message.
    pub(super) fn produce(&self, partition: &Partition, message: Result<EventMessage, EnvelopeError>) {
        self.change(partition, |log| {
            if let Ok(message) = &message {
                log.end = log.end.max(message.event.position);
            }
            log.messages.push(message);
        });
        self.appended.notify_waiters();
    }

    /// Adds a message that the relay has not published. It does not change the end of the partition.
    pub(super) fn forge(&self, partition: &Partition, message: EventMessage) {
        self.change(partition, |log| log.messages.push(Ok(message)));
        self.appended.notify_waiters();
    }

    /// Expires the oldest messages.
    pub(super) fn expire(&self, partition: &Partition, count: usize) {
        self.change(partition, |log| {
            let count = count.min(log.messages.len());
            log.messages.drain(..count);
            log.low += i64::try_from(count).unwrap_or(0);
        });
    }

    /// Loses the newest messages. Later messages get their offsets.
    pub(super) fn truncate(&self, partition: &Partition, count: usize) {
        self.change(partition, |log| {
            let left = log.messages.len().saturating_sub(count);
            if left < log.messages.len() {
                log.messages.truncate(left);
                // A message of another history, or beyond the end of the book, is a forged one.
                let own = |message: &&EventMessage| message.history == HISTORY && message.event.position <= log.end;
                let left = log.messages.iter().filter_map(|message| message.as_ref().ok()).filter(own);
                log.end = left.map(|message| message.event.position).max().unwrap_or(0);
            }
        });
    }

    /// Creates a log again, empty and with other offsets. An existing reader gets no more messages from it.
    pub(super) fn recreate(&self, partition: &Partition) {
        self.change(partition, |log| *log = Log { incarnation: log.incarnation + 1, ..Log::default() });
    }

    /// The position of the last event that was produced to a partition. 0 before the first.
    pub(super) fn end(&self, partition: &Partition) -> i64 {
        self.change(partition, |log| log.end)
    }

    /// The first offset of a log, and the offset after its last message.
    pub(super) fn ends(&self, partition: &Partition) -> (i64, i64) {
        self.change(partition, |log| (log.low, log.high()))
    }

    /// Starts to read from the given offsets.
    pub(super) fn read(&self, logs: &[(Partition, feed::Log)]) -> Reader {
        let cursor = |(partition, log): &(Partition, feed::Log)| {
            let incarnation = self.change(partition, |log| log.incarnation);
            Cursor { partition: partition.clone(), offset: log.start, incarnation }
        };
        let cursors = logs.iter().map(cursor).collect();
        Reader { logs: self.clone(), cursors, next: 0 }
    }
}

/// A client that reads partitions.
pub(super) struct Reader {
    logs: Logs,
    cursors: Vec<Cursor>,
    /// The index of the partition that was read last.
    next: usize,
}

struct Cursor {
    partition: Partition,
    offset: i64,
    incarnation: u64,
}

impl Reader {
    /// The next message of any of the partitions.
    pub(super) async fn next(&mut self) -> (Partition, ReceivedMessage) {
        loop {
            let appended = Arc::clone(&self.logs.appended);
            let mut appended = pin!(appended.notified());
            appended.as_mut().enable();
            for _ in 0..self.cursors.len() {
                self.next = (self.next + 1) % self.cursors.len();
                if let Some(message) = self.cursors[self.next].take(&self.logs) {
                    return (self.cursors[self.next].partition.clone(), message);
                }
            }
            appended.await;
        }
    }
}

impl Cursor {
    fn take(&mut self, logs: &Logs) -> Option<ReceivedMessage> {
        let Self { partition, offset, incarnation } = self;
        logs.change(partition, |log| {
            if log.incarnation != *incarnation {
                // A Kafka client takes the new topic for an outdated one, and waits for ever without an error.
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
