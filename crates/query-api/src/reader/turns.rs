//! The statements that one caller runs at once, over all operations of that caller. The others wait for each other, and nobody else for
//! them: the places of the process are taken in the order of arrival, and one caller could stand in all of them.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::Semaphore;

/// How many callers are remembered before those are forgotten who run nothing.
const REMEMBERED: usize = 1_024;

/// The permits of callers who run operations.
pub(super) struct Turns<C> {
    /// How many statements each of them runs at once.
    each: usize,
    by: Mutex<HashMap<C, Weak<Semaphore>>>,
}

impl<C: Eq + Hash> Turns<C> {
    pub(super) fn new(each: usize) -> Self {
        Self { each, by: Mutex::default() }
    }

    /// The permits of a caller. All operations of one caller share them.
    pub(super) fn of(&self, caller: C) -> Arc<Semaphore> {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        if by.len() >= REMEMBERED {
            by.retain(|_, permits| permits.strong_count() > 0);
        }
        let known = by.entry(caller).or_default();
        known.upgrade().unwrap_or_else(|| {
            let permits = Arc::new(Semaphore::new(self.each));
            *known = Arc::downgrade(&permits);
            permits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_of_one_caller_share_permits_and_others_have_their_own() {
        let turns = Turns::new(2);
        let (one, again, other) = (turns.of(1), turns.of(1), turns.of(2));
        let _taken = one.try_acquire_many(2).expect("nothing runs yet");
        assert!(again.try_acquire().is_err() && other.try_acquire().is_ok());
        for caller in 3..5_000 {
            drop(turns.of(caller));
        }
        assert!(turns.by.lock().expect("nothing has panicked").len() <= REMEMBERED);
        assert!(turns.of(1).try_acquire().is_err(), "who runs something is remembered");
    }
}
