//! Loading streams for decisions: from a snapshot, and the events after it.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Daybook, StoreError,
    record::{COLUMNS, RecordedEvent},
    sql::{JsonRef, JsonText},
};

/// A fold version that no snapshot has.
pub const FROM_THE_BEGINNING: i16 = i16::MIN;

/// A state at a version of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the stream at this state.
    pub version: i32,
    /// The state, as JSON.
    pub state: String,
}

/// A stream in the form from which its state is folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedStream {
    /// The stream.
    pub stream_id: Arc<str>,
    /// The snapshot at which the fold begins; without one it begins at the empty state.
    pub snapshot: Option<Snapshot>,
    /// The events after the snapshot, in order. Without a snapshot, all events.
    pub events: Vec<RecordedEvent>,
}

impl Daybook {
    /// Loads many streams, each from its snapshot of this `fold_version` if it has one. A stream that does not exist is loaded as an
    /// empty one. [`FROM_THE_BEGINNING`] ignores all snapshots.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn load_streams(&self, streams: &[Arc<str>], fold_version: i16) -> Result<Vec<LoadedStream>, StoreError> {
        let client = self.pool.get().await?;
        let names: Vec<&str> = streams.iter().map(|stream| &**stream).collect();
        let mut loaded = empty(streams);
        let snapshots = client
            .prepare_cached(
                "SELECT stream_id, version, state FROM snapshots WHERE stream_id = ANY ($1) AND fold_version = $2",
            )
            .await?;
        for row in client.query(&snapshots, &[&names, &fold_version]).await? {
            if let Some(stream) = loaded.get_mut(row.try_get::<_, &str>(0)?) {
                stream.snapshot = Some(Snapshot { version: row.try_get(1)?, state: row.try_get::<_, JsonText>(2)?.0 });
            }
        }
        let after: Vec<i32> =
            names.iter().map(|name| loaded[name].snapshot.as_ref().map_or(0, |snapshot| snapshot.version)).collect();
        add_events(&client, &mut loaded, &names, &after).await?;
        Ok(streams.iter().filter_map(|stream| loaded.remove(&**stream)).collect())
    }

    /// Loads the events of many streams after a version each. No snapshot is read.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn load_after(&self, streams: &[(Arc<str>, i32)]) -> Result<Vec<LoadedStream>, StoreError> {
        let client = self.pool.get().await?;
        let (names, after): (Vec<&str>, Vec<i32>) =
            streams.iter().map(|(stream, version)| (&**stream, *version)).unzip();
        let mut loaded = empty(streams.iter().map(|(stream, _)| stream));
        add_events(&client, &mut loaded, &names, &after).await?;
        Ok(streams.iter().filter_map(|(stream, _)| loaded.remove(&**stream)).collect())
    }

    /// Saves a snapshot, unless a later one exists. A snapshot of the same version is replaced: if it differs, it is damaged.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed. A lost snapshot costs only time.
    pub async fn save_snapshot(
        &self,
        stream_id: &str,
        fold_version: i16,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let client = self.pool.get().await?;
        client
            .execute(
                "INSERT INTO snapshots AS s (stream_id, version, fold_version, state) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (stream_id) DO UPDATE
                 SET version = excluded.version, fold_version = excluded.fold_version, state = excluded.state
                 WHERE (s.fold_version, s.version) <= (excluded.fold_version, excluded.version)",
                &[&stream_id, &snapshot.version, &fold_version, &JsonRef(&snapshot.state)],
            )
            .await?;
        Ok(())
    }
}

/// Streams without anything, by name.
fn empty<'s>(streams: impl IntoIterator<Item = &'s Arc<str>>) -> HashMap<&'s str, LoadedStream> {
    let none = |stream: &Arc<str>| LoadedStream { stream_id: Arc::clone(stream), snapshot: None, events: Vec::new() };
    streams.into_iter().map(|stream| (&**stream, none(stream))).collect()
}

/// Adds the events of streams after a version each.
async fn add_events(
    client: &deadpool_postgres::Client,
    loaded: &mut HashMap<&str, LoadedStream>,
    names: &[&str],
    after: &[i32],
) -> Result<(), StoreError> {
    let events = client
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM unnest($1::text[], $2::int[]) AS s (name, after)
             JOIN LATERAL (
                 SELECT * FROM events e WHERE e.stream_id = s.name AND e.version > s.after ORDER BY e.version
             ) AS e ON true"
        ))
        .await?;
    for row in client.query(&events, &[&names, &after]).await? {
        let event = RecordedEvent::from_row(&row)?;
        if let Some(stream) = loaded.get_mut(event.stream_id.as_str()) {
            stream.events.push(event);
        }
    }
    Ok(())
}
