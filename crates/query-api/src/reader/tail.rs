//! The end of the book, which is read once for all streams that follow it. Otherwise each stream would read every event, and writers
//! and queries would wait for a connection to the database.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use daybook_event_store::{Daybook, Filter, RecordedEvent, StoreError};

/// How many events are kept. A stream that is further behind reads the book itself.
const KEPT: usize = 1_000;

/// The last events of the book, shared.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Shared>);

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    /// Its holder reads for all.
    reading: tokio::sync::Mutex<()>,
}

/// All events after one position, up to another.
#[derive(Default)]
struct Kept {
    events: VecDeque<RecordedEvent>,
    after: i64,
    up_to: i64,
}

/// The events after a position that pass a filter, and the position up to which they were read.
pub(crate) struct Page {
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) up_to: i64,
}

impl Tail {
    /// The events after a position. `None` when they are not kept any more.
    pub(crate) async fn after(
        &self,
        book: &Daybook,
        position: i64,
        filter: &Filter,
    ) -> Result<Option<Page>, StoreError> {
        if let Some(page) = self.kept().page(position, filter) {
            return Ok(page);
        }
        let _reading = self.0.reading.lock().await;
        // Another stream may have read it in the meantime.
        if let Some(page) = self.kept().page(position, filter) {
            return Ok(page);
        }
        let events = book.read_after(position, KEPT, &Filter::default()).await?;
        let mut kept = self.kept();
        kept.add(position, events);
        Ok(kept.page(position, filter).unwrap_or(Some(Page { events: Vec::new(), up_to: position })))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The outer `None` means that the events must be read first, the inner one that they are not kept any more.
    fn page(&self, position: i64, filter: &Filter) -> Option<Option<Page>> {
        if position < self.after {
            return Some(None);
        }
        if position >= self.up_to {
            return None;
        }
        let begin = self.events.partition_point(|event| event.position <= position);
        let events = self.events.range(begin..).filter(|event| passes(filter, event)).cloned().collect();
        Some(Some(Page { events, up_to: self.up_to }))
    }

    /// Adds the events after a position, which is not before the end of the kept ones.
    fn add(&mut self, position: i64, events: Vec<RecordedEvent>) {
        if position != self.up_to {
            self.events.clear();
            self.after = position;
        }
        self.up_to = events.last().map_or(position, |last| last.position);
        self.events.extend(events);
        let surplus = self.events.len().saturating_sub(KEPT);
        if let Some(last) = self.events.drain(..surplus).next_back() {
            self.after = last.position;
        }
    }
}

/// Whether an event passes a filter, by the same rule as in the database.
fn passes(filter: &Filter, event: &RecordedEvent) -> bool {
    let Filter { types, stream, actor, correlation_id } = filter;
    types.as_ref().is_none_or(|types| types.contains(&event.event_type))
        && stream.as_ref().is_none_or(|stream| *stream == event.stream_id)
        && actor.as_ref().is_none_or(|actor| *actor == event.actor)
        && correlation_id.is_none_or(|id| id == event.correlation_id)
}
