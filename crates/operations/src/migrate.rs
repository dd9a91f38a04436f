//! `daybook migrate`: the schema of a database, brought up to date.

use daybook_event_store::Daybook;

/// Brings the schema up to date: the book's, the stream's and the views' own.
///
/// # Errors
/// When the database is out of reach or a migration fails.
pub async fn migrate(book: &Daybook) -> anyhow::Result<()> {
    book.migrate().await?;
    daybook_event_stream::migrate(book).await?;
    daybook_projectors::migrate(book).await?;
    Ok(())
}
