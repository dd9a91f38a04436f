//! The store of all views: rows go to and from PostgreSQL as sets, in JSON, whatever their columns.
//!
//! `json_populate_recordset` turns an array of objects into rows of a table, so one piece of code serves every table, and the
//! number of statements does not depend on the number of events.

use std::collections::BTreeMap;

use daybook_event_stream::EffectError;
use deadpool_postgres::Transaction;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio_postgres::types::Json;

use crate::view::Recorded;

/// A row of a table.
pub trait Row: Clone + std::fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    /// What tells it from the others: an object of its key columns.
    type Key: Clone + std::fmt::Debug + Ord + Serialize + Send + Sync;
    /// The table.
    const TABLE: &'static str;
    /// The columns of the key.
    const KEY: &'static [&'static str];
    /// The other columns that are written.
    const COLUMNS: &'static [&'static str];
}

/// The tables of one version of a view, in a transaction.
pub struct Store<'t> {
    transaction: &'t Transaction<'t>,
    schema: &'t str,
}

impl<'t> Store<'t> {
    /// The tables in `schema`.
    #[must_use]
    pub const fn new(transaction: &'t Transaction<'t>, schema: &'t str) -> Self {
        Self { transaction, schema }
    }

    /// Folds events into the rows that they touch: loads those, applies `fold` in order, and writes what has changed. A row that
    /// was folded to nothing is deleted.
    ///
    /// # Errors
    /// [`EffectError::Database`].
    pub async fn fold<R: Row>(
        &self,
        events: &[Recorded],
        key: impl Fn(&Recorded) -> Option<R::Key> + Send,
        fold: impl Fn(Option<R>, &Recorded) -> Option<R> + Send,
    ) -> Result<Vec<(Option<R>, Option<R>)>, EffectError> {
        let mut rows: BTreeMap<R::Key, (Option<R>, Option<R>)> = BTreeMap::new();
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
        self.write(&written, "= excluded.").await?;
        self.delete::<R>(&gone).await?;
        Ok(rows.into_values().collect())
    }

    /// Adds the columns of rows to those that are there. The rows have to be sorted by key, so that two who add at the same time
    /// wait for each other in one order.
    ///
    /// # Errors
    /// [`EffectError::Database`].
    pub async fn add<R: Row>(&self, sorted: &[R]) -> Result<(), EffectError> {
        self.write(&sorted.iter().collect::<Vec<_>>(), "= t.{} + excluded.").await
    }

    /// Adds rows that never change.
    ///
    /// # Errors
    /// [`EffectError::Database`].
    pub async fn append<R: Row>(&self, rows: &[R]) -> Result<(), EffectError> {
        self.write(&rows.iter().collect::<Vec<_>>(), "= excluded.").await
    }

    async fn load<R: Row>(&self, rows: &mut BTreeMap<R::Key, (Option<R>, Option<R>)>) -> Result<(), EffectError> {
        let (schema, table, key) = (self.schema, R::TABLE, R::KEY.join(", "));
        let keys: Vec<&R::Key> = rows.keys().collect();
        let statement = self
            .transaction
            .prepare_cached(&format!(
                "SELECT to_json(t), row_to_json(k)
                 FROM (SELECT {key} FROM json_populate_recordset(NULL::{schema}.{table}, $1)) AS k
                 CROSS JOIN LATERAL ({}) AS t",
                self.one::<R>("*")
            ))
            .await?;
        let found = self.transaction.query(&statement, &[&Json(&keys)]).await?;
        let mut by_key: BTreeMap<String, R> = BTreeMap::new();
        for row in &found {
            let Json(loaded): Json<R> = row.try_get(0)?;
            let Json(key): Json<serde_json::Value> = row.try_get(1)?;
            by_key.insert(key.to_string(), loaded);
        }
        for (key, entry) in rows {
            let written = serde_json::to_value(key).map(|key| key.to_string()).unwrap_or_default();
            if let Some(row) = by_key.remove(&written) {
                *entry = (Some(row.clone()), Some(row));
            }
        }
        Ok(())
    }

    /// Writes rows. `set` says what becomes of a column of a row that is there; `{}` in it stands for the column.
    async fn write<R: Row>(&self, rows: &[&R], set: &str) -> Result<(), EffectError> {
        if rows.is_empty() {
            return Ok(());
        }
        let (schema, table, key) = (self.schema, R::TABLE, R::KEY.join(", "));
        let columns: Vec<_> = R::KEY.iter().chain(R::COLUMNS).copied().collect();
        let sets: Vec<_> =
            R::COLUMNS.iter().map(|column| format!("{column} {}{column}", set.replace("{}", column))).collect();
        let resolution = if sets.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", sets.join(", ")) };
        let columns = columns.join(", ");
        let statement = self
            .transaction
            .prepare_cached(&format!(
                "INSERT INTO {schema}.{table} AS t ({columns})
                 SELECT {columns} FROM json_populate_recordset(NULL::{schema}.{table}, $1)
                 ON CONFLICT ({key}) DO {resolution}"
            ))
            .await?;
        self.transaction.execute(&statement, &[&Json(rows)]).await?;
        Ok(())
    }

    async fn delete<R: Row>(&self, keys: &[&R::Key]) -> Result<(), EffectError> {
        if keys.is_empty() {
            return Ok(());
        }
        let (schema, table) = (self.schema, R::TABLE);
        let statement = self
            .transaction
            .prepare_cached(&format!(
                "DELETE FROM {schema}.{table} WHERE ctid = ANY (ARRAY (
                     SELECT t.ctid FROM json_populate_recordset(NULL::{schema}.{table}, $1) AS k
                     CROSS JOIN LATERAL ({}) AS t
                 ))",
                self.one::<R>("ctid")
            ))
            .await?;
        self.transaction.execute(&statement, &[&Json(keys)]).await?;
        Ok(())
    }

    /// The row with the key `k`. The OFFSET keeps the planner from making one join of the whole: it does not know how few keys
    /// there are, and would rather read a table that has just grown than look into its index.
    fn one<R: Row>(&self, columns: &str) -> String {
        let (schema, table) = (self.schema, R::TABLE);
        let same: Vec<_> = R::KEY.iter().map(|column| format!("t.{column} = k.{column}")).collect();
        format!("SELECT {columns} FROM {schema}.{table} AS t WHERE {} OFFSET 0", same.join(" AND "))
    }
}

/// A JSON text as a column, verbatim.
///
/// # Errors
/// [`EffectError::Poison`] when it is no JSON, which the book does not hold.
pub fn verbatim(event: &Recorded) -> Result<Box<RawValue>, EffectError> {
    RawValue::from_string(event.record.data.clone())
        .map_err(|error| EffectError::Poison { position: event.record.position, reason: error.to_string() })
}
