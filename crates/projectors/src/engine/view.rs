//! What a view is.

use daybook_domain::Slice;
use daybook_event_stream::{EffectError, Topology};
use futures::future::BoxFuture;

use super::{
    recorded::Recorded,
    store::{Store, TableSpec},
};

/// How a view folds events: a function, so that views of different rows can stand in one list.
pub type Project = for<'a> fn(&'a Store<'a>, &'a [Recorded]) -> BoxFuture<'a, Result<(), EffectError>>;

/// A read model: its tables, and how events change them.
pub struct ViewSpec {
    /// Its name on the command line and in GraphQL.
    pub name: &'static str,
    /// The slices whose events it folds. It gets the events of one stream in order, and those of different streams in any order. So
    /// folds of different streams must commute: they change different columns or different child rows, or they add to sums. The
    /// domain puts on one stream what does not commute.
    ///
    /// A row is written as a whole. In a view of one slice, only one stream changes a row. In a view of several slices, several streams
    /// may change it: its transactions take turns, also between processes, so that none overwrites what another has written.
    pub slices: &'static [Slice],
    /// The tables it shows, under `read`.
    pub tables: &'static [&'static TableSpec],
    /// Counts the changes of its tables and of its fold, from 1. A projector that starts with a later revision than the one that
    /// is shown builds the view again. A projector with an earlier revision leaves it alone.
    pub revision: i32,
    /// How it folds events.
    pub project: Project,
}

impl ViewSpec {
    /// The name of the consumer, and of the schema, of one of its versions.
    #[must_use]
    pub fn versioned(&self, version: i32) -> String {
        format!("{}_v{version}", self.name)
    }

    /// SQL that makes its tables in the schema that is first on the search path.
    #[must_use]
    pub fn ddl(&self) -> String {
        self.tables.iter().map(|table| table.ddl()).collect::<Vec<_>>().join("\n")
    }

    /// The statement by which a transaction that projects events locks the view: alone, or together with others of its kind.
    pub(super) const fn lock(&self) -> &'static str {
        match self.slices {
            [_] => "SELECT pg_advisory_xact_lock_shared($1, hashtext($2))",
            _ => "SELECT pg_advisory_xact_lock($1, hashtext($2))",
        }
    }

    /// The topics of its slices.
    #[must_use]
    pub fn topics(&self, topology: &Topology) -> Vec<String> {
        self.slices.iter().map(|slice| topology.topic(slice.name())).collect()
    }

    /// The prefixes of the streams of its slices.
    #[must_use]
    pub fn stream_prefixes(&self) -> Vec<&'static str> {
        self.slices.iter().flat_map(|slice| slice.stream_prefixes()).copied().collect()
    }
}
