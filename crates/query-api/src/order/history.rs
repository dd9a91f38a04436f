//! The history of an order, and the order as it was at an earlier time.

use async_graphql::{Json, OneofObject, SimpleObject};
use chrono::{DateTime, Utc};
use daybook_domain::{Event, Fold, order::Order as Folded};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::ORDER;
use crate::reader::{Reader, Statement, failed};

/// An earlier state of an order.
#[derive(Clone, Copy, OneofObject)]
pub(crate) enum AsOf {
    /// The state at this version.
    Version(i32),
    /// The state at this time, by the times at which events were recorded.
    Time(DateTime<Utc>),
}

/// An event in the history of an order.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct TimelineEntry {
    /// The version of the order after the event, from 1.
    pub(crate) version: i32,
    /// The position of the event in the book.
    pub(crate) position: i64,
    /// The type of the event.
    #[serde(rename = "type")]
    #[graphql(name = "type")]
    pub(crate) event_type: String,
    #[graphql(skip)]
    schema_version: i16,
    /// When the event was recorded.
    pub(crate) recorded_at: DateTime<Utc>,
    /// When the event happened.
    effective_at: DateTime<Utc>,
    /// The actor who caused the event.
    pub(crate) actor: String,
    /// The command that caused the event.
    causation_id: Uuid,
    /// The data of the event, as recorded in the book.
    data: Json<Value>,
}

/// The history of an order up to a version.
pub(super) async fn timeline(
    reader: &Reader,
    order_id: Uuid,
    version: i32,
) -> async_graphql::Result<Vec<TimelineEntry>> {
    const UP_TO: Statement = Statement::new(
        &[ORDER],
        "SELECT to_json(t) FROM read.order_timeline t WHERE order_id = $1 AND version <= $2 ORDER BY version",
    );
    reader.rows(&UP_TO, &[&order_id, &version]).await
}

/// An earlier state of an order, by the domain's own fold of its events, and the version of that state.
pub(super) async fn folded(reader: &Reader, order_id: Uuid, as_of: AsOf) -> async_graphql::Result<(Folded, i32)> {
    let mut state = (Folded::default(), 0);
    for entry in timeline(reader, order_id, i32::MAX).await? {
        let past = match as_of {
            AsOf::Version(version) => entry.version <= version,
            AsOf::Time(time) => entry.recorded_at <= time,
        };
        if !past {
            break;
        }
        let data = serde_json::to_vec(&entry.data.0)?;
        let event = daybook_codec::decode(&entry.event_type, entry.schema_version, &data);
        if let Event::Order(event) = event.map_err(|error| failed(&error))? {
            state.0.evolve(&event, entry.effective_at);
        }
        state.1 = entry.version;
    }
    Ok(state)
}
