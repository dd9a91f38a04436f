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
///
/// At most [`MAX_STREAMS`] are collected, and one more that shows that there are too many.
#[derive(Debug, Default)]
pub struct Reads(BTreeSet<StreamName>);

impl Reads {
    /// Adds the stream of `id`.
    pub fn add<S: Fold>(&mut self, id: &S::Id) {
        if !self.are_too_many() {
            self.0.insert(S::stream(id));
        }
    }

    /// Adds the streams of many ids.
    pub fn add_all<'i, S: Fold>(&mut self, ids: impl IntoIterator<Item = &'i S::Id>)
    where
        S::Id: 'i,
    {
        for id in ids {
            if self.are_too_many() {
                break;
            }
            self.0.insert(S::stream(id));
        }
    }

    /// The streams to load along with those that a decision missed: the others that are not loaded. None where all of them together
    /// are more than [`MAX_STREAMS`], since a decision that needs so many refuses its command.
    #[must_use]
    pub fn unloaded<S>(self, missing: &[StreamName], source: &dyn Source<S>) -> Vec<StreamName> {
        if self.are_too_many() {
            return Vec::new();
        }
        let mut streams = self.0;
        streams.retain(|stream| source.find(stream).is_none());
        for stream in missing {
            streams.remove(stream);
        }
        if streams.len() + missing.len() > MAX_STREAMS { Vec::new() } else { streams.into_iter().collect() }
    }

    fn are_too_many(&self) -> bool {
        self.0.len() > MAX_STREAMS
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
        self.missing.borrow_mut().insert(stream);
        self.check_count()?;
        Err(Unread::NotLoaded)
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

    /// The state of a stream, if it is loaded, without reading it: it does not join the read set.
    #[must_use]
    pub fn loaded<F>(&self, id: &F::Id) -> Option<&'a F>
    where
        F: Fold + 'a,
        &'a F: TryFrom<&'a S>,
    {
        self.find::<F>(&F::stream(id)).map(|(state, _)| state)
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
        self.reads.borrow_mut().insert(stream, version);
        self.check_count()
    }

    /// How many streams the decision has asked for, loaded or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.reads.borrow().len() + self.missing.borrow().len()
    }

    /// Checks that what was read and what is missing are not too many together.
    fn check_count(&self) -> Result<(), Unread> {
        if self.count() > MAX_STREAMS { Err(Unread::TooMany) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Serialize};

    use super::*;

    /// A state of which only the names of the streams matter.
    #[derive(Debug, Default, Clone, Serialize, Deserialize)]
    struct Nothing;

    impl Fold for Nothing {
        type Id = usize;
        type Event = ();

        fn stream(id: &usize) -> StreamName {
            StreamName::of("nothing", id)
        }

        fn evolve(&mut self, _event: &(), _at: DateTime<Utc>) {}
    }

    /// Streams of which some are loaded.
    struct Loaded(Vec<StreamName>, Nothing);

    impl Source<Nothing> for Loaded {
        fn find(&self, stream: &StreamName) -> Option<(&Nothing, i32)> {
            self.0.contains(stream).then_some((&self.1, 0))
        }
    }

    fn loaded(ids: &[usize]) -> Loaded {
        Loaded(names(ids), Nothing)
    }

    fn names(ids: &[usize]) -> Vec<StreamName> {
        ids.iter().map(Nothing::stream).collect()
    }

    fn reads(count: usize) -> Reads {
        let mut reads = Reads::default();
        reads.add_all::<Nothing>(&(0..count).collect::<Vec<_>>());
        reads
    }

    #[test]
    fn what_is_known_to_be_read_is_loaded_along_with_what_is_missing() {
        assert_eq!(reads(4).unloaded(&names(&[0, 9]), &loaded(&[2])), names(&[1, 3]));
        assert_eq!(reads(MAX_STREAMS).unloaded(&names(&[0]), &loaded(&[])).len(), MAX_STREAMS - 1);
    }

    #[test]
    fn where_there_are_too_many_nothing_is_loaded_along() {
        assert_eq!(reads(MAX_STREAMS + 1).unloaded(&names(&[0]), &loaded(&[])), []);
        assert_eq!(reads(MAX_STREAMS).unloaded(&names(&[MAX_STREAMS]), &loaded(&[])), [], "one too many is missing");
    }

    #[test]
    fn a_command_that_names_too_many_streams_costs_no_more_than_the_limit() {
        let asked = Cell::new(0);
        let ids: Vec<usize> = (0..20 * MAX_STREAMS).collect();
        let mut reads = Reads::default();
        reads.add_all::<Nothing>(ids.iter().inspect(|_| asked.set(asked.get() + 1)));
        reads.add::<Nothing>(&usize::MAX);
        assert!(asked.get() <= MAX_STREAMS + 2, "{} ids were asked for", asked.get());
        assert_eq!(reads.0.len(), MAX_STREAMS + 1);
    }

    #[test]
    fn a_decision_sees_a_bounded_number_of_streams_loaded_or_not() {
        let source = loaded(&[0]);
        let streams = Streams::over(&source);
        assert!(streams.get::<Nothing>(&0).is_ok());
        let missing: Vec<usize> = (1..MAX_STREAMS).collect();
        assert_eq!(streams.get_all::<Nothing>(&missing).err(), Some(Unread::NotLoaded));
        assert!(streams.get::<Nothing>(&0).is_ok(), "a stream counts once");
        assert_eq!(streams.assume_absent::<Nothing>(&MAX_STREAMS).err(), Some(Unread::TooMany));
    }
}
