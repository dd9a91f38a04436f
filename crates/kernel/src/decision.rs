//! What a decision returns.

use chrono::{DateTime, Utc};

use crate::{Fold, StreamName};

/// The most bytes of one event as JSON. The event goes over the wire as one message, and Kafka takes messages of up to about 1,000,000 bytes
/// unless it is configured otherwise. The largest event of every type is below this; `domain/src/spec/sizes.rs` computes them.
pub const MAX_EVENT_BYTES: usize = 900_000;

/// The outcome of an accepted command: events of any number of streams, written together or not at all. A command that asks for what
/// is so already is accepted without events.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<E> {
    /// The events, each with its stream, in the order in which they happen.
    pub events: Vec<(StreamName, E)>,
    /// When they took effect, where that is not now (imported history).
    pub effective_at: Option<DateTime<Utc>>,
    /// The stream that an earlier command has begun, where this command asks for the same: its outcome is the outcome of that one.
    pub repeats: Option<StreamName>,
}

impl<E> Default for Decision<E> {
    fn default() -> Self {
        Self { events: Vec::new(), effective_at: None, repeats: None }
    }
}

impl<E> Decision<E> {
    /// A decision that changes nothing, since what the command asks for is so already.
    #[must_use]
    pub fn unchanged() -> Self {
        Self::default()
    }

    /// A decision with the outcome of the command that has begun the stream of `id`.
    #[must_use]
    pub fn repeating<S: Fold>(id: &S::Id) -> Self {
        Self { repeats: Some(S::stream(id)), ..Self::default() }
    }

    /// A decision for one event of the stream of `id`.
    #[must_use]
    pub fn of<S: Fold<Event: Into<E>>>(id: &S::Id, event: impl Into<S::Event>) -> Self {
        Self::default().and::<S>(id, event)
    }

    /// The same decision with one more event, of the stream of `id`.
    #[must_use]
    pub fn and<S: Fold<Event: Into<E>>>(mut self, id: &S::Id, event: impl Into<S::Event>) -> Self {
        self.events.push((S::stream(id), event.into().into()));
        self
    }

    /// The same decision with more events of the stream of `id`.
    #[must_use]
    pub fn and_all<S: Fold<Event: Into<E>>>(
        mut self,
        id: &S::Id,
        events: impl IntoIterator<Item = impl Into<S::Event>>,
    ) -> Self {
        let stream = S::stream(id);
        self.events.extend(events.into_iter().map(|event| (stream.clone(), event.into().into())));
        self
    }

    /// The same decision, effective at a time in the past.
    #[must_use]
    pub fn effective_at(mut self, at: DateTime<Utc>) -> Self {
        self.effective_at = Some(at);
        self
    }
}
