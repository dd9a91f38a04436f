//! Rows in a transaction: they go to and from PostgreSQL as JSON. `json_populate_recordset` turns an array of objects into rows of a
//! table, so the same code serves every table.

use std::collections::BTreeMap;

use daybook_domain::text::stored;
use daybook_event_stream::EffectError;
use deadpool_postgres::Transaction;
use serde_json::value::RawValue;
use tokio_postgres::types::Json;

use super::{super::recorded::Recorded, Change, Row};

/// A column is written over.
pub(super) const REPLACE: &str = "= excluded.";
/// A column is added to.
pub(super) const ADD: &str = "= t.{} + excluded.";

/// The tables of one version of a view, in a transaction.
pub(super) struct Tables<'t> {
    pub(super) transaction: &'t Transaction<'t>,
    pub(super) schema: &'t str,
}

impl Tables<'_> {
    /// Folds events into the rows that they touch: loads those, applies `fold` in order, and writes what has changed. A row that
    /// was folded to nothing is deleted.
    pub(super) async fn fold<R: Row>(
        &self,
        events: &[Recorded],
        key: impl Fn(&Recorded) -> Option<R::Key> + Send,
        fold: impl Fn(Option<R>, &Recorded) -> Option<R> + Send,
    ) -> Result<Vec<Change<R>>, EffectError> {
        let mut rows: BTreeMap<R::Key, Change<R>> = BTreeMap::new();
        for event in events {
            if let Some(key) = key(event) {
                rows.insert(key, (None, None));
            }
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.load(&mut rows).await?;
        for event in events {
            if let Some((_, after)) = key(event).and_then(|key| rows.get_mut(&key)) {
                *after = fold(after.take(), event);
            }
        }
        let changed = rows.iter().filter(|(_, (before, after))| before != after);
        let (written, gone): (Vec<_>, Vec<_>) = changed.partition(|(_, (_, after))| after.is_some());
        let written: Vec<&R> = written.into_iter().filter_map(|(_, (_, after))| after.as_ref()).collect();
        let gone: Vec<&R::Key> = gone.into_iter().map(|(key, _)| key).collect();
        self.write(&written, REPLACE).await?;
        self.delete::<R>(&gone).await?;
        Ok(rows.into_values().collect())
    }

    /// Adds the columns of rows to those that are there. The rows have to be sorted by key, so that two who add at the same time
    /// wait for each other in one order.
    pub(super) async fn add<R: Row>(&self, sorted: &[R]) -> Result<(), EffectError> {
        self.write(&sorted.iter().collect::<Vec<_>>(), ADD).await
    }

    /// Adds rows that never change.
    pub(super) async fn append<R: Row>(&self, rows: &[R]) -> Result<(), EffectError> {
        self.write(&rows.iter().collect::<Vec<_>>(), REPLACE).await
    }

    async fn load<R: Row>(&self, rows: &mut BTreeMap<R::Key, Change<R>>) -> Result<(), EffectError> {
        let keys: Vec<&R::Key> = rows.keys().collect();
        let statement = self.transaction.prepare_cached(&load_sql::<R>(self.schema)).await?;
        let found = self.transaction.query(&statement, &[&Json(&keys)]).await?;
        let mut found = Found::<R>::read(&found)?;
        for (key, entry) in rows {
            if let Some(row) = found.take(key) {
                *entry = (Some(row.clone()), Some(row));
            }
        }
        Ok(())
    }

    /// Writes rows; [`on_conflict`] says what `set` is.
    async fn write<R: Row>(&self, rows: &[&R], set: &str) -> Result<(), EffectError> {
        if rows.is_empty() {
            return Ok(());
        }
        let (schema, table, columns) = (self.schema, R::TABLE.name, R::TABLE.column_list());
        let statement = self
            .transaction
            .prepare_cached(&format!(
                "INSERT INTO {schema}.{table} AS t ({columns})
                 SELECT {columns} FROM json_populate_recordset(NULL::{schema}.{table}, $1)
                 {}",
                on_conflict::<R>(set)
            ))
            .await?;
        self.transaction.execute(&statement, &[&Json(rows)]).await?;
        Ok(())
    }

    async fn delete<R: Row>(&self, keys: &[&R::Key]) -> Result<(), EffectError> {
        if keys.is_empty() {
            return Ok(());
        }
        let statement = self.transaction.prepare_cached(&delete_sql::<R>(self.schema)).await?;
        self.transaction.execute(&statement, &[&Json(keys)]).await?;
        Ok(())
    }
}

/// Rows that were found, by their keys.
pub(super) struct Found<R>(BTreeMap<String, R>);

impl<R: Row> Found<R> {
    /// Reads what [`load_sql`] answers. A row that was written and cannot be read back is an [`EffectError::Row`], so that the event which
    /// touches it can be blamed.
    pub(super) fn read(rows: &[tokio_postgres::Row]) -> Result<Self, EffectError> {
        let read = |row: &tokio_postgres::Row| {
            let Json(loaded): Json<&RawValue> = row.try_get(0)?;
            let Json(key): Json<serde_json::Value> = row.try_get(1)?;
            Ok((key.to_string(), stored(|| serde_json::from_str(loaded.get()))?))
        };
        rows.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The row with this key.
    pub(super) fn take(&mut self, key: &R::Key) -> Option<R> {
        let written = serde_json::to_value(key).map(|key| key.to_string()).unwrap_or_default();
        self.0.remove(&written)
    }
}

/// Finds the rows with the keys in a JSON array, which is the parameter. Generated columns are left out.
pub(super) fn load_sql<R: Row>(schema: &str) -> String {
    let (table, key) = (R::TABLE.name, R::TABLE.key_list());
    format!(
        "SELECT to_json(t), row_to_json(k)
         FROM (SELECT {key} FROM json_populate_recordset(NULL::{schema}.{table}, $1)) AS k
         CROSS JOIN LATERAL ({}) AS t",
        one::<R>(schema, &R::TABLE.column_list())
    )
}

/// Deletes the rows with the keys in a JSON array, which is the parameter.
pub(super) fn delete_sql<R: Row>(schema: &str) -> String {
    let table = R::TABLE.name;
    format!(
        "DELETE FROM {schema}.{table} WHERE ctid = ANY (ARRAY (
             SELECT t.ctid FROM json_populate_recordset(NULL::{schema}.{table}, $1) AS k
             CROSS JOIN LATERAL ({}) AS t
         ))",
        one::<R>(schema, "ctid")
    )
}

/// What becomes of a row that is there when one of the same key is written. `set` says what becomes of a column; `{}` in it stands
/// for the column.
pub(super) fn on_conflict<R: Row>(set: &str) -> String {
    let key = R::TABLE.key_list();
    let sets: Vec<_> = R::TABLE
        .columns
        .iter()
        .map(|column| format!("{name} {}{name}", set.replace("{}", column.name), name = column.name))
        .collect();
    let resolution = if sets.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", sets.join(", ")) };
    format!("ON CONFLICT ({key}) DO {resolution}")
}

/// The row with the key `k`. The OFFSET keeps the planner from making one join of the whole: it does not know how few keys
/// there are, and would rather read a table that has just grown than look into its index.
fn one<R: Row>(schema: &str, columns: &str) -> String {
    let table = R::TABLE.name;
    let same: Vec<_> = R::TABLE.key.iter().map(|column| format!("t.{name} = k.{name}", name = column.name)).collect();
    format!("SELECT {columns} FROM {schema}.{table} AS t WHERE {} OFFSET 0", same.join(" AND "))
}
