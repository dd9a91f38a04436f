//! Folding: what a stream's events come to.

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

use crate::StreamName;

/// A state that is folded from the events of one stream, and from nothing else.
pub trait Fold: Default + Clone + Serialize + DeserializeOwned {
    /// What names the stream.
    type Id: ?Sized;
    /// The events of the slice that the stream belongs to: a closed set, so that a fold matches every one of them.
    type Event;

    /// The stream of `id`.
    fn stream(id: &Self::Id) -> StreamName;

    /// Applies an event that took effect at the time `at`. Never fails: the past is a fact, and an event that means nothing to
    /// this state changes nothing.
    fn evolve(&mut self, event: &Self::Event, at: DateTime<Utc>);

    /// About how many bytes of heap memory the state uses, for caches that are bounded by bytes.
    fn heap_size(&self) -> usize {
        0
    }
}
