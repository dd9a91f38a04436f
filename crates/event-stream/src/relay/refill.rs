//! Continuing where the broker and the checkpoint agree, and filling again what the broker has lost.

use std::collections::BTreeMap;

use daybook_event_store::{Daybook, StoreError};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    RelayError, RelaySettings,
    checkpoint::{Checkpoint, PublishedOffset},
    log_ends::{self, LastEvent, LogEnds},
};
use crate::{signature::WireKeys, topology::Shard};

/// Compares the checkpoint with what the broker has, and moves it to where they agree: past what was published after it, and
/// back to the start for partitions that were lost.
pub(super) async fn resume(
    book: &Daybook,
    settings: &RelaySettings,
    client: &mut Client,
    shards: &[Shard],
    checkpoint: &mut Checkpoint,
    (history, keys): (Uuid, &WireKeys),
) -> Result<(), RelayError> {
    let found = log_ends::read(&settings.kafka, shards, &checkpoint.published, keys).await?;
    refuse_another_book(book, shards, &found, &checkpoint.published, history).await?;
    let (mut lost, mut ahead, mut fitting) = (Vec::new(), Vec::new(), 0);
    for (index, end) in found.ends.iter().enumerate() {
        let known_cluster = checkpoint.clusters[index].as_ref();
        let same_cluster =
            known_cluster.is_none() || found.cluster.is_none() || known_cluster == found.cluster.as_ref();
        match checkpoint.published[index] {
            Some(last) if !end.continues(last, same_cluster) => {
                checkpoint.published[index] = Some(PublishedOffset { position: 0, offset: end.high - 1 });
                lost.push(index);
            }
            known => {
                fitting += usize::from(known.is_some());
                // Published, but the leader before has not saved it.
                let newer = end.last.filter(|event| known.is_none_or(|last| event.published.offset > last.offset));
                if let Some(newer) = newer {
                    checkpoint.published[index] = Some(newer.published);
                    ahead.push(index);
                }
            }
        }
        checkpoint.clusters[index].clone_from(&found.cluster);
    }
    checkpoint.save(client, shards, &ahead).await?;
    if lost.is_empty() {
        return Ok(());
    }
    tracing::warn!(partitions = lost.len(), "topics were lost or created again; they are filled from the book");
    if fitting == 0 {
        return begin_again(book, settings, client, shards, checkpoint).await;
    }
    // The other partitions continue where they are, so publishing begins no later than there.
    let start = start(book, settings).await?.min(checkpoint.cursor);
    checkpoint.cursor = start;
    set_start(checkpoint, &lost, start);
    checkpoint.begin_again(client, shards, &lost).await
}

/// Publishes everything again that the broker can hold.
pub(super) async fn begin_again(
    book: &Daybook,
    settings: &RelaySettings,
    client: &mut Client,
    shards: &[Shard],
    checkpoint: &mut Checkpoint,
) -> Result<(), RelayError> {
    let start = start(book, settings).await?;
    tracing::info!(after = start, "the book is published again");
    checkpoint.cursor = start;
    let all: Vec<usize> = (0..shards.len()).collect();
    set_start(checkpoint, &all, start);
    checkpoint.begin_again(client, shards, &all).await
}

/// The first message of these partitions says that nothing is missing after `start`.
fn set_start(checkpoint: &mut Checkpoint, which: &[usize], start: i64) {
    for &index in which {
        let offset = checkpoint.published[index].map_or(-1, |last| last.offset);
        checkpoint.published[index] = Some(PublishedOffset { position: start, offset });
    }
}

/// The position after which publishing again begins: the start of the book, or as far back as the broker can hold.
async fn start(book: &Daybook, settings: &RelaySettings) -> Result<i64, RelayError> {
    /// What an event costs on the wire beside its data.
    const ENVELOPE_BYTES: i64 = 1_500;
    let Some(bytes) = settings.refill_bytes else { return Ok(0) };
    let client = book.pool().get().await.map_err(StoreError::from)?;
    let head: i64 = client.query_one("SELECT position FROM head", &[]).await?.try_get(0)?;
    // Even events without data would be too many before this one.
    let earliest = (head - bytes / ENVELOPE_BYTES).max(0);
    let row = client
        .query_one(
            "SELECT coalesce(max(position), $1::bigint) FROM (
                 SELECT position, sum(octet_length(data::text) + $4::bigint) OVER (ORDER BY position DESC) AS bytes
                 FROM events WHERE position > $1 AND position <= $2
             ) AS tail WHERE bytes > $3::bigint",
            &[&earliest, &head, &bytes, &ENVELOPE_BYTES],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// Makes sure that the last event of every partition is one of this book, and of its history. After a restore, a position may be
/// another event's. Otherwise the relay would skip events, and consumers would mix two books.
///
/// Records from before publishing began again are ignored. A broker that was killed may have records again that it has deleted.
async fn refuse_another_book(
    book: &Daybook,
    shards: &[Shard],
    found: &LogEnds,
    published: &[Option<PublishedOffset>],
    history: Uuid,
) -> Result<(), RelayError> {
    let positions: Vec<i64> = found.ends.iter().filter_map(|end| Some(end.last?.published.position)).collect();
    let client = book.pool().get().await.map_err(StoreError::from)?;
    let rows = client.query("SELECT position, event_id FROM events WHERE position = ANY ($1)", &[&positions]).await?;
    let mut own = BTreeMap::new();
    for row in &rows {
        own.insert(row.try_get::<_, i64>(0)?, row.try_get(1)?);
    }
    for ((shard, end), known) in shards.iter().zip(&found.ends).zip(published) {
        let is_earlier = |offset| known.is_some_and(|known| known.position == 0 && offset <= known.offset);
        if let Some(LastEvent { published: PublishedOffset { position, offset }, identity }) = end.last
            && !is_earlier(offset)
            && (identity.history != history || own.get(&position) != Some(&identity.event_id))
        {
            return Err(RelayError::AnotherBook { topic: shard.topic.clone(), position });
        }
    }
    Ok(())
}
