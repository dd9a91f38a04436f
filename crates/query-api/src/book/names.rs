//! The filter of events by the names of their types.

use daybook_event_store::Filter;

/// A filter of events. A type is found by the name that it has today and by the name of before.
pub(crate) fn filter(types: Option<Vec<String>>, stream: Option<String>) -> Filter {
    Filter { types: types.map(|types| daybook_codec::stored_names(&types)), stream }
}
