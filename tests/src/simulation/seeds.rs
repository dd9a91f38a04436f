//! Runs many seeds, one after the other. The first seed that breaks a promise is run again, and its whole log is printed.

use std::{env, time::Instant};

use super::network::FaultCounts;
use crate::nemesis::check::Check;

/// A run, beside its checks.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The number of steps.
    pub steps: u64,
    /// A digest of all choices.
    pub digest: u64,
    /// The injected faults.
    pub faults: FaultCounts,
    /// The log, if it was requested.
    pub log: Vec<String>,
}

/// The result of a seed, or the sum of many.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// The run.
    pub run: Run,
    /// The checks.
    pub checks: Vec<Check>,
    /// How many attempts were accepted.
    pub accepted: u64,
    /// How many attempts were refused by a rule.
    pub refused: u64,
    /// How many attempts have an unknown outcome.
    pub open: u64,
}

impl Verdict {
    /// The verdict of a run that did not end.
    #[must_use]
    pub fn endless(why: String, run: Run) -> Self {
        let mut check = Check::new("every run ends");
        check.holds(false, || why);
        Self { run, checks: vec![check], ..Self::default() }
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.violations == 0)
    }

    fn add(&mut self, other: Self) {
        self.run.steps += other.run.steps;
        self.run.faults += other.run.faults;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.open += other.open;
        for check in other.checks {
            match self.checks.iter_mut().find(|known| known.name == check.name) {
                Some(known) => known.checked += check.checked,
                None => self.checks.push(check),
            }
        }
    }
}

/// The seeds to run: `DAYBOOK_SEED` names one, and `DAYBOOK_SEEDS` is the number of seeds.
fn seeds(default_count: u64) -> (u64, u64) {
    let number = |name: &str| {
        let text = env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
    };
    match number("DAYBOOK_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, number("DAYBOOK_SEEDS").unwrap_or(default_count)),
    }
}

/// Runs seeds, by default `default_count` of them, and returns the sum of their verdicts.
///
/// # Panics
/// With the log of the first seed that breaks a promise, and the command that runs it again.
#[must_use]
pub fn run_seeds(test: &str, default_count: u64, run: impl Fn(u64, bool) -> Verdict) -> Verdict {
    let (first, end) = seeds(default_count);
    let started = Instant::now();
    let mut all = Verdict::default();
    for seed in first..end {
        let verdict = run(seed, false);
        if !verdict.holds() {
            panic!("{}", report(test, seed, first, &run(seed, true)));
        }
        all.add(verdict);
    }
    let (seconds, Verdict { accepted, refused, open, .. }) = (started.elapsed().as_secs_f64(), &all);
    println!("{test}: {} seeds in {seconds:.1} s, {} steps", end - first, all.run.steps);
    println!("attempts: {accepted} accepted, {refused} refused, {open} left open; {:?}", all.run.faults);
    for check in &all.checks {
        println!("{:>9}  {}", check.checked, check.name);
    }
    all
}

fn report(test: &str, seed: u64, first: u64, verdict: &Verdict) -> String {
    let found = verdict.checks.iter().flat_map(|check| check.found.iter().map(|found| (&check.name, found)));
    let found: Vec<_> = found.map(|(name, found)| format!("  failed: {name}\n    {found}")).collect();
    format!(
        "{}\n\nseed {seed} breaks a promise (after {} seeds that keep every promise):\n{}\n\nrun it again with:\n  \
         DAYBOOK_SEED={seed} cargo test -p daybook-tests --test simulation {test} -- --exact\n",
        verdict.run.log.join("\n"),
        seed - first,
        found.join("\n"),
    )
}
