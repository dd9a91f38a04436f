//! Comparing a view with a fresh fold of the book.

use std::collections::{HashMap, HashSet};

use daybook_event_store::{Daybook, RecordedEvent};
use daybook_event_stream::{SharedEvent, Topology, consumer::parked};
use deadpool_postgres::Transaction;
use futures::{StreamExt, TryStreamExt, pin_mut};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::IsolationLevel;

use super::{
    projection::{NotShown, Projection},
    registry,
    view::ViewSpec,
};
use crate::ViewError;

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

impl Audit {
    /// What is found of a view whose rows cannot be compared.
    fn of_none(why: &str) -> Self {
        Self { checked: 0, violations: 1, first: Some(why.to_owned()) }
    }
}

/// Compares a view with a fold of the book up to exactly where the view is, partition by partition, and without what is parked.
/// Everything takes place in one transaction that sees one moment and is rolled back, so a view that moves on meanwhile does not
/// disturb it.
///
/// # Errors
/// [`ViewError`] when the book or the tables failed.
pub async fn verify(book: &Daybook, topology: &Topology, view: &'static ViewSpec) -> Result<Audit, ViewError> {
    let mut client = book.pool().get().await?;
    let mut transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    let Some(shown) = registry::shown_in(&transaction, view).await? else {
        return Ok(Audit::of_none("it was never built"));
    };
    if shown.revision != view.revision {
        let of = format!("revision {} is shown, and this program knows revision {}", shown.revision, view.revision);
        return Ok(Audit::of_none(&of));
    }
    let processed = Processed::find(&transaction, view, shown.version).await?;
    let scratch = Projection { view, version: 0, schema: format!("{}_audit", view.name) };
    let (schema, ddl) = (&scratch.schema, view.ddl());
    let make =
        format!("CREATE SCHEMA {schema}; SET LOCAL search_path = {schema}; {ddl} SET LOCAL search_path = public");
    transaction.batch_execute(&make).await?;
    let last = processed.seen.values().max().copied().unwrap_or(0);
    let events = book.scan_streams(0, last, &view.stream_prefixes()).await?.try_chunks(CHUNK).map_err(|error| error.1);
    pin_mut!(events);
    while let Some(chunk) = events.next().await {
        let events = chunk?.into_iter().filter(|event| processed.has(topology, event));
        let events: Vec<SharedEvent> = events.map(Into::into).collect();
        parked::process(&mut transaction, schema, &NotShown(&scratch), &events).await?;
    }
    let mut audit = unfolded(&transaction, schema).await?;
    for table in view.tables {
        compare(&transaction, table.name, &processed.schema, schema, &mut audit).await?;
    }
    transaction.rollback().await?;
    Ok(audit)
}

/// The events that the view has processed and a fresh fold cannot: each is a violation, with its name and the reason.
async fn unfolded(transaction: &Transaction<'_>, consumer: &str) -> Result<Audit, ViewError> {
    let sql =
        "SELECT position, stream_id, reason FROM parked_events WHERE consumer = $1 AND reason <> $2 ORDER BY position";
    let rows = transaction.query(sql, &[&consumer, &parked::BEHIND]).await?;
    let mut audit = Audit { checked: 0, violations: i64::try_from(rows.len()).unwrap_or(i64::MAX), first: None };
    if let Some(row) = rows.first() {
        let (position, stream, reason): (i64, &str, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        audit.first = Some(format!("position {position} of {stream} cannot be folded: {reason}"));
    }
    Ok(audit)
}

/// What a version of a view has processed.
struct Processed {
    schema: String,
    /// How far it is in each partition of each of its topics.
    seen: HashMap<(String, i32), i64>,
    /// The events that it has parked.
    parked: HashSet<i64>,
}

impl Processed {
    /// What the version has processed that is shown. A rebuild does not drop its tables before the transaction has ended.
    async fn find(transaction: &Transaction<'_>, view: &ViewSpec, version: i32) -> Result<Self, ViewError> {
        let schema = view.versioned(version);
        for table in view.tables {
            transaction.batch_execute(&format!("LOCK TABLE {schema}.{} IN ACCESS SHARE MODE", table.name)).await?;
        }
        let rows = transaction
            .query("SELECT topic, partition, position FROM consumer_checkpoints WHERE consumer = $1", &[&schema])
            .await?;
        let seen = rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?)));
        let seen = seen.collect::<Result<_, tokio_postgres::Error>>()?;
        let rows = transaction.query("SELECT position FROM parked_events WHERE consumer = $1", &[&schema]).await?;
        let parked = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        Ok(Self { schema, seen, parked })
    }

    fn has(&self, topology: &Topology, event: &RecordedEvent) -> bool {
        // Only events of the view's own slices were read.
        let Ok(slice) = topology.slice_of(&event.stream_id) else { return false };
        let partition = (topology.topic(slice), topology.partition_of(&event.stream_id));
        self.seen.get(&partition).is_some_and(|position| event.position <= *position)
            && !self.parked.contains(&event.position)
    }
}

/// Compares a table row by row, as text, since columns of type `json` have no equality.
async fn compare(
    transaction: &Transaction<'_>,
    table: &str,
    shown: &str,
    fresh: &str,
    audit: &mut Audit,
) -> Result<(), ViewError> {
    let count = transaction.query_one(&format!("SELECT count(*) FROM {shown}.{table}"), &[]).await?;
    audit.checked += count.try_get::<_, i64>(0)?;
    let keys = primary_key(transaction, &format!("{fresh}.{table}")).await?;
    let key = keys.join(", ");
    let different = transaction
        .query_opt(
            &format!(
                "SELECT count(*) OVER (), row_to_json(s), row_to_json(f)
                 FROM {shown}.{table} AS s FULL JOIN {fresh}.{table} AS f USING ({key})
                 WHERE s::text IS DISTINCT FROM f::text ORDER BY {key} LIMIT 1"
            ),
            &[],
        )
        .await?;
    let Some(row) = different else { return Ok(()) };
    audit.violations += row.try_get::<_, i64>(0)?;
    if audit.first.is_none() {
        audit.first = Some(in_words(table, &keys, row.try_get(1)?, row.try_get(2)?));
    }
    Ok(())
}

/// The columns of a table's primary key.
async fn primary_key(transaction: &Transaction<'_>, table: &str) -> Result<Vec<String>, ViewError> {
    let row = transaction
        .query_one(
            "SELECT array_agg(a.attname::text ORDER BY k.nr)
             FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, nr)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE i.indrelid = $1::text::regclass AND i.indisprimary",
            &[&table],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// How a row of a table differs from what the book says.
fn in_words(table: &str, keys: &[String], shown: Option<Value>, book: Option<Value>) -> String {
    let of = |row: &Value| {
        let key = keys.iter().map(|column| format!("{column} {}", short(&row[column])));
        format!("{table}: {}", key.collect::<Vec<_>>().join(", "))
    };
    match (shown, book) {
        (Some(Value::Object(shown)), Some(Value::Object(book))) => {
            let column = shown.iter().find(|(column, value)| book.get(*column) != Some(value));
            let what = column.map_or("is written in another way".to_owned(), |(column, value)| {
                format!("shows {column} {}, the book says {}", short(value), short(&book[column]))
            });
            format!("{} {what}", of(&Value::Object(shown)))
        }
        (Some(shown), _) => format!("{} is shown and is not in the book", of(&shown)),
        (None, Some(book)) => format!("{} is in the book and is not shown", of(&book)),
        (None, None) => format!("{table}: a row without a key"),
    }
}

/// A value as a text for people: cut off when it is long.
#[must_use]
pub fn short(value: &Value) -> String {
    const LONG: usize = 120;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() > LONG { text.chars().take(LONG).chain("…".chars()).collect() } else { text }
}
