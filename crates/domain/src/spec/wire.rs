//! Names that others rely on.

use crate::{Command, Event, Slice};

#[test]
fn names_of_events_and_their_versions_are_pinned() {
    let names: Vec<_> = Event::contracts()
        .iter()
        .map(|contract| format!("{}.{}.v{}", contract.slice, contract.event_type, contract.schema_version))
        .collect();
    insta::assert_json_snapshot!(names);
}

#[test]
fn names_of_commands_and_who_may_send_them_are_pinned() {
    let names: Vec<_> = Command::contracts()
        .iter()
        .map(|contract| {
            let roles: Vec<_> = contract.roles.iter().map(|role| role.name()).collect();
            format!("{}.{}: {}", contract.slice, contract.name, roles.join(" "))
        })
        .collect();
    insta::assert_json_snapshot!(names);
}

#[test]
fn what_this_program_does_not_know_is_told_and_not_guessed() {
    let error = |name: &str, version: u16, data: &str| {
        Event::decode(name, version, data.as_bytes()).expect_err("it is not known").to_string()
    };
    assert_eq!(error("Nothing", 1, "{}"), "there is no event type `Nothing`");
    assert_eq!(error("OrderConfirmed", 9, "{}"), "event type `OrderConfirmed` has no schema version 9");
    assert!(error("OrderConfirmed", 1, "{}").starts_with("`OrderConfirmed` does not have the form of its schema"));
}

#[test]
fn every_stream_prefix_belongs_to_one_slice() {
    for slice in Slice::ALL {
        for prefix in slice.stream_prefixes() {
            assert_eq!(Slice::of_stream(&format!("{prefix}-1")), Some(slice));
        }
    }
    assert_eq!(Slice::of_stream("nothing-1"), None);
    assert_eq!(Slice::of_stream("order"), None);
}
