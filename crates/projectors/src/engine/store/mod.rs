//! The store of all views: rows go to and from PostgreSQL as sets, and the number of statements does not depend on the number of
//! events.
//!
//! A row is [declared once](crate::row!). There are two ways to its table. A view that is shown applies its batches
//! [row by row](tables), each in the transaction that moves the checkpoint. A version that is being built is not visible yet: a
//! [bulk load](bulk_load) buffers its rows in memory for as long as they fit, and writes them by COPY. A fold works on both alike.

#[cfg(test)]
pub(crate) mod agreement;
pub(crate) mod bulk_load;
mod column;
mod copy;
pub(crate) mod indexes;
mod row;
mod spec;
mod tables;
mod verbatim;
mod words;
pub(crate) mod writer;

use std::collections::BTreeMap;

pub use bytes::BytesMut;
use daybook_event_stream::EffectError;
use deadpool_postgres::Transaction;

use self::{bulk_load::BulkLoad, tables::Tables};
pub use self::{
    column::{ByValue, Column, Element, IsOption, NotOption, Plain, Unwritable, write_json, write_jsonb},
    row::{Row, Sum},
    spec::{ColumnSpec, GeneratedColumn, TableSpec},
    verbatim::Verbatim,
    words::Words,
};
use super::recorded::Recorded;

/// The digits of a second that a column keeps. PostgreSQL would round the others away, and not from text as from binary. Times that
/// come from clients may have nine, so a fold cuts them off.
pub const SECOND_DIGITS: u16 = 6;

/// A row before and after a batch.
pub type Change<R> = (Option<R>, Option<R>);

/// The tables of one version of a view.
pub struct Store<'t>(Target<'t>);

enum Target<'t> {
    Tables(Tables<'t>),
    BulkLoad(&'t BulkLoad),
}

impl<'t> Store<'t> {
    /// The tables in `schema`, in a transaction.
    #[must_use]
    pub const fn new(transaction: &'t Transaction<'t>, schema: &'t str) -> Self {
        Self(Target::Tables(Tables { transaction, schema }))
    }

    /// Tables that are being built.
    pub(crate) const fn bulk_load(load: &'t BulkLoad) -> Self {
        Self(Target::BulkLoad(load))
    }

    /// Folds events into the rows that they touch: finds those, applies `fold` in order, and writes what has changed. A row that
    /// was folded to nothing is deleted.
    ///
    /// # Errors
    /// [`EffectError::Database`].
    pub async fn fold<R: Row>(
        &self,
        events: &[Recorded],
        key: impl Fn(&Recorded) -> Option<R::Key> + Send,
        fold: impl Fn(Option<R>, &Recorded) -> Option<R> + Send,
    ) -> Result<(), EffectError> {
        match &self.0 {
            Target::Tables(tables) => tables.fold(events, key, fold).await.map(drop),
            Target::BulkLoad(load) => load.fold(events, key, fold).await,
        }
    }

    /// Does the same, and says what has become of each row.
    ///
    /// # Errors
    /// [`EffectError::Database`].
    pub async fn changes<R: Row>(
        &self,
        events: &[Recorded],
        key: impl Fn(&Recorded) -> Option<R::Key> + Send,
        fold: impl Fn(Option<R>, &Recorded) -> Option<R> + Send,
    ) -> Result<Vec<Change<R>>, EffectError> {
        match &self.0 {
            Target::Tables(tables) => tables.fold(events, key, fold).await,
            Target::BulkLoad(load) => load.changes(events, key, fold).await,
        }
    }

    /// Adds the columns of rows to those that are there.
    ///
    /// # Errors
    /// [`EffectError::Database`].
    pub async fn add<R: Sum>(&self, parts: Vec<R>) -> Result<(), EffectError> {
        match &self.0 {
            Target::Tables(tables) => tables.add(&summed(parts).into_values().collect::<Vec<_>>()).await,
            Target::BulkLoad(load) => load.add(parts).await,
        }
    }

    /// Adds rows that never change.
    ///
    /// # Errors
    /// [`EffectError::Database`].
    pub async fn append<R: Row>(&self, rows: &[R]) -> Result<(), EffectError> {
        match &self.0 {
            Target::Tables(tables) => tables.append(rows).await,
            Target::BulkLoad(load) => load.append(rows).await,
        }
    }
}

/// One row a key.
fn summed<R: Sum>(parts: Vec<R>) -> BTreeMap<R::Key, R> {
    let mut sums = BTreeMap::new();
    for part in parts {
        add_to(&mut sums, part);
    }
    sums
}

fn add_to<R: Sum>(sums: &mut BTreeMap<R::Key, R>, part: R) {
    match sums.entry(part.key()) {
        std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(part)),
        std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().add(&part),
    }
}
