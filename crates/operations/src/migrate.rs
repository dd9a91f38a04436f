//! `daybook migrate`: bringing the schema of a database up to date.

use daybook_event_store::Daybook;

/// Brings the schemas of the book, the stream, the views and the reactors up to date.
///
/// # Errors
/// When the database is out of reach or a migration fails.
pub async fn migrate(book: &Daybook) -> anyhow::Result<()> {
    book.migrate().await?;
    daybook_event_stream::migrate(book).await?;
    daybook_projectors::migrate(book).await?;
    daybook_reactors::migrate(book).await?;
    Ok(())
}
