//! Bringing this crate's tables up to date.

use daybook_event_store::{Daybook, MigrationSet, StoreError};

mod files {
    // The macro's own code has no docs.
    #![allow(missing_docs, clippy::all)]
    refinery::embed_migrations!("migrations");
}

/// The migrations of the tables of relay and consumers.
pub static MIGRATIONS: MigrationSet =
    MigrationSet { table: "daybook_stream_migrations", runner: files::migrations::runner };

/// Brings the tables of relay and consumers up to date; nothing where they are.
///
/// # Errors
/// [`StoreError`] when the database is out of reach or a migration fails.
pub async fn migrate(book: &Daybook) -> Result<(), StoreError> {
    book.migrate_with(&MIGRATIONS).await
}
