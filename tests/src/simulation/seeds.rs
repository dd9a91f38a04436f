//! Many seeds, one after the other; the first one that breaks a promise is told with all that happened in it.

use std::{env, time::Instant};

use super::network::Harm;
use crate::nemesis::check::Check;

/// What is known of a run beside its checks.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// How many steps tasks made.
    pub steps: u64,
    /// A digest of all choices.
    pub trace: u64,
    /// What went wrong on purpose.
    pub harm: Harm,
    /// What happened, where that was asked for.
    pub story: Vec<String>,
}

/// What came of a seed, or of many.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// How it went.
    pub told: Told,
    /// What was checked.
    pub checks: Vec<Check>,
    /// How many attempts were accepted.
    pub accepted: u64,
    /// How many were refused by a rule.
    pub refused: u64,
    /// How many have no answer, or none that tells.
    pub open: u64,
}

impl Verdict {
    /// A run that came to no end.
    #[must_use]
    pub fn broken(why: String, told: Told) -> Self {
        let mut check = Check::new("every run comes to an end");
        check.holds(false, || why);
        Self { told, checks: vec![check], ..Self::default() }
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.violations == 0)
    }

    fn add(&mut self, other: Self) {
        self.told.steps += other.told.steps;
        self.told.harm += other.told.harm;
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

/// Which seeds are wanted: `DAYBOOK_SEED` names one, `DAYBOOK_SEEDS` says how many.
fn wanted(usually: u64) -> (u64, u64) {
    let number = |name: &str| {
        let text = env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
    };
    match number("DAYBOOK_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, number("DAYBOOK_SEEDS").unwrap_or(usually)),
    }
}

/// Runs seeds, `usually` so many, and returns what they come to together.
///
/// # Panics
/// With the story of the first seed that breaks a promise, and the command that runs it again.
#[must_use]
pub fn all_hold(test: &str, usually: u64, run: impl Fn(u64, bool) -> Verdict) -> Verdict {
    let (first, end) = wanted(usually);
    let begun = Instant::now();
    let mut all = Verdict::default();
    for seed in first..end {
        let verdict = run(seed, false);
        if !verdict.holds() {
            panic!("{}", tell(test, seed, first, &run(seed, true)));
        }
        all.add(verdict);
    }
    let (seconds, Verdict { accepted, refused, open, .. }) = (begun.elapsed().as_secs_f64(), &all);
    println!("{test}: {} seeds in {seconds:.1} s, {} steps", end - first, all.told.steps);
    println!("attempts: {accepted} accepted, {refused} refused, {open} left open; {:?}", all.told.harm);
    for check in &all.checks {
        println!("{:>9}  {}", check.checked, check.name);
    }
    all
}

fn tell(test: &str, seed: u64, first: u64, verdict: &Verdict) -> String {
    let found = verdict.checks.iter().flat_map(|check| check.found.iter().map(|found| (&check.name, found)));
    let found: Vec<_> = found.map(|(name, found)| format!("  not so: {name}\n    {found}")).collect();
    format!(
        "{}\n\nseed {seed} breaks a promise (after {} seeds that keep them):\n{}\n\nrun it again with:\n  \
         DAYBOOK_SEED={seed} cargo test -p daybook-tests --test simulation {test} -- --exact\n",
        verdict.told.story.join("\n"),
        seed - first,
        found.join("\n"),
    )
}
