//! The store of all views: rows go to and from PostgreSQL as sets, whatever their columns, and the number of statements does not
//! depend on the number of events.
//!
//! There are two ways to the tables. A view that is shown takes its batches in [row by row](tables), each in the transaction that
//! moves the checkpoint. A version that is being built, and that nobody sees, [holds](building) its rows in memory for as long as
//! they fit, and is written by COPY. A fold cannot tell them apart.

pub(crate) mod building;
mod copy;
pub(crate) mod indexes;
mod tables;
mod verbatim;
mod wire;
pub(crate) mod writer;

use std::collections::BTreeMap;

use daybook_event_stream::EffectError;
use deadpool_postgres::Transaction;
use serde::{Serialize, de::DeserializeOwned};

pub use self::verbatim::Verbatim;
use self::{building::Building, tables::Tables};
use super::recorded::Recorded;

/// The digits of a second that a column keeps. PostgreSQL would round the others away, and not from text as from binary; times that
/// come from clients may have nine, so a fold cuts them off.
pub const SECOND_DIGITS: u16 = 6;

/// A row of a table. Its fields stand in the order of its columns, those of the key first: texts, integers, truth values, ids, times
/// and arrays of these, or anything where the column is JSON. No field is left out, and none is flattened.
pub trait Row: Clone + std::fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What tells it from the others: an object of its key columns.
    type Key: Clone + std::fmt::Debug + Ord + Serialize + Send + Sync + 'static;
    /// The table.
    const TABLE: &'static str;
    /// The columns of the key.
    const KEY: &'static [&'static str];
    /// The other columns that are written.
    const COLUMNS: &'static [&'static str];
}

/// A row of sums: what is written is added to what is there, column by column.
pub trait Sum: Row {
    /// Its key.
    fn key(&self) -> Self::Key;

    /// Adds another row of the same key.
    fn add(&mut self, part: &Self);
}

/// A row before and after a batch.
pub type Change<R> = (Option<R>, Option<R>);

/// The tables of one version of a view.
pub struct Store<'t>(Way<'t>);

enum Way<'t> {
    Tables(Tables<'t>),
    Building(&'t Building),
}

impl<'t> Store<'t> {
    /// The tables in `schema`, in a transaction.
    #[must_use]
    pub const fn new(transaction: &'t Transaction<'t>, schema: &'t str) -> Self {
        Self(Way::Tables(Tables { transaction, schema }))
    }

    /// Tables that are being built.
    pub(crate) const fn building(building: &'t Building) -> Self {
        Self(Way::Building(building))
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
            Way::Tables(tables) => tables.fold(events, key, fold).await.map(drop),
            Way::Building(building) => building.fold(events, key, fold).await,
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
            Way::Tables(tables) => tables.fold(events, key, fold).await,
            Way::Building(building) => building.changes(events, key, fold).await,
        }
    }

    /// Adds the columns of rows to those that are there.
    ///
    /// # Errors
    /// [`EffectError::Database`].
    pub async fn add<R: Sum>(&self, parts: Vec<R>) -> Result<(), EffectError> {
        match &self.0 {
            Way::Tables(tables) => tables.add(&summed(parts).into_values().collect::<Vec<_>>()).await,
            Way::Building(building) => building.add(parts).await,
        }
    }

    /// Adds rows that never change.
    ///
    /// # Errors
    /// [`EffectError::Database`].
    pub async fn append<R: Row>(&self, rows: &[R]) -> Result<(), EffectError> {
        match &self.0 {
            Way::Tables(tables) => tables.append(rows).await,
            Way::Building(building) => building.append(rows).await,
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
