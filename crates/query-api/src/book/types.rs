//! Events of the book, and the progress of the views.

use async_graphql::{Json, SimpleObject};
use chrono::{DateTime, Utc};
use daybook_event_store::RecordedEvent;
use serde::Deserialize;
use serde_json::Value;

/// An event of the book.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Event {
    /// The position in the book.
    position: i64,
    /// The stream.
    stream: String,
    /// The version of the stream after the event.
    version: i32,
    /// The type of the event.
    #[graphql(name = "type")]
    event_type: String,
    /// The identity of the event.
    event_id: String,
    /// When the event was recorded.
    recorded_at: DateTime<Utc>,
    /// When the event happened.
    effective_at: DateTime<Utc>,
    /// The actor who caused the event.
    actor: String,
    /// The id of the causal chain. All events that follow from one request have the same.
    correlation_id: String,
    /// The command that caused the event.
    causation_id: String,
    /// The data of the event, as recorded in the book.
    data: Json<Value>,
}

impl From<RecordedEvent> for Event {
    fn from(mut event: RecordedEvent) -> Self {
        daybook_codec::rename(&mut event.event_type);
        Self {
            position: event.position,
            stream: event.stream_id,
            version: event.version,
            event_type: event.event_type,
            event_id: event.event_id.to_string(),
            recorded_at: event.recorded_at,
            effective_at: event.effective_at,
            actor: event.actor,
            correlation_id: event.correlation_id.to_string(),
            causation_id: event.causation_id.to_string(),
            data: Json(serde_json::from_str(&event.data).unwrap_or_default()),
        }
    }
}

/// The progress of a view.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct View {
    /// The name of the view.
    name: String,
    /// The version that queries read.
    version: i32,
    /// The position up to which the view shows all events.
    position: i64,
    /// How many positions the view is behind the book.
    lag: i64,
}
