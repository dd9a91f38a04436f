//! Building a view from the book, beside the one that is shown, and swapping them.
//!
//! Most of the book is [loaded](load) into tables without indexes. What was written meanwhile is folded as a consumer does it.
//! A rebuild reads the book and not Kafka, which may have lost events. The new version catches up once more while the old one is
//! locked, takes over its checkpoints, and is shown from the same commit on. Queries never stop, and never see half a view.

mod load;

use std::time::Duration;

use daybook_event_store::{Daybook, PoolSettings, RecordedEvent, StoreError, is_refused_row};
use daybook_event_stream::{EffectError, SharedEvent, Topology, consumer::parked};
use deadpool_postgres::Transaction;
use futures::{StreamExt, TryStreamExt, pin_mut};
use tokio_postgres::{Client, error::SqlState};

use super::{
    projection::{NotShown, Projection, lock},
    registry::shown_version,
    view::ViewSpec,
};
use crate::ViewError;

/// How many events are folded in one transaction.
const CHUNK: usize = 5_000;
/// The connections of a rebuild at most, beside three of its own: its transaction, what it reads meanwhile, and the head.
const CONNECTIONS: usize = 3;
/// How often a rebuild catches up before it swaps, however much is written meanwhile. What is missing then is folded while the view is
/// locked.
const ROUNDS: usize = 5;
/// How long those who read may have to wait while a swap waits for one who reads for longer.
const SWAP_WAIT: &str = "200ms";
/// How long a swap then leaves the way free.
const SWAP_PAUSE: Duration = Duration::from_millis(500);

/// How many bytes of events go into the rows that a rebuild buffers in memory, by default. A row takes a few times as much memory as the
/// JSON of its events.
pub const BUFFERED_BYTES: usize = 128 << 20;

/// How far a rebuild is: events done, of how many.
pub type Progress<'p> = &'p (dyn Fn(i64, i64) + Send + Sync);

/// Builds the first version of a view, if there is none, and the next one of a view that shows what the book does not have: then
/// the book was set back, and the view was not.
///
/// # Errors
/// [`ViewError`] when the book or the tables failed.
pub async fn build_if_missing(book: &Daybook, topology: &Topology, view: &'static ViewSpec) -> Result<(), ViewError> {
    match missing(book, view).await? {
        Some(shown) => build_after(book, topology, view, shown).await,
        None => Ok(()),
    }
}

/// The version that is shown, if there is any, of a view that has to be built; none for a view that is sound.
pub(crate) async fn missing(book: &Daybook, view: &ViewSpec) -> Result<Option<Option<i32>>, ViewError> {
    let shown = shown_version(book, view).await?;
    if let Some(version) = shown {
        if !is_ahead(book, &view.versioned(version)).await? {
            return Ok(None);
        }
        tracing::warn!(view = view.name, version, "the view is ahead of the book; it is built again");
    }
    Ok(Some(shown))
}

/// Builds the version after `shown`, unless another process has shown another version meanwhile.
///
/// # Errors
/// [`ViewError`] when the book or the tables failed.
pub(crate) async fn build_after(
    book: &Daybook,
    topology: &Topology,
    view: &'static ViewSpec,
    shown: Option<i32>,
) -> Result<(), ViewError> {
    match rebuild_from(book, topology, view, shown, BUFFERED_BYTES, &|_, _| {}).await? {
        Some(version) => tracing::info!(view = view.name, version, "the view is built"),
        None => tracing::debug!(view = view.name, "another process has built the view"),
    }
    Ok(())
}

/// Whether a consumer has processed more than the book has.
async fn is_ahead(book: &Daybook, consumer: &str) -> Result<bool, ViewError> {
    let client = book.pool().get().await?;
    let sql = "SELECT coalesce(max(c.position), 0) > (SELECT position FROM head) FROM consumer_checkpoints c WHERE c.consumer = $1";
    Ok(client.query_one(sql, &[&consumer]).await?.try_get(0)?)
}

/// Builds the next version of a view and shows it. Returns the version.
///
/// # Errors
/// [`ViewError`] when the book or the tables failed; then the view is as it was.
pub async fn rebuild(
    book: &Daybook,
    topology: &Topology,
    view: &'static ViewSpec,
    progress: Progress<'_>,
) -> Result<i32, ViewError> {
    rebuild_within(book, topology, view, BUFFERED_BYTES, progress).await
}

/// Does the same with another limit: the rows in memory come from at most so many bytes of events, beside one batch.
///
/// # Errors
/// [`ViewError`] when the book or the tables failed; then the view is as it was.
pub async fn rebuild_within(
    book: &Daybook,
    topology: &Topology,
    view: &'static ViewSpec,
    max_bytes: usize,
    progress: Progress<'_>,
) -> Result<i32, ViewError> {
    loop {
        let shown = shown_version(book, view).await?;
        if let Some(version) = rebuild_from(book, topology, view, shown, max_bytes, progress).await? {
            return Ok(version);
        }
    }
}

/// Builds the version after `shown`; nothing when that is not the shown one any more.
async fn rebuild_from(
    book: &Daybook,
    topology: &Topology,
    view: &'static ViewSpec,
    shown: Option<i32>,
    max_bytes: usize,
    progress: Progress<'_>,
) -> Result<Option<i32>, ViewError> {
    // A pool of its own, since a rebuild holds a connection while it waits for another, and has no time limit.
    let book = &book.with_pool(&PoolSettings::of(CONNECTIONS))?;
    // One rebuild of a view at a time; the lock is the connection's.
    let mut guard = book.connect().await?;
    guard.execute("SELECT pg_advisory_lock(hashtext('daybook view ' || $1))", &[&view.name]).await?;
    // The swap of one that was killed may still be on its way to the disk, on a connection of its own.
    let settled = guard.transaction().await?;
    lock(&settled, view).await?;
    settled.commit().await?;
    if shown_version(book, view).await? != shown {
        return Ok(None);
    }
    let next = Projection::new(view, shown.unwrap_or(0) + 1);
    drop_all_but(&guard, view, shown).await?;
    make_tables(&mut guard, &next).await?;
    let mut done = match load::load(book, &next, max_bytes, progress).await {
        Ok(done) => done,
        Err(error) if is_refused(&error) => {
            // Small steps find the event that is refused.
            tracing::warn!(view = view.name, %error, "the database refuses rows; the view is built in small steps");
            drop_all_but(&guard, view, shown).await?;
            make_tables(&mut guard, &next).await?;
            0
        }
        Err(error) => return Err(error),
    };
    loop {
        done = catch_up(book, &next, done, progress).await?;
        match swap(book, topology, &next, shown, done).await {
            Ok(()) => break,
            Err(error) if is_read_meanwhile(&error) => tokio::time::sleep(SWAP_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
    progress(1, 1);
    drop_all_but(&guard, view, Some(next.version)).await?;
    Ok(Some(next.version))
}

/// Drops the tables and the checkpoints of every version but one: of the version before it, and of rebuilds that were killed.
async fn drop_all_but(client: &Client, view: &ViewSpec, shown: Option<i32>) -> Result<(), ViewError> {
    let kept = shown.map(|version| view.versioned(version));
    let rows = client
        .query(
            "SELECT nspname::text FROM pg_namespace WHERE nspname ~ ('^' || $1 || '_v[0-9]+$') AND nspname IS DISTINCT FROM $2",
            &[&view.name, &kept],
        )
        .await?;
    for row in &rows {
        client.batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", row.try_get::<_, String>(0)?)).await?;
    }
    client
        .execute(
            "DELETE FROM consumer_checkpoints WHERE consumer ~ ('^' || $1 || '_v[0-9]+$') AND consumer IS DISTINCT FROM $2",
            &[&view.name, &kept],
        )
        .await?;
    Ok(())
}

/// Makes empty tables.
async fn make_tables(client: &mut Client, next: &Projection) -> Result<(), ViewError> {
    let (schema, ddl) = (&next.schema, next.view.ddl());
    let transaction = client.transaction().await?;
    transaction.execute("DELETE FROM parked_events WHERE consumer = $1", &[schema]).await?;
    transaction.batch_execute(&format!("CREATE SCHEMA {schema}; SET LOCAL search_path = {schema}; {ddl}")).await?;
    transaction.commit().await?;
    Ok(())
}

/// Folds the book until little is missing, but not for ever. Returns how far that is.
async fn catch_up(book: &Daybook, next: &Projection, mut done: i64, progress: Progress<'_>) -> Result<i64, ViewError> {
    for _ in 0..ROUNDS {
        let head = book.head().await?.position;
        if head - done <= i64::try_from(CHUNK).unwrap_or(i64::MAX) {
            break;
        }
        done = fold_up_to(book, next, done, head, progress).await?;
    }
    Ok(done)
}

/// Whether the database has refused a row for what it holds, or because of another row, or a row cannot be written or read back.
fn is_refused(error: &ViewError) -> bool {
    match error {
        ViewError::Store(StoreError::Database(error)) | ViewError::Effect(EffectError::Database(error)) => {
            is_refused_row(error) || error.code() == Some(&SqlState::UNIQUE_VIOLATION)
        }
        ViewError::Effect(EffectError::Row(_)) => true,
        _ => false,
    }
}

/// Folds the book into the new tables, a chunk a transaction.
async fn fold_up_to(
    book: &Daybook,
    next: &Projection,
    after: i64,
    head: i64,
    progress: Progress<'_>,
) -> Result<i64, ViewError> {
    let events =
        book.scan_streams(after, head, &next.view.stream_prefixes()).await?.try_chunks(CHUNK).map_err(|error| error.1);
    pin_mut!(events);
    let mut client = book.pool().get().await?;
    while let Some(chunk) = events.next().await {
        let chunk = shared(chunk?);
        let Some(last) = chunk.last().map(|event| event.position) else { continue };
        let mut transaction = client.transaction().await?;
        process(&mut transaction, next, &chunk).await?;
        transaction.commit().await?;
        progress(last, head);
    }
    Ok(head)
}

/// Shows the new version. What is still missing is folded while the view is locked, and the checkpoints are taken over. The swap waits for
/// readers of the old version, but not for long, because all other readers have to wait behind the swap.
async fn swap(
    book: &Daybook,
    topology: &Topology,
    next: &Projection,
    shown: Option<i32>,
    done: i64,
) -> Result<(), ViewError> {
    let view = next.view;
    let mut client = book.pool().get().await?;
    let mut transaction = client.transaction().await?;
    lock(&transaction, view).await?;
    let head = book.head().await?.position;
    let missing =
        book.scan_streams(done, head, &view.stream_prefixes()).await?.try_chunks(CHUNK).map_err(|error| error.1);
    pin_mut!(missing);
    while let Some(chunk) = missing.next().await {
        process(&mut transaction, next, &shared(chunk?)).await?;
    }
    // Unlike what is built, which can be built again.
    transaction.batch_execute("SET LOCAL synchronous_commit = on").await?;
    let old = shown.map(|version| view.versioned(version));
    take_over_checkpoints(&transaction, next, old.as_deref(), &view.topics(topology), topology.partitions, head)
        .await?;
    transaction
        .execute(
            "INSERT INTO views (name, version, revision) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET version = excluded.version, revision = excluded.revision",
            &[&view.name, &next.version, &view.revision],
        )
        .await?;
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{SWAP_WAIT}'")).await?;
    for table in view.tables.iter().map(|table| table.name) {
        let sql = format!(
            "DROP VIEW IF EXISTS read.{table}; CREATE VIEW read.{table} AS SELECT * FROM {}.{table}",
            next.schema
        );
        transaction.batch_execute(&sql).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Whether a swap has met a reader that takes longer than the swap waits.
fn is_read_meanwhile(error: &ViewError) -> bool {
    matches!(error, ViewError::Store(StoreError::Database(error)) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
}

/// The new version gets the offsets of the old one, and counts as having processed everything up to `head`.
async fn take_over_checkpoints(
    transaction: &Transaction<'_>,
    next: &Projection,
    old: Option<&str>,
    topics: &[String],
    partitions: i32,
    head: i64,
) -> Result<(), ViewError> {
    transaction.execute("DELETE FROM consumer_checkpoints WHERE consumer = $1", &[&next.schema]).await?;
    transaction
        .execute(
            "INSERT INTO consumer_checkpoints (consumer, topic, partition, log_offset, position)
             SELECT $1, t.topic, p.partition, coalesce(c.log_offset, -1), $5
             FROM unnest($3::text[]) AS t (topic) CROSS JOIN generate_series(0, $4::int - 1) AS p (partition)
             LEFT JOIN consumer_checkpoints c
                 ON c.consumer = $2 AND c.topic = t.topic AND c.partition = p.partition",
            &[&next.schema, &old, &topics, &partitions, &head],
        )
        .await?;
    if let Some(old) = old {
        transaction.execute("DELETE FROM consumer_checkpoints WHERE consumer = $1", &[&old]).await?;
        transaction.execute("DELETE FROM parked_events WHERE consumer = $1", &[&old]).await?;
    }
    Ok(())
}

fn shared(events: Vec<RecordedEvent>) -> Vec<SharedEvent> {
    events.into_iter().map(Into::into).collect()
}

/// Processes events. Poisoned streams are parked, as they are by a consumer.
async fn process(
    transaction: &mut Transaction<'_>,
    next: &Projection,
    events: &[SharedEvent],
) -> Result<(), ViewError> {
    Ok(parked::process(transaction, &next.schema, &NotShown(next), events).await?)
}
