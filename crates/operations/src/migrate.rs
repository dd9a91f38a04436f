//! `daybook migrate`: bringing the schema of a database up to date. No other command changes it, except `up` on this machine.

use daybook_event_store::{BOOK_MIGRATIONS, Daybook, Schema};

/// The schema that this program was made for.
#[must_use]
pub fn schema() -> Schema {
    Schema::of([
        BOOK_MIGRATIONS,
        daybook_event_stream::MIGRATIONS,
        daybook_projectors::MIGRATIONS,
        daybook_reactors::MIGRATIONS,
    ])
}

/// Brings the schemas of the book, the stream, the views and the reactors up to date.
///
/// # Errors
/// When the database is out of reach or a migration fails.
pub async fn migrate(book: &Daybook) -> anyhow::Result<()> {
    for set in schema().sets() {
        book.migrate_with(set).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::schema;

    /// The migrations from before the rule. They are never edited.
    const FROM_BEFORE: [i64; 8] = [
        202_611_210_500,
        202_611_210_600,
        202_611_210_700,
        202_611_210_800,
        202_611_211_100,
        202_611_211_500,
        202_611_281_200,
        202_611_281_500,
    ];

    #[test]
    fn every_migration_says_which_programs_it_serves() {
        let all: Vec<_> = schema().sets().iter().flat_map(|set| set.migrations()).collect();
        let silent: Vec<_> = all
            .iter()
            .filter(|migration| migration.oldest.is_none() && !FROM_BEFORE.contains(&migration.version))
            .collect();
        assert!(silent.is_empty(), "these migrations need a line `-- oldest: N`: {silent:?}");
        let later: Vec<_> = all.iter().filter(|one| one.oldest.is_some_and(|oldest| oldest > one.version)).collect();
        assert!(later.is_empty(), "a program with the migration itself is served: {later:?}");
    }

    #[test]
    fn the_number_of_a_program_is_its_newest_migration() {
        let versions: BTreeSet<i64> =
            schema().sets().iter().flat_map(|set| set.migrations()).map(|migration| migration.version).collect();
        assert_eq!(versions.last(), Some(&schema().program()));
    }
}
