//! Which version of each view is shown, in which revision, and how far it is.

use daybook_event_store::{Daybook, StoreError};
use deadpool_postgres::GenericClient;
use serde::Serialize;

use super::view::ViewSpec;

/// The version of a view that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) version: i32,
    /// The [revision](ViewSpec::revision) of the view in the program that has built it.
    pub(crate) revision: i32,
}

/// What is shown of a view, if it was built.
pub(crate) async fn shown_in(
    client: &impl GenericClient,
    view: &ViewSpec,
) -> Result<Option<Shown>, tokio_postgres::Error> {
    let sql = "SELECT version, revision FROM views WHERE name = $1";
    let row = client.query_opt(sql, &[&view.name]).await?;
    row.map(|row| Ok(Shown { version: row.try_get(0)?, revision: row.try_get(1)? })).transpose()
}

/// The same, on a connection of its own.
pub(crate) async fn shown(book: &Daybook, view: &ViewSpec) -> Result<Option<Shown>, StoreError> {
    Ok(shown_in(&book.pool().get().await?, view).await?)
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

/// How far views are: those that were built, in the order in which they are named.
///
/// # Errors
/// [`StoreError`] when the database failed.
pub async fn status(book: &Daybook, views: &[&ViewSpec]) -> Result<Vec<ViewStatus>, StoreError> {
    let client = book.pool().get().await?;
    let names: Vec<&str> = views.iter().map(|view| view.name).collect();
    let sql = "SELECT name, version, position, head, parked FROM read.view_status
               WHERE name = ANY ($1) ORDER BY array_position($1, name)";
    let rows = client.query(sql, &[&names]).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.try_get(0)?;
        let (position, head): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let lag = (head - position).max(0);
        all.push(ViewStatus { name, version: row.try_get(1)?, position, lag, parked: row.try_get(4)? });
    }
    Ok(all)
}
