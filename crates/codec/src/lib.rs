//! The codec: stored bytes to events and back. No other crate reads or writes an event.
//!
//! The stored form is the public form: business fields at the top level of one JSON object. Type and schema version are beside it.
//! An event of an earlier version is [upcast](upcast::UPCASTERS), version by version, before it is read. So a fold knows one version of
//! each event only. A field with personal data is sealed ([`Personal`](daybook_domain::Personal)). The codec does not open it. It keeps its
//! bytes, and gives its key to the row of the event ([`Encoded::key_id`]).
//!
//! What does not belong here: the meaning of an event (the domain), and where bytes are kept (the event store, Kafka).

pub mod history;
pub mod upcast;

mod known_types;
mod legacy;
mod sealed;
mod snapshot;

use daybook_domain::Event;
use serde_json::{Map, Value};
use uuid::Uuid;

pub use known_types::{UnknownType, check_types};
pub use legacy::{current_name, rename, stored_names};
pub use snapshot::{SnapshotError, decode_state, encode_state};

/// Why stored bytes are not an event of this domain. The book is newer than the program, or it is damaged.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No event type has this name.
    #[error("there is no event type `{0}`")]
    UnknownType(String),
    /// The event type does not have this version.
    #[error("event type `{event_type}` has no schema version {schema_version}; this program knows 1 to {current}")]
    UnknownVersion {
        /// The name of the type.
        event_type: String,
        /// The version that was asked for.
        schema_version: i16,
        /// The latest version that this program knows.
        current: i16,
    },
    /// The JSON does not have the fields of the type.
    #[error("`{event_type}` does not have the form of its schema: {source}")]
    Form {
        /// The name of the type.
        event_type: String,
        /// The error of the JSON.
        source: serde_json::Error,
    },
}

/// An event in its stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The name of its type, such as `order.OrderPlaced`.
    pub event_type: &'static str,
    /// The version of its schema.
    pub schema_version: i16,
    /// The key of the first sealed box in it.
    pub key_id: Option<Uuid>,
    /// The data: one JSON object.
    pub data: String,
}

/// Encodes an event in the current version of its type.
///
/// # Errors
/// None for the types of this domain, since their keys are texts. The signature is that of serde.
pub fn encode(event: &Event) -> Result<Encoded, serde_json::Error> {
    let (event_type, schema_version) = (event.type_name(), event.schema_version());
    let (data, key_id) = sealed::write(event)?;
    Ok(Encoded { event_type, schema_version, key_id, data })
}

/// Decodes a stored event of any known version.
///
/// # Errors
/// [`DecodeError`] if this program does not know the type or the version, or if the JSON has another form.
pub fn decode(event_type: &str, schema_version: i16, data: &[u8]) -> Result<Event, DecodeError> {
    let name = legacy::current_name(event_type);
    let unknown = || DecodeError::UnknownType(event_type.to_owned());
    let form = |source| DecodeError::Form { event_type: event_type.to_owned(), source };
    let current = Event::current_version(name).ok_or_else(unknown)?;
    let event = if schema_version == current {
        let mut json = serde_json::Deserializer::from_slice(data);
        let event = Event::deserialize(name, &mut json);
        event.map(|event| event.and_then(|event| json.end().map(|()| event)))
    } else if (1..current).contains(&schema_version) {
        let stored: Map<String, Value> = serde_json::from_slice(data).map_err(form)?;
        Event::deserialize(name, Value::Object(upcast::upcast(name, schema_version, current, stored)))
    } else {
        let event_type = event_type.to_owned();
        return Err(DecodeError::UnknownVersion { event_type, schema_version, current });
    };
    event.ok_or_else(unknown)?.map_err(form)
}
