//! The events that views fold: decoded once, and shared by all views of a process.

use std::{ops::Deref, sync::Arc};

use daybook_domain::Event;
use daybook_event_store::RecordedEvent;
use daybook_event_stream::{EffectError, SharedEvent};

/// An event of the book, decoded. A clone is another handle of the same event.
#[derive(Debug, Clone)]
pub struct Recorded(Arc<Decoded>);

/// Why this program cannot read an event.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    pub(crate) reason: String,
    /// Whether a newer program has written it.
    pub(crate) is_newer: bool,
}

/// The parts of a [`Recorded`] event.
#[derive(Debug)]
pub struct Decoded {
    /// As it stands in the book.
    pub record: Arc<RecordedEvent>,
    /// What it says.
    pub event: Event,
}

impl Deref for Recorded {
    type Target = Decoded;

    fn deref(&self) -> &Decoded {
        &self.0
    }
}

impl Recorded {
    /// Decodes an event, unless another view of this process has done so.
    ///
    /// # Errors
    /// [`EffectError::Newer`] when a newer program has written it, and [`EffectError::Poison`] when it is damaged.
    pub fn of(shared: &SharedEvent) -> Result<Self, EffectError> {
        // The reason is kept as well, so that an event that cannot be decoded is not tried again by each view.
        let decoded: Result<Self, Unreadable> = shared.decoded(|record| Self::decode(Arc::clone(record)));
        decoded.map_err(|Unreadable { reason, is_newer }| match is_newer {
            true => EffectError::Newer { position: shared.position, reason },
            false => EffectError::Poison { position: shared.position, reason },
        })
    }

    /// Decodes an event, or says why this program cannot.
    pub(crate) fn decode(record: Arc<RecordedEvent>) -> Result<Self, Unreadable> {
        match daybook_codec::decode(&record.event_type, record.schema_version, record.data.as_bytes()) {
            Ok(event) => Ok(Self(Arc::new(Decoded { record, event }))),
            Err(error) => Err(Unreadable { reason: error.to_string(), is_newer: error.is_newer() }),
        }
    }
}
