//! The view of the book that a decision reads, and the record of what it read.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use crate::{Fold, Rejection, State, StreamName};

/// Where folded streams come from: the bus's cache, or a test's book in memory.
pub trait Source {
    /// The state of a stream and its version (0: it has no events); `None` when it is not loaded.
    fn find(&self, stream: &StreamName) -> Option<(&State, i32)>;
}

/// What one decision sees. Every stream that is read joins the read set, whose versions are checked when the decision
/// is committed: so each command chooses its own consistency boundary, by reading.
pub struct View<'a> {
    source: &'a dyn Source,
    reads: RefCell<BTreeMap<StreamName, i32>>,
    missing: RefCell<BTreeSet<StreamName>>,
}

impl<'a> View<'a> {
    /// A view that has read nothing yet.
    #[must_use]
    pub fn over(source: &'a dyn Source) -> Self {
        Self { source, reads: RefCell::default(), missing: RefCell::default() }
    }

    /// The state of the stream of `id`; the empty state where nothing has happened yet.
    ///
    /// # Errors
    /// [`Rejection::NotLoaded`] when the stream has to be fetched first.
    pub fn get<S: Fold>(&self, id: &S::Id) -> Result<&'a S, Rejection> {
        let stream = S::stream(id);
        match self.source.find(&stream).and_then(|(state, version)| Some((S::of(state)?, version))) {
            Some((state, version)) => {
                self.reads.borrow_mut().insert(stream, version);
                Ok(state)
            }
            None => {
                self.missing.borrow_mut().insert(stream);
                Err(Rejection::NotLoaded)
            }
        }
    }

    /// The state of a stream that the command means to begin; `None` when it is not loaded, which is taken as: nothing has
    /// happened in it. The commit checks that like any other read, so a wrong guess costs a load and never correctness, and a
    /// right one, which is nearly every one, saves a look-up.
    pub fn find_new<S: Fold>(&self, id: &S::Id) -> Option<&'a S> {
        let stream = S::stream(id);
        let found = self.source.find(&stream).and_then(|(state, version)| Some((S::of(state)?, version)));
        let (state, version) = found.map_or((None, 0), |(state, version)| (Some(state), version));
        self.reads.borrow_mut().insert(stream, version);
        state
    }

    /// The states of many streams at once. All that are not loaded are named in one go, so that a command over 200
    /// lines costs one fetch and not 200.
    ///
    /// # Errors
    /// [`Rejection::NotLoaded`] when any has to be fetched first.
    pub fn get_all<'i, S: Fold + 'a>(&self, ids: impl IntoIterator<Item = &'i S::Id>) -> Result<Vec<&'a S>, Rejection>
    where
        S::Id: 'i,
    {
        let states: Vec<_> = ids.into_iter().map(|id| self.get::<S>(id)).collect();
        states.into_iter().collect()
    }

    /// The streams that were read, with the version that each was read at.
    #[must_use]
    pub fn reads(&self) -> Vec<(StreamName, i32)> {
        self.reads.borrow().iter().map(|(stream, version)| (stream.clone(), *version)).collect()
    }

    /// The streams that were asked for and are not loaded.
    #[must_use]
    pub fn missing(&self) -> Vec<StreamName> {
        self.missing.borrow().iter().cloned().collect()
    }
}
