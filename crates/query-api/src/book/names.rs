//! The names of event types, which are the same on every surface, also where the book has a name of before.

use daybook_event_store::{Filter, RecordedEvent};

/// A filter of events. A type is found by the name that it has today and by the name of before.
pub(crate) fn filter(types: Option<Vec<String>>, stream: Option<String>) -> Filter {
    Filter { types: types.map(|types| daybook_codec::stored_names(&types)), stream }
}

/// An event with the name that its type has today.
pub(crate) fn named_as_today(mut event: RecordedEvent) -> RecordedEvent {
    let name = daybook_codec::current_name(&event.event_type);
    if name != event.event_type {
        event.event_type = name.to_owned();
    }
    event
}
