//! The position that an operation must see, and the views that show it already.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::View;

/// The position that an operation must see in everything that it reads from now on. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Required(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The position, and since when it is required; none when the operation must see nothing.
    position: Option<(i64, Instant)>,
    /// The names of views that have reached it.
    shown_by: BTreeSet<String>,
}

impl State {
    /// Every view shows position 0.
    fn includes(&self, position: i64) -> bool {
        position <= self.position.map_or(0, |(required, _)| required)
    }
}

/// The views that a statement has to wait for.
pub(super) struct Missing {
    /// The position that they must reach.
    pub(super) position: i64,
    /// Since when it is required.
    pub(super) since: Instant,
    /// Their names.
    pub(super) views: Vec<&'static str>,
}

impl Required {
    /// Requires a position, unless a later one is required.
    pub(super) fn raise(&self, position: i64) {
        let mut state = self.state();
        if !state.includes(position) {
            *state = State { position: Some((position, Instant::now())), shown_by: BTreeSet::new() };
        }
    }

    /// Whether this position, or a later one, is required already.
    pub(super) fn includes(&self, position: i64) -> bool {
        self.state().includes(position)
    }

    /// Which of these views may not show the position yet; none when all do.
    pub(super) fn missing(&self, views: &[View]) -> Option<Missing> {
        let state = self.state();
        let (position, since) = state.position?;
        let missing = views.iter().map(|view| view.name).filter(|name| !state.shown_by.contains(*name));
        let views: Vec<_> = missing.collect();
        (!views.is_empty()).then_some(Missing { position, since, views })
    }

    /// Records the views that have reached a position.
    pub(super) fn is_shown_by(&self, position: i64, views: Vec<String>) {
        let mut state = self.state();
        if state.position.is_some_and(|(required, _)| required == position) {
            state.shown_by.extend(views);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
