//! Deterministic simulation: thousands of seeds, each with its own order of events. docs/simulation.md lists the defects that it found.

use daybook_tests::simulation::{
    bus, consumer,
    seeds::{Verdict, all_hold},
};

#[test]
fn the_bus_keeps_its_promises_whatever_happens_in_whatever_order() {
    let test = "the_bus_keeps_its_promises_whatever_happens_in_whatever_order";
    let all = all_hold(test, 800, bus::run);
    if std::env::var_os("DAYBOOK_SEED").is_none() {
        // The simulation has no queries and no tokens.
        let elsewhere =
            ["no query has shown less than the position that was asked for", "a token that has run out opens nothing"];
        for check in all.checks.iter().filter(|check| !elsewhere.contains(&check.name.as_str())) {
            assert!(check.checked > 0, "nothing was checked: {}", check.name);
        }
    }
}

#[test]
fn the_same_seed_is_the_same_story() {
    for (seed, run) in (0..20).flat_map(|seed| [(seed, bus::run as fn(u64, bool) -> Verdict), (seed, consumer::run)]) {
        let (one, other) = (run(seed, true), run(seed, true));
        assert_eq!((one.told.trace, one.told.steps), (other.told.trace, other.told.steps));
        assert_eq!(one.told.story, other.told.story);
        assert_ne!(one.told.trace, run(seed + 1, false).told.trace);
    }
}

#[test]
fn a_consumer_takes_everything_in_once_whatever_happens_in_whatever_order() {
    let test = "a_consumer_takes_everything_in_once_whatever_happens_in_whatever_order";
    let all = all_hold(test, 2_000, consumer::run);
    if std::env::var_os("DAYBOOK_SEED").is_none() {
        for check in &all.checks {
            assert!(check.checked > 0, "nothing was checked: {}", check.name);
        }
    }
}
