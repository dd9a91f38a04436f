//! The events that views fold: decoded once, and shared by all views of a process.

use std::{ops::Deref, sync::Arc};

use daybook_domain::Event;
use daybook_event_store::RecordedEvent;
use daybook_event_stream::{EffectError, SharedEvent};

/// An event of the book, decoded. A clone is another handle of the same event.
#[derive(Debug, Clone)]
pub struct Recorded(Arc<Decoded>);

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
    /// [`EffectError::Poison`] when this program does not know it.
    pub fn of(shared: &SharedEvent) -> Result<Self, EffectError> {
        // The reason is kept as well, so that an event that cannot be decoded is not tried again by each view.
        let decoded: Result<Self, String> = shared.decoded(|record| Self::decode(Arc::clone(record)));
        decoded.map_err(|reason| EffectError::Poison { position: shared.position, reason })
    }

    /// Decodes an event, or says why this program does not know it.
    pub(crate) fn decode(record: Arc<RecordedEvent>) -> Result<Self, String> {
        match daybook_codec::decode(&record.event_type, record.schema_version, record.data.as_bytes()) {
            Ok(event) => Ok(Self(Arc::new(Decoded { record, event }))),
            Err(error) => Err(error.to_string()),
        }
    }
}
