//! What a view is.

use std::{ops::Deref, sync::Arc};

use daybook_domain::{Event, Slice};
use daybook_event_store::RecordedEvent;
use daybook_event_stream::{EffectError, SharedEvent, Topology};
use futures::future::BoxFuture;

use crate::store::Store;

/// An event of the book, decoded. A clone is another handle of the same event.
#[derive(Debug, Clone)]
pub struct Recorded(Arc<Decoded>);

/// The parts of a [`Recorded`] event.
#[derive(Debug)]
pub struct Decoded {
    /// As it stands in the book.
    pub record: Arc<RecordedEvent>,
    /// What it says.
    pub event: Event,
}

impl Deref for Recorded {
    type Target = Decoded;

    fn deref(&self) -> &Decoded {
        &self.0
    }
}

impl Recorded {
    /// Decodes an event, unless another view of this process has done so.
    ///
    /// # Errors
    /// [`EffectError::Poison`] when this program does not know it.
    pub fn of(shared: &SharedEvent) -> Result<Self, EffectError> {
        // The reason is kept as well, so that an event that cannot be decoded is not tried again by each view.
        let decoded: Result<Self, String> = shared.decoded(|record| Self::decode(Arc::clone(record)));
        decoded.map_err(|reason| EffectError::Poison { position: shared.position, reason })
    }

    /// Decodes an event, or says why this program does not know it.
    pub(crate) fn decode(record: Arc<RecordedEvent>) -> Result<Self, String> {
        match daybook_codec::decode(&record.event_type, record.schema_version, record.data.as_bytes()) {
            Ok(event) => Ok(Self(Arc::new(Decoded { record, event }))),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// How a view takes events in: a function, so that views of different rows can stand in one list.
pub type Project = for<'a> fn(&'a Store<'a>, &'a [Recorded]) -> BoxFuture<'a, Result<(), EffectError>>;

/// A read model: its tables, and how events change them.
pub struct ViewSpec {
    /// Its name on the command line and in GraphQL.
    pub name: &'static str,
    /// The slices whose events it takes in. It gets those of one stream in order, and those of different streams in any order: so
    /// folds of different streams must commute. They touch different columns or different child rows, or they add to sums. What
    /// does not commute belongs on one stream, which is for the domain to see to.
    pub slices: &'static [Slice],
    /// The tables it shows, under `read`.
    pub tables: &'static [&'static str],
    /// Counts the changes of its tables and of its fold, from 1. A projector that starts with a later revision than the one that
    /// is shown builds the view anew; one with an earlier revision leaves it alone.
    pub revision: i32,
    /// SQL that makes its tables in the schema that is first on the search path.
    pub ddl: &'static str,
    /// How it takes events in.
    pub project: Project,
}

impl ViewSpec {
    /// The name of the consumer, and of the schema, of one of its versions.
    #[must_use]
    pub fn versioned(&self, version: i32) -> String {
        format!("{}_v{version}", self.name)
    }

    /// The topics it takes in.
    #[must_use]
    pub fn topics(&self, topology: &Topology) -> Vec<String> {
        self.slices.iter().map(|slice| topology.topic(slice.name())).collect()
    }

    /// The prefixes of the streams it takes in.
    #[must_use]
    pub fn stream_prefixes(&self) -> Vec<&'static str> {
        self.slices.iter().flat_map(|slice| slice.stream_prefixes()).copied().collect()
    }
}
