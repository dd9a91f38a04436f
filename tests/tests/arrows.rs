//! The arrows: which crate may depend on which (ARCHITECTURE.md shows them).

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The crates of the workspace that each crate may depend on, without the prefix `daybook-`.
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
    // query-api reads and follows the book. It reads the read tables by SQL only, and calls no projector.
    ("query-api", &["kernel", "domain", "codec", "edge", "event-store"]),
    ("embedded", &[]),
    ("backup", &["embedded", "event-store", "event-stream"]),
];

/// Crates that combine the others. They may depend on all crates except those named here.
const ANYTHING_BUT: &[(&str, &[&str])] = &[
    ("operations", &["daybook", "daybook-tests", "daybook-test-postgres"]),
    ("daybook", &["daybook-tests", "daybook-test-postgres"]),
];

/// The crates that `tests` uses beside the binary. The nemesis starts private servers as `up` does, signs tokens by a wrong clock, names
/// topics, and decides recorded commands again. The simulation runs the bus and the consumers on its own implementations of their
/// contracts.
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

/// The dependencies that the pure crates may have: nothing async, no clock, no randomness, no IO.
const PURE: &[&str] = &[
    "daybook-domain",
    "daybook-kernel",
    "chrono",
    "schemars",
    "serde",
    "serde_json",
    "thiserror",
    "unicode-normalization",
    "uuid",
];

/// Every crate of the workspace, with its dependencies.
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
fn crates_depend_on_each_other_as_the_arrows_allow() {
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
        assert!(known, "{from} has no arrows here");
    }
}

/// The name of a package without the prefix. The binary has none.
fn full(short: &str) -> String {
    if short == "daybook" { short.to_owned() } else { named(short) }
}

#[test]
fn the_crates_that_decide_are_pure() {
    for (from, dependencies) in dependencies() {
        if matches!(from.as_str(), "daybook-kernel" | "daybook-domain") {
            for to in &dependencies {
                assert!(PURE.contains(&to.as_str()), "{from} must not depend on {to}");
            }
        }
    }
}
