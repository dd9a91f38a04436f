//! The arrows of the house: which crate may depend on which (ARCHITECTURE.md draws them).

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may depend on, of ours.
const ARROWS: &[(&str, &[&str])] = &[
    ("daybook-kernel", &[]),
    ("daybook-domain", &["daybook-kernel"]),
    ("daybook-codec", &["daybook-domain"]),
    ("daybook-event-store", &[]),
    ("daybook-edge", &["daybook-kernel"]),
    ("daybook-embedded", &[]),
    ("daybook-backup", &["daybook-embedded", "daybook-event-store", "daybook-event-stream"]),
    ("daybook-event-stream", &["daybook-event-store"]),
    ("daybook-bus", &["daybook-codec", "daybook-domain", "daybook-event-store"]),
    ("daybook-command-api", &["daybook-edge", "daybook-bus", "daybook-domain"]),
    ("daybook-projectors", &["daybook-codec", "daybook-domain", "daybook-event-store", "daybook-event-stream"]),
    ("daybook-query-api", &["daybook-codec", "daybook-domain", "daybook-edge", "daybook-event-store"]),
    (
        "daybook-operations",
        &[
            "daybook-backup",
            "daybook-bus",
            "daybook-codec",
            "daybook-command-api",
            "daybook-domain",
            "daybook-edge",
            "daybook-embedded",
            "daybook-event-store",
            "daybook-event-stream",
            "daybook-projectors",
        ],
    ),
    (
        "daybook",
        &[
            "daybook-edge",
            "daybook-embedded",
            "daybook-backup",
            "daybook-bus",
            "daybook-codec",
            "daybook-command-api",
            "daybook-domain",
            "daybook-event-store",
            "daybook-event-stream",
            "daybook-operations",
            "daybook-projectors",
            "daybook-query-api",
        ],
    ),
    // The nemesis starts private servers as `up` does, signs tokens by a clock that is wrong, and decides again what was decided.
    // The simulation runs the bus and the consumers on contracts of its own.
    (
        "daybook-tests",
        &[
            "daybook",
            "daybook-codec",
            "daybook-edge",
            "daybook-bus",
            "daybook-domain",
            "daybook-event-store",
            "daybook-event-stream",
        ],
    ),
];

/// What the kernel and the domain may depend on: nothing async, no clock, no randomness, no IO.
const PURE: &[&str] = &["chrono", "daybook-kernel", "schemars", "serde", "serde_json", "thiserror", "uuid"];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo tells the workspace");
    let members = metadata.packages.into_iter().map(|package| {
        let normal = package.dependencies.into_iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        (package.name.to_string(), normal.map(|dependency| dependency.name).collect())
    });
    members.collect()
}

#[test]
fn crates_depend_on_each_other_as_the_map_says() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for (package, dependencies) in dependencies() {
        let Some(allowed) = allowed.get(package.as_str()) else {
            assert!(package.starts_with("daybook-test"), "{package} is not on the map");
            continue;
        };
        for dependency in dependencies.iter().filter(|name| name.starts_with("daybook")) {
            assert!(allowed.contains(&dependency.as_str()), "{package} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_domain_is_pure() {
    let dependencies = dependencies();
    for dependency in dependencies["daybook-kernel"].union(&dependencies["daybook-domain"]) {
        assert!(PURE.contains(&dependency.as_str()), "kernel and domain must not depend on {dependency}");
    }
}
