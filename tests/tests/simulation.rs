//! Deterministic simulation: thousands of seeds, each with its own order of events. docs/simulation.md lists the defects that it found.

use daybook_tests::simulation::{
    bus, consumer,
    seeds::{Verdict, run_seeds},
};

#[test]
fn the_bus_keeps_its_promises_under_every_fault_and_schedule() {
    let test = "the_bus_keeps_its_promises_under_every_fault_and_schedule";
    let all = run_seeds(test, 800, bus::run);
    if std::env::var_os("DAYBOOK_SEED").is_none() {
        // The simulation has no queries and no tokens.
        let without_subject =
            ["no query has shown less than the position that was asked for", "a token that has run out opens nothing"];
        for check in all.checks.iter().filter(|check| !without_subject.contains(&check.name.as_str())) {
            assert!(check.checked > 0, "nothing was checked: {}", check.name);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for (seed, run) in (0..20).flat_map(|seed| [(seed, bus::run as fn(u64, bool) -> Verdict), (seed, consumer::run)]) {
        let (one, other) = (run(seed, true).run, run(seed, true).run);
        assert_eq!((one.digest, one.steps), (other.digest, other.steps));
        assert_eq!(one.log, other.log);
        assert_ne!(one.digest, run(seed + 1, false).run.digest);
    }
}

#[test]
fn a_consumer_processes_every_event_once_under_every_fault_and_schedule() {
    let test = "a_consumer_processes_every_event_once_under_every_fault_and_schedule";
    let all = run_seeds(test, 2_000, consumer::run);
    if std::env::var_os("DAYBOOK_SEED").is_none() {
        for check in &all.checks {
            assert!(check.checked > 0, "nothing was checked: {}", check.name);
        }
    }
}
