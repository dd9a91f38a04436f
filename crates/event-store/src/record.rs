//! An event as the book holds it.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::sql::JsonText;

/// An event as the book holds it, with its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedEvent {
    /// Its position in the book, from 1, without gaps.
    pub position: i64,
    /// The stream that it belongs to.
    pub stream_id: String,
    /// Its version in the stream, from 1, without gaps.
    pub version: i32,
    /// The name of its type, such as `order.OrderPlaced`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The version of the schema of `data`.
    pub schema_version: i16,
    /// Its id, which its message on Kafka has as well.
    pub event_id: Uuid,
    /// When it was written. Recorded times never decrease along positions.
    pub recorded_at: DateTime<Utc>,
    /// When it happened: the time of recording, or earlier for imported history.
    pub effective_at: DateTime<Utc>,
    /// The correlation id: all events of one causal chain have the same.
    pub correlation_id: Uuid,
    /// The id of the cause: the command, or the event that a reaction answered.
    pub causation_id: Uuid,
    /// The actor that sent the command.
    pub actor: String,
    /// The W3C trace context of the request, if the request had one: `traceparent`, and after a blank `tracestate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The id of the key that encrypts its personal data, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Uuid>,
    /// The data of the event: a JSON object, byte for byte as it was appended.
    #[serde(serialize_with = "verbatim")]
    pub data: String,
}

/// The columns that [`RecordedEvent::from_row`] reads, in this order.
pub(crate) const COLUMNS: &str = "position, stream_id, version, type, schema_version, event_id, recorded_at, \
                                  effective_at, correlation_id, causation_id, actor, trace, key_id, data";

impl RecordedEvent {
    pub(crate) fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            position: row.try_get(0)?,
            stream_id: row.try_get(1)?,
            version: row.try_get(2)?,
            event_type: row.try_get(3)?,
            schema_version: row.try_get(4)?,
            event_id: row.try_get(5)?,
            recorded_at: row.try_get(6)?,
            effective_at: row.try_get(7)?,
            correlation_id: row.try_get(8)?,
            causation_id: row.try_get(9)?,
            actor: row.try_get(10)?,
            trace: row.try_get(11)?,
            key_id: row.try_get(12)?,
            data: row.try_get::<_, JsonText>(13)?.0,
        })
    }
}

/// Serialises a JSON text as the value that it is, byte for byte.
///
/// # Errors
/// The serialiser's, and when the text is no JSON, which the book does not hold.
pub fn verbatim<S: Serializer>(data: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<&RawValue>(data).map_err(S::Error::custom)?.serialize(serializer)
}
