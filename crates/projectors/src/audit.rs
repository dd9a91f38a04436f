//! Comparing a view with a fresh fold of the book.

use std::collections::HashMap;

use daybook_domain::Slice;
use daybook_event_store::Daybook;
use daybook_event_stream::Topology;
use deadpool_postgres::Transaction;
use futures::{StreamExt, TryStreamExt, pin_mut};
use serde::Serialize;
use tokio_postgres::IsolationLevel;

use crate::{
    ViewError,
    runner::{Projection, shown_version},
    view::ViewSpec,
};

/// How many events are folded at once.
const CHUNK: usize = 5_000;

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// How many rows were compared.
    pub checked: i64,
    /// How many rows are not as the book says.
    pub violations: i64,
    /// The first of them.
    pub first: Option<String>,
}

/// Compares a view with a fold of the book up to exactly where the view is, partition by partition. Everything takes place in
/// one transaction that sees one moment and is rolled back, so a view that goes on meanwhile does not disturb it.
///
/// # Errors
/// [`ViewError`] when the book or the tables failed, or the view was never built.
pub async fn verify(book: &Daybook, topology: &Topology, view: &'static ViewSpec) -> Result<Audit, ViewError> {
    let mut client = book.pool().get().await?;
    let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    let Some(version) = shown_version(book, view).await? else {
        return Err(ViewError::UnknownView(view.name.to_owned()));
    };
    let shown = view.versioned(version);
    let seen = seen(&transaction, &shown).await?;
    let scratch = Projection { view, version: 0, schema: format!("{}_audit", view.name) };
    let (schema, ddl) = (&scratch.schema, view.ddl);
    let make =
        format!("CREATE SCHEMA {schema}; SET LOCAL search_path = {schema}; {ddl}; SET LOCAL search_path = public");
    transaction.batch_execute(&make).await?;
    let last = seen.values().max().copied().unwrap_or(0);
    let events = book.scan(0, last).await?.try_chunks(CHUNK).map_err(|error| error.1);
    pin_mut!(events);
    while let Some(chunk) = events.next().await {
        let own = chunk?.into_iter().filter(|event| {
            let partition = topology.partition_of(&event.stream_id);
            Slice::of_stream(&event.stream_id) == Some(view.slice)
                && seen.get(&partition).is_some_and(|position| event.position <= *position)
        });
        scratch.project(&transaction, own.collect::<Vec<_>>()).await?;
    }
    let mut audit = Audit { checked: 0, violations: 0, first: None };
    for table in view.tables {
        compare(&transaction, table, &shown, schema, &mut audit).await?;
    }
    transaction.rollback().await?;
    Ok(audit)
}

/// How far the view is in each partition of its topic.
async fn seen(transaction: &Transaction<'_>, consumer: &str) -> Result<HashMap<i32, i64>, ViewError> {
    let rows = transaction
        .query("SELECT partition, position FROM consumer_checkpoints WHERE consumer = $1", &[&consumer])
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Rows that only one side has, as text, since columns of type `json` have no equality.
async fn compare(
    transaction: &Transaction<'_>,
    table: &str,
    shown: &str,
    fresh: &str,
    audit: &mut Audit,
) -> Result<(), ViewError> {
    let count = transaction.query_one(&format!("SELECT count(*) FROM {shown}.{table}"), &[]).await?;
    audit.checked += count.try_get::<_, i64>(0)?;
    let differences = transaction
        .query(
            &format!(
                "(SELECT 'shown and not in the book: ' || s FROM
                     (SELECT t::text AS s FROM {shown}.{table} t EXCEPT ALL SELECT t::text FROM {fresh}.{table} t) AS a)
                 UNION ALL
                 (SELECT 'in the book and not shown: ' || s FROM
                     (SELECT t::text AS s FROM {fresh}.{table} t EXCEPT ALL SELECT t::text FROM {shown}.{table} t) AS b)"
            ),
            &[],
        )
        .await?;
    audit.violations += i64::try_from(differences.len()).unwrap_or(i64::MAX);
    if let (None, Some(row)) = (&audit.first, differences.first()) {
        audit.first = Some(format!("{table}: {}", row.try_get::<_, String>(0)?));
    }
    Ok(())
}
