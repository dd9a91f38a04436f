//! The window through which a decision reads folded streams, and the record of what it read.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use crate::{Fold, StreamName};

/// The most streams that one command may read. A command beyond it is refused, whatever the streams hold.
pub const MAX_STREAMS: usize = 1_000;

/// Where folded streams come from: the bus's cache, or a test's book in memory. `S` is the state of any stream.
pub trait Source<S> {
    /// The state of a stream and its version (0: it has no events); `None` when it is not loaded.
    fn find(&self, stream: &StreamName) -> Option<(&S, i32)>;
}

/// Why a stream could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is not loaded; [`Streams::missing`] names it. Load it and decide again.
    NotLoaded,
    /// The command reads more than [`MAX_STREAMS`] streams.
    TooMany,
}

/// The streams that a command is known to read before it is decided. A decision that misses one gets all of them loaded at once.
#[derive(Debug, Default)]
pub struct Reads(BTreeSet<StreamName>);

impl Reads {
    /// Adds the stream of `id`.
    pub fn add<S: Fold>(&mut self, id: &S::Id) {
        self.0.insert(S::stream(id));
    }

    /// Adds the streams of many ids.
    pub fn add_all<'i, S: Fold>(&mut self, ids: impl IntoIterator<Item = &'i S::Id>)
    where
        S::Id: 'i,
    {
        self.0.extend(ids.into_iter().map(S::stream));
    }

    /// The names of the streams.
    pub fn into_names(self) -> impl Iterator<Item = StreamName> {
        self.0.into_iter()
    }
}

/// The streams that one decision sees. Every stream that is read joins the read set, whose versions are checked when the
/// decision is committed. So each command chooses its own consistency boundary, by reading.
pub struct Streams<'a, S> {
    source: &'a dyn Source<S>,
    reads: RefCell<BTreeMap<StreamName, i32>>,
    missing: RefCell<BTreeSet<StreamName>>,
}

impl<'a, S> Streams<'a, S> {
    /// A window that has read nothing yet.
    #[must_use]
    pub fn over(source: &'a dyn Source<S>) -> Self {
        Self { source, reads: RefCell::default(), missing: RefCell::default() }
    }

    /// The state of the stream of `id`; the empty state where nothing has happened yet.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn get<F>(&self, id: &F::Id) -> Result<&'a F, Unread>
    where
        F: Fold + 'a,
        &'a F: TryFrom<&'a S>,
    {
        let stream = F::stream(id);
        if let Some((state, version)) = self.find::<F>(&stream) {
            self.record(stream, version)?;
            return Ok(state);
        }
        let mut missing = self.missing.borrow_mut();
        missing.insert(stream);
        if self.reads.borrow().len() + missing.len() > MAX_STREAMS {
            Err(Unread::TooMany)
        } else {
            Err(Unread::NotLoaded)
        }
    }

    /// The states of many streams. All that are not loaded are named together, so that a command over 200 lines costs one
    /// load and not 200.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn get_all<'i, F>(&self, ids: impl IntoIterator<Item = &'i F::Id>) -> Result<Vec<&'a F>, Unread>
    where
        F: Fold + 'a,
        F::Id: 'i,
        &'a F: TryFrom<&'a S>,
    {
        let mut states = Vec::new();
        let mut unread = None;
        for id in ids {
            match self.get::<F>(id) {
                Ok(state) => states.push(state),
                Err(Unread::TooMany) => return Err(Unread::TooMany),
                Err(Unread::NotLoaded) => unread = Some(Unread::NotLoaded),
            }
        }
        unread.map_or(Ok(states), Err)
    }

    /// The state of a stream that the command is going to begin; `None` when it is not loaded, which counts as empty. The commit
    /// checks that like any other read. A wrong guess costs a load and never correctness; a right one saves a look-up.
    ///
    /// # Errors
    /// [`Unread::TooMany`].
    pub fn assume_absent<F>(&self, id: &F::Id) -> Result<Option<&'a F>, Unread>
    where
        F: Fold + 'a,
        &'a F: TryFrom<&'a S>,
    {
        let stream = F::stream(id);
        let (state, version) = self.find::<F>(&stream).map_or((None, 0), |(state, version)| (Some(state), version));
        self.record(stream, version)?;
        Ok(state)
    }

    /// The streams that were read, with the version that each was read at.
    #[must_use]
    pub fn reads(&self) -> Vec<(StreamName, i32)> {
        self.reads.borrow().iter().map(|(stream, version)| (stream.clone(), *version)).collect()
    }

    /// The streams that the decision asked for and that are not loaded.
    #[must_use]
    pub fn missing(&self) -> Vec<StreamName> {
        self.missing.borrow().iter().cloned().collect()
    }

    fn find<F>(&self, stream: &StreamName) -> Option<(&'a F, i32)>
    where
        F: 'a,
        &'a F: TryFrom<&'a S>,
    {
        let (state, version) = self.source.find(stream)?;
        Some((state.try_into().ok()?, version))
    }

    fn record(&self, stream: StreamName, version: i32) -> Result<(), Unread> {
        let mut reads = self.reads.borrow_mut();
        reads.insert(stream, version);
        if reads.len() > MAX_STREAMS { Err(Unread::TooMany) } else { Ok(()) }
    }
}
