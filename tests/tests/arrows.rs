//! The arrows of the house: which crate may depend on which (ARCHITECTURE.md draws them).

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may depend on, of ours, without the prefix `daybook-`.
const ARROWS: &[(&str, &[&str])] = &[
    ("kernel", &[]),
    ("domain", &["kernel"]),
    ("codec", &["kernel", "domain"]),
    ("event-store", &[]),
    ("event-stream", &["event-store"]),
    ("bus", &["kernel", "domain", "codec", "event-store"]),
    ("edge", &["kernel"]),
    ("command-api", &["kernel", "domain", "bus", "edge"]),
    ("projectors", &["kernel", "domain", "codec", "event-store", "event-stream"]),
    ("reactors", &["kernel", "domain", "codec", "bus", "event-store", "event-stream"]),
    // It reads and follows the book. Read tables are reached by SQL only, and no projector is called.
    ("query-api", &["kernel", "domain", "codec", "edge", "event-store"]),
    ("embedded", &[]),
    ("backup", &["embedded", "event-store", "event-stream"]),
];

/// These may depend on all crates but the ones that are named, since they put the others together.
const ANYTHING_BUT: &[(&str, &[&str])] = &[
    ("operations", &["daybook", "daybook-tests", "daybook-test-postgres"]),
    ("daybook", &["daybook-tests", "daybook-test-postgres"]),
];

/// What tests run beside the binary. The nemesis starts private servers as `up` does, signs tokens by a clock that is wrong,
/// names topics as operators do, and decides again what was decided. The simulation runs the bus and the consumers on contracts
/// of its own.
const TESTS: &[&str] = &[
    "daybook",
    "daybook-bus",
    "daybook-codec",
    "daybook-domain",
    "daybook-edge",
    "daybook-embedded",
    "daybook-event-store",
    "daybook-event-stream",
    "daybook-kernel",
    "daybook-operations",
];

/// What may be depended on by those that decide: nothing async, no clock, no randomness, no IO.
const PURE: &[&str] =
    &["daybook-domain", "daybook-kernel", "chrono", "schemars", "serde", "serde_json", "thiserror", "uuid"];

/// Every crate of the workspace, with what it is built from.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo describes the workspace");
    let members = metadata.packages.into_iter().map(|package| {
        let normal = package.dependencies.into_iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        (package.name.to_string(), normal.map(|dependency| dependency.name).collect())
    });
    members.collect()
}

fn named(short: &str) -> String {
    format!("daybook-{short}")
}

#[test]
fn crates_depend_on_each_other_as_the_map_says() {
    let all = dependencies();
    let arrows: BTreeMap<_, _> = ARROWS.iter().map(|(from, to)| (named(from), *to)).collect();
    let free: BTreeMap<_, _> = ANYTHING_BUT.iter().map(|(from, but)| (full(from), *but)).collect();
    for (from, dependencies) in &all {
        for to in dependencies.iter().filter(|name| name.starts_with("daybook")) {
            let allowed = match (arrows.get(from), free.get(from)) {
                (Some(allowed), _) => allowed.iter().any(|allowed| named(allowed) == *to),
                (None, Some(but)) => !but.contains(&to.as_str()),
                (None, None) if from == "daybook-tests" => TESTS.contains(&to.as_str()),
                (None, None) => false,
            };
            assert!(allowed, "{from} must not depend on {to}");
        }
        let known = arrows.contains_key(from) || free.contains_key(from) || from.starts_with("daybook-test");
        assert!(known, "{from} is not on the map");
    }
}

/// The name of the package: the binary has no prefix.
fn full(short: &str) -> String {
    if short == "daybook" { short.to_owned() } else { named(short) }
}

#[test]
fn what_decides_is_pure() {
    for (from, dependencies) in dependencies() {
        if matches!(from.as_str(), "daybook-kernel" | "daybook-domain") {
            for to in &dependencies {
                assert!(PURE.contains(&to.as_str()), "{from} must not depend on {to}");
            }
        }
    }
}
