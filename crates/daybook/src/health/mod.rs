//! The health of a process. One task refreshes what is known; probes only read it, so they are answered at once whatever the database
//! does.
//!
//! - Alive: the process turns, and its bus moves when it has work.
//! - Started: the database was reached, and its schema fits.
//! - Ready: this process can do its part, and does not drain. How far views are behind does not count: a stale storefront is better than
//!   none. A process that takes requests is not asked whether it receives from the broker, since it answers without.

mod archive;
pub(crate) mod checks;
pub(crate) mod http;
mod progress;
pub(crate) mod watch;
mod writes;

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use daybook_edge::drain::Drain;
use serde::Serialize;

use self::checks::{Check, ViewLag};
use crate::role::Role;

/// After how long without a refresh a process counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// What is known of this process. Clones share it.
#[derive(Clone)]
pub(crate) struct Health(Arc<Shared>);

struct Shared {
    roles: BTreeSet<Role>,
    drain: Drain,
    known: RwLock<Known>,
}

/// What the last refresh has found.
#[derive(Default)]
struct Known {
    started: bool,
    /// What the start waits for.
    waits_for: String,
    /// Why the process is not alive.
    dead: Option<String>,
    refreshed: Option<Instant>,
    /// The checks that decide whether the process is ready.
    checks: Vec<Check>,
    schema: Option<Check>,
    /// The checks that decide nothing.
    details: Vec<Check>,
    views: Vec<ViewLag>,
}

/// Everything that is known, for operators and staff.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    ready: bool,
    alive: bool,
    started: bool,
    draining: bool,
    roles: Vec<&'static str>,
    version: &'static str,
    /// The checks that decide whether the process is ready.
    checks: Vec<Check>,
    /// The checks that decide nothing.
    details: Vec<Check>,
    views: Vec<ViewLag>,
}

impl Health {
    /// The health of a process that starts.
    pub(crate) fn new(roles: BTreeSet<Role>, drain: Drain) -> Self {
        let known = Known { waits_for: "the start begins".to_owned(), ..Known::default() };
        Self(Arc::new(Shared { roles, drain, known: RwLock::new(known) }))
    }

    /// The start waits for something, such as the database.
    pub(crate) fn waits_for(&self, what: String) {
        self.change(|known| known.waits_for = what);
    }

    /// The process has started.
    pub(crate) fn has_started(&self) {
        self.change(|known| known.started = true);
    }

    /// Whether the process is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.read(|known| self.deciding(known).iter().all(|check| check.ok))
    }

    /// Why the process is not alive; none when it is.
    fn dead(&self) -> Option<String> {
        self.read(|known| {
            let stuck = known.refreshed.is_some_and(|refreshed| refreshed.elapsed() > STUCK_AFTER);
            known.dead.clone().or_else(|| stuck.then(|| "the checks do not run any more".to_owned()))
        })
    }

    /// Whether the process has started.
    pub(crate) fn is_started(&self) -> bool {
        self.read(|known| known.started)
    }

    /// The checks that decide whether the process is ready.
    fn deciding(&self, known: &Known) -> Vec<Check> {
        let mut all = Vec::new();
        if self.0.drain.has_begun() {
            all.push(Check::new("drain", false, "the process drains"));
        }
        if !known.started {
            all.push(Check::new("start", false, known.waits_for.clone()));
        } else if known.refreshed.is_none() {
            all.push(Check::new("start", false, "nothing is checked yet"));
        }
        all.extend(known.checks.iter().chain(&known.schema).cloned());
        all
    }

    fn report(&self) -> Report {
        let alive = self.dead().is_none();
        self.read(|known| {
            let checks = self.deciding(known);
            Report {
                ready: checks.iter().all(|check| check.ok),
                alive,
                started: known.started,
                draining: self.0.drain.has_begun(),
                roles: self.0.roles.iter().map(|role| role.name()).collect(),
                version: env!("CARGO_PKG_VERSION"),
                checks,
                details: known.details.clone(),
                views: known.views.clone(),
            }
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}
