//! Whether the promise was kept: what the clients saw, beside what the book, Kafka and the views hold.
//!
//! Every check counts what it has looked at; one that has looked at nothing has proved nothing, and is a violation itself.

mod commerce;
pub mod imports;
mod outcomes;
mod serial;
mod streams;
pub mod wire;

#[cfg(test)]
mod forged;

use serde::Serialize;

use super::{
    book::Book,
    history::{Call, Read},
};

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What must hold.
    pub name: String,
    /// How much was looked at.
    pub checked: u64,
    /// How often it does not hold.
    pub violations: u64,
    /// Where it does not hold, in words: the first few places.
    pub found: Vec<String>,
}

/// How many places are told in words.
const TOLD: usize = 5;

impl Check {
    /// A check that has looked at nothing yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Counts something that was looked at, and tells what is wrong with it if it does not hold.
    pub fn holds(&mut self, holds: bool, wrong: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.violates(wrong);
        }
    }

    /// Counts something wrong in what was looked at before.
    pub fn violates(&mut self, wrong: impl FnOnce() -> String) {
        self.violations += 1;
        if self.found.len() < TOLD {
            self.found.push(wrong());
        }
    }

    /// The end of the check: it must have looked at something.
    #[must_use]
    pub fn done(mut self) -> Self {
        if self.checked == 0 {
            self.violates(|| "nothing was checked".to_owned());
        }
        self
    }
}

/// Everything that can be told from the book and from what the clients saw.
#[must_use]
pub fn all(book: &Book, calls: &[Call], reads: &[Read]) -> Vec<Check> {
    told(book, calls, reads).into_iter().map(Check::done).collect()
}

/// The same of one history among many, which need not have anything for every check to look at.
#[must_use]
pub fn told(book: &Book, calls: &[Call], reads: &[Read]) -> Vec<Check> {
    let mut checks = outcomes::checks(book, calls);
    checks.extend(streams::checks(book));
    checks.extend(commerce::checks(book));
    checks.extend(serial::checks(book, calls, reads));
    checks
}
