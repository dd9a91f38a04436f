//! JSON that is kept as it is written.

use daybook_event_stream::EffectError;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::super::recorded::Recorded;

/// A JSON text, as a column of type `json` keeps it. What it says does not matter here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verbatim(Box<RawValue>);

impl Verbatim {
    /// What an event says, as it stands in the book.
    ///
    /// # Errors
    /// [`EffectError::Poison`] when it is no JSON, which the book does not hold.
    pub fn of_event(event: &Recorded) -> Result<Self, EffectError> {
        RawValue::from_string(event.record.data.clone())
            .map(Self)
            .map_err(|error| EffectError::Poison { position: event.record.position, reason: error.to_string() })
    }

    /// A value, written as JSON.
    ///
    /// # Panics
    /// Where a value cannot be JSON, as a map whose keys are no texts.
    pub fn of(value: &impl Serialize) -> Self {
        Self(to_raw_value(value).expect("its keys are texts"))
    }
}

/// Two are equal when they are written in the same way.
impl PartialEq for Verbatim {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Verbatim {}
