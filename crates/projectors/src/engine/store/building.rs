//! Rows of tables that are being built, and that nobody else sees: held in memory for as long as they fit, and written by COPY.
//!
//! While everything fits, no row is ever read back and every row is written once, in the order of its key, into a table without
//! an index. When what is held becomes too much, all of it is written and let go; from then on a row that is missing is looked for
//! in its table. What is written goes to a [`Writer`], so that folding does not wait for it.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use daybook_event_stream::EffectError;
use futures::{FutureExt, future::BoxFuture};
use tokio_postgres::{Client, types::Json};

use super::{
    super::recorded::Recorded,
    Change, Row, Sum, add_to,
    copy::{Columns, Tuples},
    indexes::Indexes,
    tables::{ADD, Found, REPLACE, columns, delete_sql, load_sql, on_conflict},
    writer::{Write, WriterHandle},
};

/// How many rows are deleted at once.
const GONE: usize = 10_000;

/// Tables that are being built.
pub(crate) struct Building {
    schema: String,
    /// Looks for rows that were let go.
    reader: Client,
    writer: WriterHandle,
    held: Mutex<HashMap<&'static str, Box<dyn Held>>>,
    /// Those that the tables do not have yet.
    indexes: Mutex<Indexes>,
}

impl Building {
    pub(crate) fn new(schema: String, reader: Client, writer: WriterHandle, indexes: Indexes) -> Self {
        Self { schema, reader, writer, held: Mutex::default(), indexes: Mutex::new(indexes) }
    }

    pub(super) async fn fold<R: Row>(
        &self,
        events: &[Recorded],
        key: impl Fn(&Recorded) -> Option<R::Key> + Send,
        fold: impl Fn(Option<R>, &Recorded) -> Option<R> + Send,
    ) -> Result<(), EffectError> {
        let mut table: Box<Table<R>> = self.take().await?;
        self.look_for(&mut table, events, &key).await?;
        for event in events {
            if let Some(key) = key(event) {
                let slot = table.rows.entry(key).or_default();
                slot.row = fold(slot.row.take(), event);
            }
        }
        self.put(table);
        Ok(())
    }

    pub(super) async fn changes<R: Row>(
        &self,
        events: &[Recorded],
        key: impl Fn(&Recorded) -> Option<R::Key> + Send,
        fold: impl Fn(Option<R>, &Recorded) -> Option<R> + Send,
    ) -> Result<Vec<Change<R>>, EffectError> {
        let mut table: Box<Table<R>> = self.take().await?;
        self.look_for(&mut table, events, &key).await?;
        let mut before: BTreeMap<R::Key, Option<R>> = BTreeMap::new();
        for event in events {
            if let Some(key) = key(event) {
                let slot = table.rows.entry(key.clone()).or_default();
                before.entry(key).or_insert_with(|| slot.row.clone());
                slot.row = fold(slot.row.take(), event);
            }
        }
        let after = |key: &R::Key| table.rows.get(key).and_then(|slot| slot.row.clone());
        let changes = before.into_iter().map(|(key, before)| {
            let after = after(&key);
            (before, after)
        });
        let changes = changes.collect();
        self.put(table);
        Ok(changes)
    }

    pub(super) async fn add<R: Sum>(&self, parts: Vec<R>) -> Result<(), EffectError> {
        let mut table: Box<Table<R>> = self.take().await?;
        for part in parts {
            add_to(&mut table.sums, part);
        }
        self.put(table);
        Ok(())
    }

    pub(super) async fn append<R: Row>(&self, rows: &[R]) -> Result<(), EffectError> {
        let mut table: Box<Table<R>> = self.take().await?;
        for row in rows {
            table.tuples.push(&table.columns, row)?;
            if table.tuples.is_full() {
                self.send::<R>(&mut table.tuples).await;
            }
        }
        self.put(table);
        Ok(())
    }

    /// Writes all that is held and lets it go. When this is done, the rows can be found in their tables.
    pub(crate) async fn let_go(&self) -> Result<(), EffectError> {
        let names: Vec<_> = self.held().keys().copied().collect();
        for name in names {
            let Some(mut table) = self.held().remove(name) else { continue };
            table.let_go(self).await?;
            self.held().insert(name, table);
        }
        self.writer.reached().await;
        Ok(())
    }

    /// Makes the indexes that the tables do not have yet, and has the planner know the tables. Every other table is the reader's, which
    /// has nothing else to do then.
    pub(crate) async fn make_indexes(&self) -> Result<(), EffectError> {
        let Indexes(missing) = std::mem::take(&mut *self.indexes());
        let mut tables: BTreeMap<String, String> = BTreeMap::new();
        for (table, sql) in missing {
            *tables.entry(table).or_default() += &format!("{sql};");
        }
        for table in self.held().keys() {
            *tables.entry((*table).to_owned()).or_default() += &format!("ANALYZE {}.{table};", self.schema);
        }
        let mut own = String::new();
        for (nr, sql) in tables.into_values().enumerate() {
            if nr % 2 == 0 {
                self.writer.send(Write::Run(sql)).await;
            } else {
                own += &sql;
            }
        }
        self.reader.batch_execute(&own).await?;
        self.writer.reached().await;
        Ok(())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Box<dyn Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn indexes(&self) -> std::sync::MutexGuard<'_, Indexes> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a table out, to be [put](Self::put) back.
    async fn take<R: Row>(&self) -> Result<Box<Table<R>>, EffectError> {
        if let Some(table) = self.held_table() {
            return Ok(table);
        }
        let of = format!("SELECT {} FROM {}.{}", columns::<R>(), self.schema, R::TABLE);
        let statement = self.reader.prepare(&of).await?;
        let columns = Columns::of::<R>(statement.columns().iter().map(|column| column.type_().clone()));
        let tuples = Tuples::default();
        Ok(Box::new(Table { columns, tuples, rows: BTreeMap::new(), sums: BTreeMap::new(), was_let_go: false }))
    }

    fn held_table<R: Row>(&self) -> Option<Box<Table<R>>> {
        let table: Box<dyn Any> = self.held().remove(R::TABLE)?;
        table.downcast().ok()
    }

    fn put<R: Row>(&self, table: Box<Table<R>>) {
        self.held().insert(R::TABLE, table);
    }

    /// Finds the rows that events touch and that were let go.
    async fn look_for<R: Row>(
        &self,
        table: &mut Table<R>,
        events: &[Recorded],
        key: impl Fn(&Recorded) -> Option<R::Key>,
    ) -> Result<(), EffectError> {
        if !table.was_let_go {
            return Ok(());
        }
        let mut missing: Vec<R::Key> =
            events.iter().filter_map(key).filter(|key| !table.rows.contains_key(key)).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let rows = self.reader.query(&load_sql::<R>(&self.schema), &[&Json(&missing)]).await?;
        let mut found = Found::<R>::read(&rows)?;
        for key in missing {
            if let Some(row) = found.take(&key) {
                table.rows.insert(key, Slot { row: Some(row), is_stored: true });
            }
        }
        Ok(())
    }

    async fn send<R: Row>(&self, tuples: &mut Tuples) {
        if !tuples.is_empty() {
            let into = format!("{}.{} ({})", self.schema, R::TABLE, columns::<R>());
            self.writer.send(Write::Copy { into, tuples: tuples.take() }).await;
        }
    }

    /// Copies rows into the table, where their keys are not yet.
    async fn copy<R: Row>(&self, of: &Columns, rows: &[&R]) -> Result<(), EffectError> {
        let mut tuples = Tuples::default();
        for row in rows {
            tuples.push(of, *row)?;
            if tuples.is_full() {
                self.send::<R>(&mut tuples).await;
            }
        }
        self.send::<R>(&mut tuples).await;
        Ok(())
    }

    /// Writes rows over those that are there, or adds to them.
    async fn merge<R: Row>(&self, of: &Columns, rows: &[&R], set: &str) -> Result<(), EffectError> {
        let (schema, table, columns, resolution) = (&self.schema, R::TABLE, columns::<R>(), on_conflict::<R>(set));
        let staged = format!("pg_temp.staged_{table}");
        let merge = format!(
            "INSERT INTO {schema}.{table} AS t ({columns}) SELECT {columns} FROM {staged} {resolution}; DROP TABLE {staged}"
        );
        let mut rows = rows.iter().peekable();
        while rows.peek().is_some() {
            let mut tuples = Tuples::default();
            while !tuples.is_full()
                && let Some(row) = rows.next()
            {
                tuples.push(of, *row)?;
            }
            let make = format!("CREATE TEMP TABLE staged_{table} AS SELECT {columns} FROM {schema}.{table} LIMIT 0");
            self.writer.send(Write::Run(make)).await;
            self.writer.send(Write::Copy { into: format!("{staged} ({columns})"), tuples: tuples.take() }).await;
            self.writer.send(Write::Run(merge.clone())).await;
        }
        Ok(())
    }
}

/// A table, whatever its rows.
trait Held: Any + Send {
    /// Writes all that is held and lets it go.
    fn let_go<'t>(&'t mut self, building: &'t Building) -> BoxFuture<'t, Result<(), EffectError>>;
}

/// What is held of a table. A table is folded, added to, or appended to; what it is not stays empty.
struct Table<R: Row> {
    columns: Columns,
    /// Rows that never change, written and not yet sent.
    tuples: Tuples,
    rows: BTreeMap<R::Key, Slot<R>>,
    /// What has to be added to rows.
    sums: BTreeMap<R::Key, R>,
    /// Whether there may be rows in the table that are not held.
    was_let_go: bool,
}

struct Slot<R> {
    row: Option<R>,
    /// Whether the table has a row of this key.
    is_stored: bool,
}

impl<R> Default for Slot<R> {
    fn default() -> Self {
        Self { row: None, is_stored: false }
    }
}

impl<R: Row> Held for Table<R> {
    fn let_go<'t>(&'t mut self, building: &'t Building) -> BoxFuture<'t, Result<(), EffectError>> {
        async move {
            building.send::<R>(&mut self.tuples).await;
            if self.rows.is_empty() && self.sums.is_empty() {
                return Ok(());
            }
            let (rows, sums) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.sums));
            let (stored, new): (Vec<_>, Vec<_>) = rows.iter().partition(|(_, slot)| slot.is_stored);
            let new: Vec<&R> = new.into_iter().filter_map(|(_, slot)| slot.row.as_ref()).collect();
            let sums: Vec<&R> = sums.values().collect();
            building.copy(&self.columns, &new).await?;
            if self.was_let_go {
                let gone: Vec<&R::Key> =
                    stored.iter().filter(|(_, slot)| slot.row.is_none()).map(|(key, _)| *key).collect();
                let changed: Vec<&R> = stored.into_iter().filter_map(|(_, slot)| slot.row.as_ref()).collect();
                building.merge(&self.columns, &changed, REPLACE).await?;
                building.merge(&self.columns, &sums, ADD).await?;
                for keys in gone.chunks(GONE) {
                    let sql = delete_sql::<R>(&building.schema);
                    building.writer.send(Write::Delete { sql, keys: serde_json::to_value(keys)? }).await;
                }
            } else {
                building.copy(&self.columns, &sums).await?;
                self.was_let_go = true;
                let key = building.indexes().take_key(R::TABLE);
                if let Some(sql) = key {
                    building.writer.send(Write::Run(sql)).await;
                }
            }
            Ok(())
        }
        .boxed()
    }
}
