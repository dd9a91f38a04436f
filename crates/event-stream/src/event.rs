//! An event of the book on its way to the consumers of a process: received once, decoded once, and shared by all of them.

use std::{
    any::Any,
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use daybook_event_store::RecordedEvent;

/// An event that several consumers share. A clone is another handle of the same event, and costs next to nothing.
#[derive(Clone)]
pub struct SharedEvent(Arc<Shared>);

struct Shared {
    record: Arc<RecordedEvent>,
    /// What the event says. This crate does not know what that is.
    decoded: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl SharedEvent {
    /// The event as it stands in the book.
    #[must_use]
    pub fn record(&self) -> &Arc<RecordedEvent> {
        &self.0.record
    }

    /// What the event says. The first consumer that asks decodes it, and all others get the same value. The consumers of a feed agree
    /// on one type; for a second type, the event would be decoded each time.
    pub fn decoded<T: Any + Clone + Send + Sync>(&self, decode: impl Fn(&Arc<RecordedEvent>) -> T) -> T {
        let decoded = self.0.decoded.get_or_init(|| Box::new(decode(&self.0.record)));
        decoded.downcast_ref::<T>().cloned().unwrap_or_else(|| decode(&self.0.record))
    }
}

impl From<RecordedEvent> for SharedEvent {
    fn from(record: RecordedEvent) -> Self {
        Self(Arc::new(Shared { record: Arc::new(record), decoded: OnceLock::new() }))
    }
}

impl Deref for SharedEvent {
    type Target = RecordedEvent;

    fn deref(&self) -> &RecordedEvent {
        &self.0.record
    }
}

impl fmt::Debug for SharedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.record.fmt(f)
    }
}

impl PartialEq for SharedEvent {
    fn eq(&self, other: &Self) -> bool {
        self.0.record == other.0.record
    }
}

impl Eq for SharedEvent {}
