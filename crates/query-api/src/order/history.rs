//! The history of an order, and the order as it was at an earlier time.

use async_graphql::{Json, OneofObject, SimpleObject};
use chrono::{DateTime, Utc};
use daybook_codec::history::{StoredEvent, fold_order};
use daybook_domain::order::Order as Folded;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::ORDER;
use crate::{
    graphql::{error::coded, input::time, scalars::Long},
    reader::{Reader, Statement, failed},
};

/// An earlier state of an order.
#[derive(Clone, Copy, OneofObject)]
pub(crate) enum AsOf {
    /// The state at this version. A version that the order does not have is `BAD_INPUT`.
    Version(Long),
    /// The state at this time, by the times at which events were recorded.
    Time(DateTime<Utc>),
}

/// An event in the history of an order.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct TimelineEntry {
    /// The version of the order after the event, from 1.
    pub(crate) version: Long,
    /// The position of the event in the book.
    pub(crate) position: Long,
    /// The type of the event.
    #[serde(rename = "type")]
    #[graphql(name = "type")]
    pub(crate) event_type: String,
    #[graphql(skip)]
    schema_version: i16,
    /// When the event was recorded.
    pub(crate) recorded_at: DateTime<Utc>,
    /// When the event happened.
    pub(super) effective_at: DateTime<Utc>,
    /// The actor who caused the event.
    pub(crate) actor: String,
    /// The command that caused the event.
    causation_id: Uuid,
    /// The data of the event, as recorded in the book.
    data: Json<Value>,
}

/// The whole history of an order.
pub(super) async fn whole_timeline(reader: &Reader, order_id: Uuid) -> async_graphql::Result<Vec<TimelineEntry>> {
    timeline(reader, order_id, 0, i64::MAX, i64::MAX).await
}

/// The history of an order after a version and up to another one, at most so many events.
pub(super) async fn timeline(
    reader: &Reader,
    order_id: Uuid,
    after: i64,
    up_to: i64,
    most: i64,
) -> async_graphql::Result<Vec<TimelineEntry>> {
    const BETWEEN: Statement = Statement::new(
        &[ORDER],
        "SELECT to_json(t) FROM read.order_timeline t
         WHERE order_id = $1 AND version > $2::bigint AND version <= $3::bigint ORDER BY version LIMIT $4",
    );
    reader.rows(&BETWEEN, &[&order_id, &after, &up_to, &most]).await
}

impl TimelineEntry {
    /// Whether the event belongs to an earlier state of the order.
    fn is_in(&self, as_of: AsOf) -> bool {
        match as_of {
            AsOf::Version(version) => self.version <= version,
            AsOf::Time(time) => self.recorded_at <= time,
        }
    }

    fn stored(&self) -> Result<StoredEvent<'_>, serde_json::Error> {
        Ok(StoredEvent {
            event_type: &self.event_type,
            schema_version: self.schema_version,
            data: serde_json::to_vec(&self.data.0)?.into(),
            effective_at: self.effective_at,
        })
    }
}

/// An earlier state of an order, by the domain's own fold of its events, and the last of them. Version 0 is before the first event.
pub(super) fn folded(
    timeline: &[TimelineEntry],
    as_of: AsOf,
) -> async_graphql::Result<(Folded, Option<&TimelineEntry>)> {
    let last = timeline.last().map_or(0, |entry| entry.version.0);
    if let AsOf::Version(Long(version)) = as_of
        && !(0..=last).contains(&version)
    {
        let versions = if last == 1 { "version" } else { "versions" };
        return Err(coded(
            "BAD_INPUT",
            format!("{version} is not a version of the order, which has {last} {versions}"),
        ));
    }
    let as_of = match as_of {
        AsOf::Time(at) => AsOf::Time(time("time", at)?),
        AsOf::Version(_) => as_of,
    };
    let past = timeline.iter().take_while(|entry| entry.is_in(as_of));
    let stored = past.clone().map(TimelineEntry::stored).collect::<Result<Vec<_>, _>>()?;
    let order = fold_order(stored).map_err(|error| failed(&error))?;
    Ok((order, past.last()))
}
