//! Running the views: each version of a view is a consumer of the stream.

use std::time::Duration;

use daybook_event_store::{Daybook, RecordedEvent, StoreError};
use daybook_event_stream::{Consumer, Effect, EffectError, KafkaSettings};
use deadpool_postgres::Transaction;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

use crate::{
    ViewError, rebuild,
    store::Store,
    view::{Recorded, ViewSpec},
    views,
};

/// Projections share this lock of the view's name; the swap of a rebuild has it alone. Whoever waits for it is served in turn,
/// so that a swap gets its turn under any load.
const LOCK: i32 = 0x7669_6577;

/// How long it takes until a view is run again that is not run any more.
const AGAIN: Duration = Duration::from_millis(200);
/// How long when its tables are another program's.
const NOT_OURS: Duration = Duration::from_secs(5);

/// Waits until nobody takes events into a view, and keeps it so for as long as the transaction lasts.
pub(crate) async fn hold_still(transaction: &Transaction<'_>, view: &ViewSpec) -> Result<(), tokio_postgres::Error> {
    transaction.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&LOCK, &view.name]).await?;
    Ok(())
}

/// A version of a view, as what a consumer does with events.
pub struct Projection {
    pub(crate) view: &'static ViewSpec,
    pub(crate) version: i32,
    pub(crate) schema: String,
}

impl Projection {
    /// A version of a view.
    #[must_use]
    pub fn new(view: &'static ViewSpec, version: i32) -> Self {
        Self { view, version, schema: view.versioned(version) }
    }

    /// Takes events in, without asking whether this version is the one that is shown.
    pub(crate) async fn project(
        &self,
        transaction: &Transaction<'_>,
        events: impl IntoIterator<Item = RecordedEvent>,
    ) -> Result<(), EffectError> {
        let events = events.into_iter().map(Recorded::read).collect::<Result<Vec<_>, _>>()?;
        (self.view.project)(&Store::new(transaction, &self.schema), &events).await
    }
}

impl Effect for Projection {
    async fn apply(&self, transaction: &Transaction<'_>, events: &[RecordedEvent]) -> Result<(), EffectError> {
        let lock = transaction.prepare_cached("SELECT pg_advisory_xact_lock_shared($1, hashtext($2))").await?;
        let shown = transaction.prepare_cached("SELECT 1 FROM views WHERE name = $1 AND version = $2").await?;
        // One round trip; still the second statement sees what was committed before the first one had its lock.
        let (lock_parameters, parameters): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 2]) =
            ([&LOCK, &self.view.name], [&self.view.name, &self.version]);
        let (_, shown) = futures::try_join!(
            transaction.query_one(&lock, &lock_parameters),
            transaction.query_opt(&shown, &parameters)
        )?;
        if shown.is_none() {
            return Err(EffectError::Retired);
        }
        self.project(transaction, events.iter().cloned()).await
    }
}

/// Runs every view until told to stop. A view that has no tables yet is built first.
///
/// # Errors
/// [`ViewError`] when a view cannot be built, or its task is lost.
pub async fn run(book: &Daybook, kafka: &KafkaSettings, stop: &CancellationToken) -> Result<(), ViewError> {
    for view in views::ALL {
        rebuild::build_if_missing(book, &kafka.topology, view).await?;
    }
    let mut running = JoinSet::new();
    for view in views::ALL {
        let (book, kafka, stop) = (book.clone(), kafka.clone(), stop.clone());
        running.spawn(async move { run_view(&book, &kafka, &stop, view).await });
    }
    while let Some(ended) = running.join_next().await {
        ended?;
    }
    Ok(())
}

/// Runs the version of a view that is shown, and the next one when it is retired. One that another program has built is left to
/// that program: its rows may mean something else.
async fn run_view(book: &Daybook, kafka: &KafkaSettings, stop: &CancellationToken, view: &'static ViewSpec) {
    while !stop.is_cancelled() {
        let mut pause = AGAIN;
        match shown(book, view).await {
            Ok(Some(Shown { version, is_ours: true })) => {
                let effect = Projection::new(view, version);
                let consumer = Consumer { name: view.versioned(version), topics: view.topics(&kafka.topology), effect };
                consumer.run(book, kafka, stop).await;
                if let Err(error) = give_up_place(book, view, version).await {
                    tracing::warn!(view = view.name, version, %error, "the place of a retired version is still kept");
                }
            }
            Ok(Some(Shown { version, is_ours: false })) => {
                tracing::error!(view = view.name, version, "another program has built the view, with other tables");
                pause = NOT_OURS;
            }
            Ok(None) => tracing::error!(view = view.name, "the view is gone"),
            Err(error) => tracing::warn!(view = view.name, %error, "the version of the view is not known"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Forgets how far a retired version was. The swap has done so; but a consumer that was given partitions at that very moment has
/// begun there once more.
async fn give_up_place(book: &Daybook, view: &ViewSpec, version: i32) -> Result<(), StoreError> {
    let client = book.pool().get().await?;
    let sql = "DELETE FROM consumer_checkpoints
               WHERE consumer = $1 AND EXISTS (SELECT 1 FROM views WHERE name = $2 AND version > $3)";
    client.execute(sql, &[&view.versioned(version), &view.name, &version]).await?;
    Ok(())
}

/// The version of a view that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) version: i32,
    /// Whether its tables are those that this program would make.
    pub(crate) is_ours: bool,
}

/// The version of a view that is shown, if it was built.
pub(crate) async fn shown(book: &Daybook, view: &ViewSpec) -> Result<Option<Shown>, StoreError> {
    let client = book.pool().get().await?;
    let row = client.query_opt("SELECT version, ddl = $2 FROM views WHERE name = $1", &[&view.name, &view.ddl]).await?;
    row.map(|row| Ok(Shown { version: row.try_get(0)?, is_ours: row.try_get(1)? })).transpose()
}

/// The version of a view that is shown, if it was built.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn shown_version(book: &Daybook, view: &ViewSpec) -> Result<Option<i32>, StoreError> {
    Ok(shown(book, view).await?.map(|shown| shown.version))
}

/// How far a view is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewStatus {
    /// The view.
    pub name: String,
    /// The version that is shown.
    pub version: i32,
    /// Everything up to this position is shown.
    pub position: i64,
    /// How many positions the book is ahead.
    pub lag: i64,
    /// How many events are parked.
    pub parked: i64,
}

/// How far the views are.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn status(book: &Daybook) -> Result<Vec<ViewStatus>, StoreError> {
    let client = book.pool().get().await?;
    let rows = client.query("SELECT name, version, position, head, parked FROM read.view_status", &[]).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.try_get(0)?;
        let (position, head): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let lag = (head - position).max(0);
        all.push(ViewStatus { name, version: row.try_get(1)?, position, lag, parked: row.try_get(4)? });
    }
    all.sort_by_key(|status| views::ALL.iter().position(|view| view.name == status.name));
    Ok(all)
}
