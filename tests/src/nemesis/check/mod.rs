//! The checks of the guarantees: what the clients saw is compared with the book, Kafka and the views.
//!
//! Every check counts the items that it has checked. A check of nothing proves nothing, so it is a violation.

mod commerce;
pub mod imports;
mod outcomes;
pub mod reactions;
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

/// A check and its findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The guarantee.
    pub name: String,
    /// The number of items that were checked.
    pub checked: u64,
    /// The number of violations.
    pub violations: u64,
    /// Descriptions of the first few violations.
    pub found: Vec<String>,
}

/// How many violations are described.
const DESCRIBED: usize = 5;

impl Check {
    /// A check that has checked nothing yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Counts an item, and a violation if the guarantee does not hold for it.
    pub fn holds(&mut self, holds: bool, wrong: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.violates(wrong);
        }
    }

    /// Counts a violation in items that were counted before.
    pub fn violates(&mut self, wrong: impl FnOnce() -> String) {
        self.violations += 1;
        if self.found.len() < DESCRIBED {
            self.found.push(wrong());
        }
    }

    /// Ends the check. A check of nothing becomes a violation.
    #[must_use]
    pub fn done(mut self) -> Self {
        if self.checked == 0 {
            self.violates(|| "nothing was checked".to_owned());
        }
        self
    }
}

/// The checks that compare the book with what the clients saw.
#[must_use]
pub fn all(book: &Book, calls: &[Call], reads: &[Read]) -> Vec<Check> {
    checks_of(book, calls, reads).into_iter().map(Check::done).collect()
}

/// The same checks on one history among many. A check may have no items there, so they are not ended yet.
#[must_use]
pub fn checks_of(book: &Book, calls: &[Call], reads: &[Read]) -> Vec<Check> {
    let mut checks = outcomes::checks(book, calls);
    checks.extend(streams::checks(book));
    checks.extend(commerce::checks(book));
    checks.extend(serial::checks(book, calls, &reactions::calls(book), reads));
    checks
}
