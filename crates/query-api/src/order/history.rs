//! What happened to an order, and the order as it was.

use async_graphql::{Json, OneofObject, SimpleObject};
use chrono::{DateTime, Utc};
use daybook_domain::{Event, Fold, order::Order as Folded};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::reader::{Reader, Statement, View, failed};

/// Until when an order is folded.
#[derive(Clone, Copy, OneofObject)]
pub(crate) enum AsOf {
    /// Up to this version.
    Version(i32),
    /// Up to what was recorded at this time.
    Time(DateTime<Utc>),
}

/// Something that happened to an order.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct TimelineEntry {
    /// Its place in the order's history, from 1.
    pub(crate) version: i32,
    /// Its place in the book.
    pub(crate) position: i64,
    /// What happened.
    #[serde(rename = "type")]
    #[graphql(name = "type")]
    pub(crate) event_type: String,
    #[graphql(skip)]
    schema_version: i16,
    /// When it was written.
    pub(crate) recorded_at: DateTime<Utc>,
    /// When it happened.
    effective_at: DateTime<Utc>,
    /// On whose authority.
    pub(crate) actor: String,
    /// The command that caused it.
    causation_id: Uuid,
    /// What happened, as it stands in the book.
    data: Json<Value>,
}

/// What happened to an order up to a version.
pub(super) async fn timeline(
    reader: &Reader,
    order_id: Uuid,
    version: i32,
) -> async_graphql::Result<Vec<TimelineEntry>> {
    const UP_TO: Statement = Statement::new(
        &[View::Order],
        "SELECT to_json(t) FROM read.order_timeline t WHERE order_id = $1 AND version <= $2 ORDER BY version",
    );
    reader.rows(&UP_TO, &[&order_id, &version]).await
}

/// An order as it was: the domain's own fold of its timeline, and the version it stands at.
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
