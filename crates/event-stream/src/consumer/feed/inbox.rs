//! The inbox of a subscriber: the messages that wait for it, by partition, in bounded memory.
//!
//! A message that does not fit is dropped and not waited for, so that a slow subscriber does not hold up the others. The inbox
//! remembers up to which position messages were dropped. Usually the next message of the partition shows the gap; where none follows,
//! the subscriber asks for what it [missed](Inbox::take_missed).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::super::contract::ReceivedMessage;

/// How much may wait in an inbox. One message fits into an empty inbox, however large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxLimits {
    /// How many messages.
    pub messages: usize,
    /// How many bytes of messages.
    pub bytes: usize,
}

impl Default for InboxLimits {
    /// At 2,000 events a second, a subscriber may stand still for five seconds.
    fn default() -> Self {
        Self { messages: 10_000, bytes: 16 << 20 }
    }
}

/// Messages on their way from the feed to a subscriber.
#[derive(Clone)]
pub(in crate::consumer) struct Inbox(Arc<Shared>);

struct Shared {
    limits: InboxLimits,
    state: Mutex<State>,
    filled: Notify,
}

struct State {
    queues: Vec<Queue>,
    messages: usize,
    bytes: usize,
    /// The queue that is emptied first the next time.
    first: usize,
}

/// What waits of one partition.
#[derive(Default)]
struct Queue {
    messages: VecDeque<ReceivedMessage>,
    /// Events up to this position may be missing, and no message may show it.
    missed: Option<i64>,
    /// The offset of the last message that was processed.
    processed: Option<i64>,
}

impl Inbox {
    /// An empty inbox with a queue for each of so many partitions.
    pub(in crate::consumer) fn new(partitions: usize, limits: InboxLimits) -> Self {
        let queues = (0..partitions).map(|_| Queue::default()).collect();
        let state = Mutex::new(State { queues, messages: 0, bytes: 0, first: 0 });
        Self(Arc::new(Shared { limits, state, filled: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic leaves the queues as they are, which is as good as any other moment.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message into a queue, and returns whether it fits.
    pub(super) fn offer(&self, queue: usize, message: &ReceivedMessage) -> bool {
        let mut state = self.lock();
        let (messages, bytes) = (state.messages + 1, state.bytes + message.size());
        let fits = state.messages == 0 || (messages <= self.0.limits.messages && bytes <= self.0.limits.bytes);
        if fits {
            state.queues[queue].messages.push_back(message.clone());
            (state.messages, state.bytes) = (messages, bytes);
            drop(state);
            self.0.filled.notify_one();
        } else {
            // One that is no event counts as well: where only such messages follow, no gap shows what was lost before them.
            state.queues[queue].miss(message.position().unwrap_or(0));
        }
        fits
    }

    /// Notes that events up to a position may be missing from a queue.
    pub(in crate::consumer) fn note_missed(&self, queue: usize, up_to: i64) {
        self.lock().queues[queue].miss(up_to);
    }

    /// The queues that are empty and that events may be missing from: which, and up to which position at least. They count as not
    /// missing from then on.
    pub(in crate::consumer) fn take_missed(&self) -> Vec<(usize, i64)> {
        let mut state = self.lock();
        let queues = state.queues.iter_mut().enumerate();
        // What is still in the queue comes first, and may show the gap.
        let empty = queues.filter(|(_, queue)| queue.messages.is_empty());
        empty.filter_map(|(nr, queue)| Some((nr, queue.missed.take()?))).collect()
    }

    /// Waits for a message.
    pub(in crate::consumer) async fn filled(&self) {
        while self.lock().messages == 0 {
            self.0.filled.notified().await;
        }
    }

    /// Takes the messages that are there, at most `limit`, by queue. Queues take turns in being first.
    pub(in crate::consumer) fn take(&self, limit: usize) -> Vec<Vec<ReceivedMessage>> {
        let mut state = self.lock();
        let count = state.queues.len();
        let mut taken: Vec<Vec<ReceivedMessage>> = (0..count).map(|_| Vec::new()).collect();
        let (mut left, first) = (limit, state.first);
        for nr in (first..count).chain(0..first) {
            let messages = &mut state.queues[nr].messages;
            let some = left.min(messages.len());
            taken[nr].extend(messages.drain(..some));
            left -= some;
        }
        state.first = (first + 1) % count.max(1);
        state.messages -= limit - left;
        state.bytes -= taken.iter().flatten().map(ReceivedMessage::size).sum::<usize>();
        taken
    }

    /// Notes the offset of the last message of a queue that was processed.
    pub(in crate::consumer) fn report(&self, queue: usize, offset: i64) {
        self.lock().queues[queue].processed = Some(offset);
    }

    /// The offset of the last message of a queue that was processed, if it is known.
    pub(super) fn processed(&self, queue: usize) -> Option<i64> {
        self.lock().queues[queue].processed
    }
}

impl Queue {
    fn miss(&mut self, up_to: i64) {
        self.missed = self.missed.max(Some(up_to));
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use daybook_event_store::RecordedEvent;
    use uuid::Uuid;

    use super::*;
    use crate::{consumer::contract::ReceivedEvent, envelope::EnvelopeError};

    fn message(position: i64, data: &str) -> ReceivedMessage {
        let event = RecordedEvent {
            position,
            stream_id: "order-1".to_owned(),
            version: 1,
            event_type: "Noted".to_owned(),
            schema_version: 1,
            event_id: Uuid::nil(),
            recorded_at: DateTime::UNIX_EPOCH,
            effective_at: DateTime::UNIX_EPOCH,
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            actor: "test".to_owned(),
            trace: None,
            key_id: None,
            data: data.to_owned(),
        };
        let received = ReceivedEvent { event: event.into(), prev_sequence: position - 1, history: Uuid::nil() };
        ReceivedMessage { offset: position, content: Ok(received) }
    }

    fn offsets(taken: &[Vec<ReceivedMessage>]) -> Vec<Vec<i64>> {
        taken.iter().map(|queue| queue.iter().map(|message| message.offset).collect()).collect()
    }

    fn inbox(messages: usize, bytes: usize) -> Inbox {
        Inbox::new(2, InboxLimits { messages, bytes })
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counts_as_missed_once_its_queue_is_empty() {
        let inbox = inbox(3, 1 << 20);
        assert_eq!((1..=5).map(|position| inbox.offer(0, &message(position, "{}"))).filter(|fits| *fits).count(), 3);
        assert!(!inbox.offer(1, &message(6, "{}")));
        assert_eq!(inbox.take_missed(), [(1, 6)], "no message of the other queue is in front of that");
        assert_eq!(offsets(&inbox.take(2)), [vec![1, 2], vec![]]);
        assert!(inbox.offer(0, &message(7, "{}")), "there is room again");
        assert_eq!(inbox.take_missed(), [], "messages wait that may show the gap");
        assert_eq!(offsets(&inbox.take(9)), [vec![3, 7], vec![]]);
        assert_eq!(inbox.take_missed(), [(0, 5)]);
        assert_eq!(inbox.take_missed(), []);
    }

    #[test]
    fn a_message_that_is_no_event_and_does_not_fit_makes_the_subscriber_ask_what_was_published() {
        let inbox = inbox(1, 1 << 20);
        assert!(inbox.offer(0, &message(1, "{}")));
        assert!(!inbox.offer(0, &ReceivedMessage { offset: 2, content: Err(EnvelopeError::Value) }));
        inbox.take(9);
        assert_eq!(inbox.take_missed(), [(0, 0)]);
    }

    #[test]
    fn bytes_are_bounded_and_one_message_always_fits() {
        let (large, small) = (message(1, &"x".repeat(5_000)), message(2, "{}"));
        let inbox = inbox(100, 3_000);
        assert!(inbox.offer(0, &large), "it waits alone");
        assert!(!inbox.offer(1, &small));
        assert_eq!(offsets(&inbox.take(9)), [vec![1], vec![]]);
        assert!(inbox.offer(0, &small) && inbox.offer(1, &small));
        assert!(!inbox.offer(0, &small), "two of them take more than two thousand bytes");
    }

    #[test]
    fn queues_take_turns_in_being_first() {
        let inbox = inbox(100, 1 << 20);
        for queue in [0, 0, 0, 1, 1, 1] {
            inbox.offer(queue, &message(1, "{}"));
        }
        let taken: Vec<_> = (0..3).map(|_| inbox.take(2).iter().map(Vec::len).collect::<Vec<_>>()).collect();
        assert_eq!(taken, [[2, 0], [0, 2], [1, 1]]);
    }

    #[tokio::test]
    async fn a_subscriber_waits_until_there_is_a_message() {
        let inbox = inbox(1, 1 << 20);
        let (_, ()) = tokio::join!(inbox.filled(), async {
            inbox.offer(1, &message(1, "{}"));
        });
        inbox.filled().await;
        inbox.take(1);
        inbox.offer(1, &message(2, "{}"));
        inbox.filled().await;
    }
}
