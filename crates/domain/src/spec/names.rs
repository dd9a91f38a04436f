//! Names that clients and stored books rely on.

use std::collections::BTreeSet;

use crate::{Command, Event, Refusal, Slice};

#[test]
fn type_names_of_events_and_their_versions_are_pinned() {
    let names: Vec<_> = Event::contracts()
        .iter()
        .map(|contract| format!("{}.v{}", contract.event_type, contract.schema_version))
        .collect();
    insta::assert_json_snapshot!(names);
}

#[test]
fn names_of_commands_and_who_may_send_them_are_pinned() {
    let names: Vec<_> = Command::contracts()
        .iter()
        .map(|contract| {
            let roles: Vec<_> = contract.access.roles.iter().map(|role| role.name()).collect();
            format!("{}.{}: {}", contract.slice, contract.name, roles.join(" "))
        })
        .collect();
    insta::assert_json_snapshot!(names);
}

#[test]
fn codes_of_refusals_are_pinned_and_each_has_one_meaning() {
    let contracts = Refusal::contracts();
    let codes: BTreeSet<_> = contracts.iter().map(|contract| contract.code).collect();
    assert_eq!(codes.len(), contracts.len(), "a code is used twice");
    let described = contracts.iter().map(|contract| format!("{}: {:?}", contract.code, contract.kind));
    insta::assert_json_snapshot!(described.collect::<Vec<_>>());
}

#[test]
fn the_type_name_of_an_event_begins_with_its_slice() {
    for contract in Event::contracts() {
        let (slice, _) = contract.event_type.split_once('.').expect("a slice and a name");
        assert_eq!(slice, contract.slice.name());
        assert_eq!(Event::current_version(contract.event_type), Some(contract.schema_version));
    }
    assert_eq!(Event::current_version("order.Nothing"), None);
    assert_eq!(Event::current_version("OrderPlaced"), None);
}

#[test]
fn every_stream_prefix_belongs_to_one_slice() {
    for slice in Slice::ALL.iter().copied() {
        for prefix in slice.stream_prefixes() {
            assert_eq!(Slice::of_stream(&format!("{prefix}-1")), Some(slice));
        }
    }
    assert_eq!(Slice::of_stream("nothing-1"), None);
    assert_eq!(Slice::of_stream("order"), None);
}
