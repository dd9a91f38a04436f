//! A bulk load: tables that are being built are not visible yet, so their rows are buffered in memory for as long as they fit, and
//! written by COPY.
//!
//! While everything fits, no row is ever read back. Every row is written once, in the order of its key, into a table without an index.
//! When the buffers become too large, they are flushed. From then on a row that is not in its buffer is looked for in its table.
//! What is written goes to a [`WriterHandle`], so that folding does not wait for it.

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
    copy::Tuples,
    indexes::Indexes,
    tables::{ADD, Found, REPLACE, delete_sql, load_sql, on_conflict},
    writer::{Write, WriterHandle},
};

/// How many rows one statement deletes.
const DELETED_AT_ONCE: usize = 10_000;

/// A bulk load of the tables of one version of a view.
pub(crate) struct BulkLoad {
    schema: String,
    /// Reads rows that were flushed.
    reader: Client,
    writer: WriterHandle,
    /// The buffers of the tables, by name.
    buffers: Mutex<HashMap<&'static str, Box<dyn Buffer>>>,
    /// The indexes that the tables do not have yet.
    indexes: Mutex<Indexes>,
}

impl BulkLoad {
    pub(crate) fn new(schema: String, reader: Client, writer: WriterHandle, indexes: Indexes) -> Self {
        Self { schema, reader, writer, buffers: Mutex::default(), indexes: Mutex::new(indexes) }
    }

    pub(super) async fn fold<R: Row>(
        &self,
        events: &[Recorded],
        key: impl Fn(&Recorded) -> Option<R::Key> + Send,
        fold: impl Fn(Option<R>, &Recorded) -> Option<R> + Send,
    ) -> Result<(), EffectError> {
        let mut table: Box<BufferedTable<R>> = self.take();
        self.load_missing(&mut table, events, &key).await?;
        for event in events {
            if let Some(key) = key(event) {
                let buffered = table.rows.entry(key).or_default();
                buffered.row = fold(buffered.row.take(), event);
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
        let mut table: Box<BufferedTable<R>> = self.take();
        self.load_missing(&mut table, events, &key).await?;
        let mut before: BTreeMap<R::Key, Option<R>> = BTreeMap::new();
        for event in events {
            if let Some(key) = key(event) {
                let buffered = table.rows.entry(key.clone()).or_default();
                before.entry(key).or_insert_with(|| buffered.row.clone());
                buffered.row = fold(buffered.row.take(), event);
            }
        }
        let after = |key: &R::Key| table.rows.get(key).and_then(|buffered| buffered.row.clone());
        let changes = before.into_iter().map(|(key, before)| {
            let after = after(&key);
            (before, after)
        });
        let changes = changes.collect();
        self.put(table);
        Ok(changes)
    }

    pub(super) async fn add<R: Sum>(&self, parts: Vec<R>) -> Result<(), EffectError> {
        let mut table: Box<BufferedTable<R>> = self.take();
        for part in parts {
            add_to(&mut table.sums, part);
        }
        self.put(table);
        Ok(())
    }

    pub(super) async fn append<R: Row>(&self, rows: &[R]) -> Result<(), EffectError> {
        let mut table: Box<BufferedTable<R>> = self.take();
        for row in rows {
            table.tuples.push(row)?;
            if table.tuples.is_full() {
                self.send::<R>(&mut table.tuples).await;
            }
        }
        self.put(table);
        Ok(())
    }

    /// Writes all that is buffered, and empties the buffers. When this is done, the rows are in their tables.
    pub(crate) async fn flush(&self) -> Result<(), EffectError> {
        let names: Vec<_> = self.buffers().keys().copied().collect();
        for name in names {
            let Some(mut table) = self.buffers().remove(name) else { continue };
            table.flush(self).await?;
            self.buffers().insert(name, table);
        }
        self.writer.reached().await;
        Ok(())
    }

    /// Makes the indexes that the tables do not have yet, and analyses the tables for the planner. The reader is idle then, so it takes
    /// every other table.
    pub(crate) async fn make_indexes(&self) -> Result<(), EffectError> {
        let Indexes(missing) = std::mem::take(&mut *self.indexes());
        let mut tables: BTreeMap<String, String> = BTreeMap::new();
        for (table, sql) in missing {
            *tables.entry(table).or_default() += &format!("{sql};");
        }
        for table in self.buffers().keys() {
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

    fn buffers(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Box<dyn Buffer>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn indexes(&self) -> std::sync::MutexGuard<'_, Indexes> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the buffer of a table out, to be [put](Self::put) back.
    fn take<R: Row>(&self) -> Box<BufferedTable<R>> {
        let buffer = self.buffers().remove(R::TABLE.name).map(|buffer| -> Box<dyn Any> { buffer });
        // A name stands for one type of rows, so the buffer is of this type.
        buffer.and_then(|buffer| buffer.downcast().ok()).unwrap_or_default()
    }

    fn put<R: Row>(&self, table: Box<BufferedTable<R>>) {
        self.buffers().insert(R::TABLE.name, table);
    }

    /// Reads the rows that events touch and that were flushed.
    async fn load_missing<R: Row>(
        &self,
        table: &mut BufferedTable<R>,
        events: &[Recorded],
        key: impl Fn(&Recorded) -> Option<R::Key>,
    ) -> Result<(), EffectError> {
        if !table.is_flushed {
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
                table.rows.insert(key, BufferedRow { row: Some(row), is_stored: true });
            }
        }
        Ok(())
    }

    async fn send<R: Row>(&self, tuples: &mut Tuples) {
        if !tuples.is_empty() {
            let into = format!("{}.{} ({})", self.schema, R::TABLE.name, R::TABLE.column_list());
            self.writer.send(Write::Copy { into, tuples: tuples.take() }).await;
        }
    }

    /// Copies rows into the table, which has no rows with their keys.
    async fn copy<R: Row>(&self, rows: &[&R]) -> Result<(), EffectError> {
        let mut tuples = Tuples::default();
        for row in rows {
            tuples.push(*row)?;
            if tuples.is_full() {
                self.send::<R>(&mut tuples).await;
            }
        }
        self.send::<R>(&mut tuples).await;
        Ok(())
    }

    /// Writes rows over the stored ones of the same keys, or adds to those.
    async fn merge<R: Row>(&self, rows: &[&R], set: &str) -> Result<(), EffectError> {
        let (schema, table, columns) = (&self.schema, R::TABLE.name, R::TABLE.column_list());
        let resolution = on_conflict::<R>(set);
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
                tuples.push(*row)?;
            }
            let make = format!("CREATE TEMP TABLE staged_{table} AS SELECT {columns} FROM {schema}.{table} LIMIT 0");
            self.writer.send(Write::Run(make)).await;
            self.writer.send(Write::Copy { into: format!("{staged} ({columns})"), tuples: tuples.take() }).await;
            self.writer.send(Write::Run(merge.clone())).await;
        }
        Ok(())
    }
}

/// The buffer of a table of any rows.
trait Buffer: Any + Send {
    /// Writes all that is buffered, and empties the buffer.
    fn flush<'t>(&'t mut self, load: &'t BulkLoad) -> BoxFuture<'t, Result<(), EffectError>>;
}

/// What is buffered of a table. A table is folded, added to, or appended to; the other two parts stay empty.
struct BufferedTable<R: Row> {
    /// Rows that never change, in the form of COPY.
    tuples: Tuples,
    rows: BTreeMap<R::Key, BufferedRow<R>>,
    /// What has to be added to rows.
    sums: BTreeMap<R::Key, R>,
    /// Whether the table may have rows that are not buffered.
    is_flushed: bool,
}

impl<R: Row> Default for BufferedTable<R> {
    fn default() -> Self {
        Self { tuples: Tuples::default(), rows: BTreeMap::new(), sums: BTreeMap::new(), is_flushed: false }
    }
}

struct BufferedRow<R> {
    row: Option<R>,
    /// Whether the table has a row of this key.
    is_stored: bool,
}

impl<R> Default for BufferedRow<R> {
    fn default() -> Self {
        Self { row: None, is_stored: false }
    }
}

impl<R: Row> Buffer for BufferedTable<R> {
    fn flush<'t>(&'t mut self, load: &'t BulkLoad) -> BoxFuture<'t, Result<(), EffectError>> {
        async move {
            load.send::<R>(&mut self.tuples).await;
            if self.rows.is_empty() && self.sums.is_empty() {
                return Ok(());
            }
            let (rows, sums) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.sums));
            let (stored, new): (Vec<_>, Vec<_>) = rows.iter().partition(|(_, buffered)| buffered.is_stored);
            let new: Vec<&R> = new.into_iter().filter_map(|(_, buffered)| buffered.row.as_ref()).collect();
            let sums: Vec<&R> = sums.values().collect();
            load.copy(&new).await?;
            if self.is_flushed {
                let deleted: Vec<&R::Key> =
                    stored.iter().filter(|(_, buffered)| buffered.row.is_none()).map(|(key, _)| *key).collect();
                let changed: Vec<&R> = stored.into_iter().filter_map(|(_, buffered)| buffered.row.as_ref()).collect();
                load.merge(&changed, REPLACE).await?;
                load.merge(&sums, ADD).await?;
                for keys in deleted.chunks(DELETED_AT_ONCE) {
                    let sql = delete_sql::<R>(&load.schema);
                    load.writer.send(Write::Delete { sql, keys: serde_json::to_value(keys)? }).await;
                }
            } else {
                load.copy(&sums).await?;
                self.is_flushed = true;
                let key = load.indexes().take_key(R::TABLE.name);
                if let Some(sql) = key {
                    load.writer.send(Write::Run(sql)).await;
                }
            }
            Ok(())
        }
        .boxed()
    }
}
