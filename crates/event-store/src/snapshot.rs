//! Loading streams for decisions, from their snapshots on.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Daybook, StoreError,
    record::{COLUMNS, RecordedEvent},
    sql::{JsonRef, JsonText},
};

/// The fold version that no snapshot has.
pub const FROM_THE_BEGINNING: i16 = i16::MIN;

/// A state at a version of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the stream that the state stands at.
    pub version: i32,
    /// The state, as JSON.
    pub state: String,
}

/// What a stream's state is folded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedStream {
    /// The stream.
    pub stream_id: Arc<str>,
    /// Where to start, if not at nothing.
    pub snapshot: Option<Snapshot>,
    /// The events after the snapshot, in order; all there are without one.
    pub events: Vec<RecordedEvent>,
}

impl Daybook {
    /// Loads many streams in one go, each from its snapshot of this `fold_version` on if there is one. A stream that does
    /// not exist is loaded as an empty one. [`FROM_THE_BEGINNING`] leaves all snapshots aside.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn load_streams(&self, streams: &[Arc<str>], fold_version: i16) -> Result<Vec<LoadedStream>, StoreError> {
        let client = self.pool.get().await?;
        let names: Vec<&str> = streams.iter().map(|stream| &**stream).collect();
        let mut loaded: HashMap<&str, LoadedStream> = streams
            .iter()
            .map(|stream| {
                (&**stream, LoadedStream { stream_id: Arc::clone(stream), snapshot: None, events: Vec::new() })
            })
            .collect();
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
        Ok(streams.iter().filter_map(|stream| loaded.remove(&**stream)).collect())
    }

    /// Keeps a state, unless a later one is kept already. One of the same version is replaced: it ought to be the same, and
    /// where it is not, it is damaged.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed; nothing is lost by it.
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
