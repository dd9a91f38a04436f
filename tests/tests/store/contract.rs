//! Tests of the contract of the book. They run on both implementations: PostgreSQL, and the book in memory of the simulation.

use std::{future::Future, sync::Arc};

use daybook_event_store::{
    AppendUnit, Filter, KnownCommand, MAX_EVENT_BYTES, NewEvent, Operation, Outcome, Session, Snapshot, Store,
    StoreError, Writing, Written,
};
use daybook_tests::{
    nemesis::random::Random,
    simulation::{
        network::Network,
        scheduler::{ProcessId, Scheduler},
        store::MemoryBook,
    },
};
use uuid::Uuid;

fn event(stream: &str) -> NewEvent {
    NewEvent {
        stream_id: stream.into(),
        event_type: "Happened".into(),
        schema_version: 1,
        event_id: Uuid::nil(),
        effective_at: None,
        key_id: None,
        data: r#"{ "exact" : 1.0 }"#.to_owned(),
    }
}

pub(super) fn write(id: u128, reads: &[(&str, i32)], writes: &[&str]) -> Operation {
    Operation::Write(AppendUnit {
        command_id: Uuid::from_u128(id),
        scope: "test".to_owned(),
        fingerprint: vec![1],
        reads: reads.iter().map(|(stream, version)| (Arc::from(*stream), *version)).collect(),
        events: writes.iter().map(|stream| event(stream)).collect(),
        correlation_id: Uuid::nil(),
        causation_id: Uuid::from_u128(id),
        actor: "test".to_owned(),
        trace: None,
    })
}

fn check(id: u128, fingerprint: &[u8], reads: &[(&str, i32)]) -> Operation {
    let reads = reads.iter().map(|(stream, version)| (Arc::from(*stream), *version)).collect();
    let (command_id, scope) = (Uuid::from_u128(id), "test".to_owned());
    Operation::Check { command_id, scope, fingerprint: fingerprint.to_vec(), reads }
}

/// Runs a test on a book in memory, without faults.
fn in_memory<T: Future<Output = ()> + Send + 'static>(test: impl FnOnce(MemoryBook) -> T) {
    let scheduler = Scheduler::new(1, false);
    let process = scheduler.process(ProcessId(1));
    let book = MemoryBook::new(Arc::new(Network::new(ProcessId(0), Random::new(1))), process);
    scheduler.run(ProcessId(1), test(book)).expect("the test ends");
}

/// Makes two tests of each function, one on each book.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let book = crate::book().await;
                super::$name(book.book.clone()).await;
            })+
        }
        mod memory {
            $(#[test]
            fn $name() {
                super::in_memory(super::$name);
            })+
        }
    };
}

on_both!(
    an_event_that_is_too_large_is_refused_alone,
    units_are_atomic_and_conflicts_and_duplicates_are_reported,
    a_unique_violation_is_reported_and_nothing_is_written,
    versions_and_commands_are_looked_up_in_the_same_transaction,
    a_locked_head_keeps_others_from_writing_until_the_write,
    what_is_stale_is_found_and_nothing_is_stale_under_the_lock,
    the_events_after_a_version_are_loaded,
    a_stream_is_loaded_from_its_latest_snapshot,
    the_book_is_read_in_order_and_in_pages,
);

async fn an_event_that_is_too_large_is_refused_alone(book: impl Store) {
    let mut appender = book.appender().await.expect("the book is open");
    let mut large = write(1, &[("a", 0)], &["a"]);
    let Operation::Write(unit) = &mut large else { unreachable!("it is a write") };
    unit.events[0].data = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_EVENT_BYTES));
    let (rests_on_it, other) = (write(2, &[("a", 1)], &["a"]), write(3, &[("b", 0)], &["b"]));
    let outcomes = appender.append(&[large, rests_on_it, other]).await.expect("the store answers");
    assert!(matches!(&outcomes[0], Outcome::InvalidData { reason } if reason.contains("900000")), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Conflict { .. }), "{outcomes:?}");
    assert!(matches!(outcomes[2], Outcome::Appended { first_position: 1, .. }), "{outcomes:?}");
}

async fn units_are_atomic_and_conflicts_and_duplicates_are_reported<B: Store>(book: B) {
    let mut appender = book.appender().await.expect("the connection is made");
    let outcomes = appender
        .append(&[write(1, &[("a-1", 0), ("b-1", 0)], &["a-1", "b-1", "a-1"]), write(2, &[("a-1", 2)], &["a-1"])])
        .await
        .expect("the append succeeds");
    assert!(
        matches!(&outcomes[0], Outcome::Appended { first_position: 1, versions, .. } if versions[0] == ("a-1".into(), 2))
    );
    assert!(matches!(&outcomes[1], Outcome::Appended { first_position: 4, .. }));

    let again = [
        write(1, &[("a-1", 0)], &["a-1"]),
        write(3, &[("a-1", 2)], &["a-1"]),
        write(4, &[("b-1", 1)], &["b-1"]),
        check(5, &[], &[("a-1", 3)]),
    ];
    let outcomes = appender.append(&again).await.expect("the append succeeds");
    assert_eq!(outcomes[0], Outcome::Duplicate { first_position: 1, events: 3, same_fingerprint: true });
    assert_eq!(outcomes[1], Outcome::Conflict { actual: vec![("a-1".into(), 3)] });
    assert!(
        matches!(outcomes[2], Outcome::Appended { first_position: 5, .. }),
        "the others are appended: {outcomes:?}"
    );
    let rests_on_another = Outcome::Conflict { actual: vec![("a-1".into(), 3)] };
    assert_eq!(
        outcomes[3], rests_on_another,
        "version 3 matches, but as the event of an operation that was not written"
    );

    let checks = [check(5, &[], &[("a-1", 3)]), check(2, &[2], &[("a-1", 3)])];
    let outcomes = appender.append(&checks).await.expect("the append succeeds");
    assert_eq!(outcomes[0], Outcome::Confirmed);
    assert_eq!(outcomes[1], Outcome::Duplicate { first_position: 4, events: 1, same_fingerprint: false });

    let empty = [write(8, &[("a-1", 3)], &[])];
    let [Outcome::Appended { first_position: next, .. }] = &appender.append(&empty).await.expect("it is appended")[..]
    else {
        panic!("a unit without events is remembered like any other")
    };
    let again = appender.append(&empty).await.expect("the append succeeds");
    assert_eq!(again, [Outcome::Duplicate { first_position: *next, events: 0, same_fingerprint: true }]);
    let unread = appender.append(&[write(9, &[("a-1", 3)], &["c-1"])]).await;
    assert!(matches!(unread, Err(StoreError::UnreadStream { .. })));
}

/// Calls the transaction itself, without the rounds of the appender.
async fn ask<S: Session>(session: &mut S, operation: Operation, streams: &[(&str, i32)], commands: &[u128]) -> Written {
    let Operation::Write(unit) = operation else { panic!("the operation writes") };
    let streams: Vec<(Arc<str>, i32)> = streams.iter().map(|(name, version)| (Arc::from(*name), *version)).collect();
    let commands = commands.iter().map(|id| (Uuid::from_u128(*id), "test")).collect();
    let writing = Writing { streams: streams.iter().collect(), commands, units: &[&unit] };
    session.write(&writing).await.expect("the store answers")
}

async fn positions(book: &impl Store) -> usize {
    book.read_after(0, 1_000, &Filter::default()).await.expect("the read succeeds").len()
}

async fn a_unique_violation_is_reported_and_nothing_is_written<B: Store>(book: B) {
    let mut session = book.appender().await.expect("the connection is made").into_session();
    let first = ask(&mut session, write(1, &[("a-1", 0)], &["a-1", "a-1"]), &[], &[]).await;
    assert!(matches!(first, Written::Committed { first_position: 1, .. }));
    let version = ask(&mut session, write(2, &[("b-1", 0), ("a-1", 1)], &["b-1", "a-1"]), &[], &[]).await;
    assert_eq!(version, Written::UniqueViolation, "version 2 exists");
    let command = ask(&mut session, write(1, &[("c-1", 0)], &["c-1"]), &[], &[]).await;
    assert_eq!(command, Written::UniqueViolation, "the command is in the book");
    assert_eq!(positions(&book).await, 2, "nothing was written, not even the valid unit");
    let next = ask(&mut session, write(3, &[("a-1", 2)], &["a-1"]), &[], &[]).await;
    assert!(matches!(next, Written::Committed { first_position: 3, .. }), "positions have no gap: {next:?}");
}

async fn versions_and_commands_are_looked_up_in_the_same_transaction<B: Store>(book: B) {
    let mut session = book.appender().await.expect("the connection is made").into_session();
    ask(&mut session, write(1, &[("a-1", 0)], &["a-1", "a-1"]), &[], &[]).await;
    let looked_up = [("b-1", 0), ("a-1", 1)];
    let refused = ask(&mut session, write(2, &[("b-1", 0)], &["b-1"]), &looked_up, &[7, 1]).await;
    assert_eq!(refused, Written::Refused { actual: vec![0, 2], duplicates: vec![Uuid::from_u128(1)] });
    let known = ask(&mut session, write(2, &[("b-1", 0)], &["b-1"]), &[], &[1]).await;
    assert_eq!(known, Written::Refused { actual: vec![], duplicates: vec![Uuid::from_u128(1)] });
    let fits = ask(&mut session, write(2, &[("b-1", 0)], &["b-1"]), &[("a-1", 2)], &[7]).await;
    assert!(matches!(fits, Written::Committed { first_position: 3, .. }), "{fits:?}");
    assert_eq!(session.versions(&["b-1", "c-1", "a-1"]).await.expect("the store answers"), [1, 0, 2]);
    let commands = session.commands(&[Uuid::from_u128(2), Uuid::from_u128(7)]).await.expect("the store answers");
    let (command_id, scope, fingerprint) = (Uuid::from_u128(2), "test".to_owned(), vec![1]);
    assert_eq!(commands, [KnownCommand { command_id, scope, fingerprint, first_position: 3, events: 1 }]);
}

async fn a_locked_head_keeps_others_from_writing_until_the_write<B: Store>(book: B) {
    let mut first = book.appender().await.expect("the connection is made").into_session();
    let mut other = book.appender().await.expect("the connection is made").into_session();
    first.lock().await.expect("the head is locked");
    let waits = ask(&mut other, write(2, &[("a-1", 0)], &["a-1"]), &[("a-1", 0)], &[]);
    let writes = async {
        assert_eq!(first.versions(&["a-1"]).await.expect("the store answers"), [0]);
        ask(&mut first, write(1, &[("a-1", 0)], &["a-1"]), &[("a-1", 0)], &[1]).await
    };
    let (refused, written) = futures::future::join(waits, writes).await;
    assert!(matches!(written, Written::Committed { first_position: 1, .. }), "{written:?}");
    assert_eq!(refused, Written::Refused { actual: vec![1], duplicates: vec![] });
    // A write that violates a key ends the lock, too.
    first.lock().await.expect("the head is locked");
    let violation = ask(&mut first, write(3, &[("a-1", 0)], &["a-1"]), &[], &[]).await;
    assert_eq!(violation, Written::UniqueViolation);
    let next = ask(&mut other, write(4, &[("a-1", 1)], &["a-1"]), &[], &[]).await;
    assert!(matches!(next, Written::Committed { first_position: 2, .. }), "{next:?}");
    first.lock().await.expect("the head is locked");
    first.unlock().await.expect("the head is unlocked");
    let last = ask(&mut other, write(5, &[("a-1", 2)], &["a-1"]), &[], &[]).await;
    assert!(matches!(last, Written::Committed { first_position: 3, .. }), "{last:?}");
}

async fn what_is_stale_is_found_and_nothing_is_stale_under_the_lock<B: Store>(book: B) {
    let mut appender = book.appender().await.expect("the connection is made");
    appender.append(&[write(1, &[("a-1", 0)], &["a-1", "a-1"])]).await.expect("the append succeeds");
    let decided = |version| {
        let next = [("a-1", version + 1)];
        [
            write(2, &[("a-1", version), ("b-1", 0)], &["a-1"]),
            check(3, &[], &[("a-1", version + 1)]),
            write(4, &next, &["a-1"]),
        ]
    };
    appender.lock().await.expect("the head is locked");
    let stale = appender.stale(&decided(1)).await.expect("the store answers");
    assert_eq!(stale, [("a-1".into(), 2)], "only the versions before the batch are compared");
    let fresh = decided(2);
    assert_eq!(appender.stale(&fresh).await.expect("the store answers"), []);
    let outcomes = appender.append(&fresh).await.expect("the append succeeds");
    assert!(matches!(outcomes[0], Outcome::Appended { first_position: 3, .. }), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Confirmed);
    // Where nothing is written, the lock ends with the check.
    appender.lock().await.expect("the head is locked");
    let checked = appender.append(&[check(5, &[], &[("a-1", 4)])]).await.expect("the append succeeds");
    assert_eq!(checked, [Outcome::Confirmed]);
    let mut other = book.appender().await.expect("the connection is made");
    let outcomes = other.append(&[write(6, &[("a-1", 4)], &["a-1"])]).await.expect("the head is free");
    assert!(matches!(outcomes[..], [Outcome::Appended { first_position: 5, .. }]), "{outcomes:?}");
}

async fn the_events_after_a_version_are_loaded<B: Store>(book: B) {
    let mut appender = book.appender().await.expect("the connection is made");
    appender.append(&[write(1, &[("a-1", 0), ("b-1", 0)], &["a-1", "b-1", "a-1", "a-1"])]).await.expect("it succeeds");
    book.save_snapshot("a-1", 7, &Snapshot { version: 3, state: "{}".to_owned() }).await.expect("it is saved");
    let after: Vec<(Arc<str>, i32)> = vec![("b-1".into(), 1), ("a-1".into(), 1), ("c-1".into(), 0)];
    let loaded = book.load_after(&after).await.expect("the streams are loaded");
    let versions = |nr: usize| loaded[nr].events.iter().map(|event| event.version).collect::<Vec<_>>();
    assert_eq!(loaded.iter().map(|stream| &*stream.stream_id).collect::<Vec<_>>(), ["b-1", "a-1", "c-1"]);
    assert!(loaded.iter().all(|stream| stream.snapshot.is_none()));
    assert_eq!((versions(0), versions(1), versions(2)), (vec![], vec![2, 3], vec![]));
}

async fn a_stream_is_loaded_from_its_latest_snapshot<B: Store>(book: B) {
    let mut appender = book.appender().await.expect("the connection is made");
    appender.append(&[write(1, &[("a-1", 0)], &["a-1", "a-1", "a-1"])]).await.expect("the append succeeds");
    let snapshot = |version| Snapshot { version, state: format!("{{\"at\":{version}}}") };
    for version in [2, 1] {
        book.save_snapshot("a-1", 7, &snapshot(version)).await.expect("the snapshot is saved");
    }
    let names: Vec<Arc<str>> = vec!["b-1".into(), "a-1".into()];
    let loaded = book.load_streams(&names, 7).await.expect("the streams are loaded");
    assert_eq!((&*loaded[0].stream_id, &loaded[0].snapshot, loaded[0].events.len()), ("b-1", &None, 0));
    assert_eq!(loaded[1].snapshot, Some(snapshot(2)), "an older snapshot does not replace it");
    assert_eq!(loaded[1].events.iter().map(|event| event.version).collect::<Vec<_>>(), [3]);
    let folded_otherwise = book.load_streams(&names, 6).await.expect("the streams are loaded");
    assert_eq!((&folded_otherwise[1].snapshot, folded_otherwise[1].events.len()), (&None, 3));
    book.save_snapshot("a-1", 8, &snapshot(1)).await.expect("the snapshot is saved");
    let folded_again = book.load_streams(&names, 8).await.expect("the streams are loaded");
    assert_eq!((&folded_again[1].snapshot, folded_again[1].events.len()), (&Some(snapshot(1)), 2));
}

async fn the_book_is_read_in_order_and_in_pages<B: Store>(book: B) {
    let mut appender = book.appender().await.expect("the connection is made");
    for (id, version) in [(1, 0), (2, 2), (3, 4)] {
        let operations = [write(id, &[("a-1", version), ("b-1", version / 2)], &["a-1", "b-1", "a-1"])];
        appender.append(&operations).await.expect("the append succeeds");
    }
    let page = book.read_after(2, 5, &Filter::default()).await.expect("the read succeeds");
    assert_eq!(page.iter().map(|event| event.position).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    assert!(page.windows(2).all(|pair| pair[0].recorded_at <= pair[1].recorded_at), "recorded times never decrease");
    assert_eq!(page[0].data, r#"{ "exact" : 1.0 }"#, "data is kept byte for byte");
    assert_eq!(page[0].effective_at, page[0].recorded_at, "it happened when it was written");
    let stream = Filter { stream: Some("b-1".to_owned()), ..Filter::default() };
    let own = book.read_after(0, 2, &stream).await.expect("the read succeeds");
    assert_eq!(own.iter().map(|event| (event.position, event.version)).collect::<Vec<_>>(), [(2, 1), (5, 2)]);
    let other = Filter { types: Some(vec!["Otherwise".to_owned()]), ..Filter::default() };
    assert!(book.read_after(0, 10, &other).await.expect("the read succeeds").is_empty());
    assert!(book.read_after(9, 10, &Filter::default()).await.expect("the read succeeds").is_empty());
}
