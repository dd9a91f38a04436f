//! Read models: a pure fold per view, one thin set-based store, one runner, and rebuilding.
//!
//! A [view](view::ViewSpec) says which tables it has and how events change their rows; the [store](store::Store) loads the rows
//! that a batch touches, has them folded in memory, and writes them back, a constant number of statements a batch. What belongs
//! here: tables that are read, and the folds that fill them. What does not: side effects (a projection may be replayed, a
//! reaction must not), and reading (query-api).

mod engine;
pub mod views;

use daybook_domain::Slice;
use daybook_event_store::{Daybook, MigrationSet, StoreError};
use daybook_event_stream::{SliceTopic, Topology, consumer::ConsumerError};

// The engine as other crates see it: its modules have no other public path.
pub use engine::{audit, projection, rebuild, recorded, registry, runner, store, view};

mod files {
    // The macro's own code has no docs.
    #![allow(missing_docs, clippy::all)]
    refinery::embed_migrations!("migrations");
}

/// Why a read model could not be built, checked or shown.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The book or the tables failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Events could not be folded.
    #[error(transparent)]
    Effect(#[from] daybook_event_stream::EffectError),
    /// The runner failed.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    /// There is no such view.
    #[error("there is no view `{0}`")]
    UnknownView(String),
    /// The task that runs a view has panicked.
    #[error("a view has stopped: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

impl From<tokio_postgres::Error> for ViewError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<deadpool_postgres::PoolError> for ViewError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Store(error.into())
    }
}

/// The migrations of this crate's own tables.
pub static MIGRATIONS: MigrationSet =
    MigrationSet { table: "daybook_projector_migrations", runner: files::migrations::runner };

/// Brings this crate's own tables up to date; nothing where they are. Those of the views are made by [`rebuild`].
///
/// # Errors
/// [`StoreError`] when the database is out of reach or a migration fails.
pub async fn migrate(book: &Daybook) -> Result<(), StoreError> {
    book.migrate_with(&MIGRATIONS).await
}

/// The topics of the domain's slices.
#[must_use]
pub fn topology(prefix: &str, partitions: i32) -> Topology {
    let slices = Slice::ALL.iter().map(|slice| SliceTopic {
        slice: slice.name().to_owned(),
        stream_prefixes: slice.stream_prefixes().iter().map(|prefix| (*prefix).to_owned()).collect(),
    });
    Topology { prefix: prefix.to_owned(), partitions, slices: slices.collect() }
}
