//! Events of the book, and how far the views are.

use async_graphql::{Json, SimpleObject};
use chrono::{DateTime, Utc};
use daybook_event_store::RecordedEvent;
use serde::Deserialize;
use serde_json::Value;

/// An event of the book.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Event {
    /// Its place in the book.
    position: i64,
    /// Its stream.
    stream: String,
    /// Its place in the stream.
    version: i32,
    /// What happened.
    #[graphql(name = "type")]
    event_type: String,
    /// Its identity.
    event_id: String,
    /// When it was written.
    recorded_at: DateTime<Utc>,
    /// When it happened.
    effective_at: DateTime<Utc>,
    /// On whose authority.
    actor: String,
    /// The command that caused it.
    causation_id: String,
    /// What happened, as it stands in the book.
    data: Json<Value>,
}

impl From<RecordedEvent> for Event {
    fn from(event: RecordedEvent) -> Self {
        Self {
            position: event.position,
            stream: event.stream_id,
            version: event.version,
            event_type: event.event_type,
            event_id: event.event_id.to_string(),
            recorded_at: event.recorded_at,
            effective_at: event.effective_at,
            actor: event.actor,
            causation_id: event.causation_id.to_string(),
            data: Json(serde_json::from_str(&event.data).unwrap_or_default()),
        }
    }
}

/// How far a view is.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct View {
    /// The view.
    name: String,
    /// The version that is shown.
    version: i32,
    /// Everything up to this position is shown.
    position: i64,
    /// How many positions the book is ahead.
    lag: i64,
}
