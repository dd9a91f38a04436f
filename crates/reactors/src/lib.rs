//! Reactions to events: what the engine does by itself.
//!
//! A [reactor](Reactor) turns an event into reactions: commands that are sent now or at a time. The [engine](engine) keeps them as
//! rows, written in the transaction of the reactor's checkpoint, and sends them over the bus. What belongs here: the engine, and
//! a file per reaction in the folder of its slice. What does not: rules (the domain decides whether a command is accepted),
//! and read models (a projection may be replayed, a reaction must not).

mod cart;
pub mod engine;
mod inventory;

use daybook_event_store::{Daybook, MigrationSet, StoreError};

pub use engine::{
    OVERDUE_AFTER, ReactorSettings,
    reactor::{Reaction, Reactions, Reactor, Trigger},
    runner::{Reactors, retry_parked},
};

mod files {
    // The macro's own code has no docs.
    #![allow(missing_docs, clippy::all)]
    refinery::embed_migrations!("migrations");
}

/// Every reactor.
pub static ALL: [&Reactor; 2] = [&cart::expiry::REACTOR, &inventory::expiry::REACTOR];

/// The reactor of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Reactor> {
    ALL.into_iter().find(|reactor| reactor.name == name)
}

/// The migrations of this crate's own tables.
pub static MIGRATIONS: MigrationSet =
    MigrationSet { table: "daybook_reactor_migrations", runner: files::migrations::runner };

/// Brings this crate's own tables up to date; nothing where they are.
///
/// # Errors
/// [`StoreError`] when the database is out of reach or a migration fails.
pub async fn migrate(book: &Daybook) -> Result<(), StoreError> {
    book.migrate_with(&MIGRATIONS).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use daybook_domain::{Event, EventContract};

    use super::ALL;

    #[test]
    fn the_reaction_table_names_events_that_the_reactor_gets_and_each_once() {
        let contracts = Event::contracts();
        for reactor in ALL {
            let gets = |contract: &&EventContract| reactor.slices.contains(&contract.slice);
            let events: BTreeSet<_> = contracts.iter().filter(gets).map(|contract| contract.event_type).collect();
            let named: Vec<_> = reactor.table.iter().flat_map(|trigger| trigger.on).copied().collect();
            let distinct: BTreeSet<_> = named.iter().copied().collect();
            assert_eq!(distinct.len(), named.len(), "{}", reactor.name);
            assert!(distinct.is_subset(&events), "{}: {distinct:?}", reactor.name);
        }
    }

    #[test]
    fn names_are_distinct() {
        assert_eq!(ALL.iter().map(|reactor| reactor.name).collect::<BTreeSet<_>>().len(), ALL.len());
    }
}
