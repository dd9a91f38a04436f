//! The event store. Tests of its contract run on both books, PostgreSQL and the simulation: see [`contract`]. Tests of PostgreSQL alone
//! are here.

mod contract;
mod migrations;

use daybook_event_store::{AsOf, Daybook, Filter, Operation, Outcome, StoreSettings};
use daybook_test_postgres::{TestDatabase, database};
use uuid::Uuid;

use self::contract::write;

struct Book {
    book: Daybook,
    _database: TestDatabase,
}

async fn book() -> Book {
    let database = database().await;
    let database_url = database.url().to_owned();
    let book = Daybook::open(&StoreSettings { database_url, max_connections: 8 }).expect("the URL is right");
    book.migrate().await.expect("the schema can be made");
    Book { book, _database: database }
}

/// A process that is suspended in the middle of a transaction must not block the process that takes over.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_transaction_is_ended() {
    let book = book().await;
    let mut sleeper = book.book.pool().get().await.expect("the connection is made");
    let transaction = sleeper.transaction().await.expect("the transaction begins");
    transaction.execute("SELECT * FROM head FOR UPDATE", &[]).await.expect("the head is locked");
    let operations = [write(1, &[("a-1", 0)], &["a-1"])];
    let mut appender = book.book.appender().await.expect("the connection is made");
    let outcomes = appender.append(&operations).await.expect("the append succeeds after the lock is released");
    assert!(matches!(outcomes[..], [Outcome::Appended { .. }]));
    assert!(transaction.commit().await.is_err(), "the idle transaction has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_as_it_was() {
    let book = book().await;
    let mut appender = book.book.appender().await.expect("the connection is made");
    let operations = [write(1, &[("a-1", 0), ("b-1", 0)], &["a-1", "b-1", "a-1"]), write(2, &[("a-1", 2)], &["a-1"])];
    appender.append(&operations).await.expect("the append succeeds");
    let events = book.book.read_stream("a-1", 0, AsOf::Now).await.expect("the read succeeds");
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3]);
    let then = book.book.read_stream("a-1", 0, AsOf::Position(3)).await.expect("the read succeeds");
    assert_eq!(then.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgresql_refuses_fails_its_unit_and_the_operations_that_rest_on_it() {
    let book = book().await;
    let mut appender = book.book.appender().await.expect("the connection is made");
    let spoilt = |id, reads: &[(&str, i32)], writes: &[&str]| {
        let Operation::Write(mut unit) = write(id, reads, writes) else { panic!("the operation writes") };
        unit.events[0].data = "{".to_owned();
        Operation::Write(unit)
    };
    // More than an entry of an index of PostgreSQL holds.
    let endless = |id, reads: &[(&str, i32)], writes: &[&str]| {
        let Operation::Write(mut unit) = write(id, reads, writes) else { panic!("the operation writes") };
        let name: String = (0..100).map(|at| Uuid::new_v5(&Uuid::nil(), &[at]).simple().to_string()).collect();
        unit.actor = format!("admin:{name}");
        Operation::Write(unit)
    };
    let mut operations: Vec<_> =
        (0..20).map(|id| write(id, &[(&format!("own-{id}"), 0)], &[&format!("own-{id}")])).collect();
    operations.extend([
        write(20, &[("a-1", 0)], &["a-1"]),
        spoilt(21, &[("a-1", 1)], &["a-1"]),
        write(22, &[("a-1", 2)], &["a-1"]),
        Operation::Check {
            command_id: Uuid::from_u128(23),
            scope: "test".to_owned(),
            fingerprint: vec![],
            reads: vec![("own-3".into(), 1)],
        },
        spoilt(24, &[("b-1", 0)], &["b-1"]),
        endless(25, &[("d-1", 0)], &["d-1"]),
        write(26, &[("c-1", 0)], &["c-1"]),
    ]);
    let outcomes = appender.append(&operations).await.expect("the rest is appended");
    for (index, outcome) in outcomes.iter().enumerate() {
        let as_it_should = match index {
            21 | 24 => matches!(outcome, Outcome::InvalidData { reason } if reason.starts_with("22P02")),
            25 => matches!(outcome, Outcome::InvalidData { reason } if reason.starts_with("54000")),
            22 => matches!(outcome, Outcome::Conflict { .. }),
            23 => *outcome == Outcome::Confirmed,
            _ => matches!(outcome, Outcome::Appended { .. }),
        };
        assert!(as_it_should, "{index}: {outcome:?}");
    }
    let events = book.book.read_after(0, 100, &Filter::default()).await.expect("the read succeeds");
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), (1..=22).collect::<Vec<_>>());
    let again = appender.append(&[write(27, &[("a-1", 1)], &["a-1"])]).await.expect("the appender still works");
    assert!(matches!(again[..], [Outcome::Appended { first_position: 23, .. }]), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_every_position_once_and_in_order_beside_eight_writers() {
    const WRITERS: u128 = 8;
    const UNITS: u128 = 60;
    let book = book().await;
    let reader = {
        let book = book.book.clone();
        tokio::spawn(async move {
            let mut follower = book.follow();
            let (mut seen, mut versions) = (0, std::collections::HashMap::<String, i32>::new());
            let wanted = i64::try_from(WRITERS * UNITS * 2).expect("it fits");
            while seen < wanted {
                follower.past(seen).await;
                for event in book.read_after(seen, 50, &Filter::default()).await.expect("the read succeeds") {
                    assert_eq!(event.position, seen + 1, "no gap, no repetition");
                    seen = event.position;
                    let version = versions.entry(event.stream_id).or_default();
                    *version += 1;
                    assert_eq!(event.version, *version, "streams are unbroken");
                }
            }
        })
    };
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let book = book.book.clone();
        // Half of the writers write to the same stream, so they conflict. Each other writer has a stream of its own.
        let stream = if writer % 2 == 0 { "shared-1".to_owned() } else { format!("own-{writer}") };
        writers.push(tokio::spawn(async move {
            let mut appender = book.appender().await.expect("the connection is made");
            let mut version = 0;
            for unit in 0..UNITS {
                let id = writer * 1_000 + unit + 1;
                loop {
                    let operation = write(id, &[(&stream, version)], &[&stream, &stream]);
                    match appender.append(&[operation]).await.expect("the append succeeds").remove(0) {
                        Outcome::Appended { versions, .. } => break version = versions[0].1,
                        Outcome::Conflict { actual } => version = actual[0].1,
                        other => panic!("{other:?}"),
                    }
                }
            }
        }));
    }
    for writer in writers {
        writer.await.expect("no writer fails");
    }
    reader.await.expect("the follower sees every event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_value_is_a_data_error_and_no_other_error_is() {
    let book = book().await;
    let client = book.book.pool().get().await.expect("the connection is made");
    let cases = [
        ("SELECT 1 / 0", true),
        ("SELECT 'x'::int", true),
        ("SELECT 2147483647 + 1", true),
        (r#"SELECT '{"a": "\u0000"}'::jsonb"#, true),
        ("INSERT INTO head SELECT * FROM head", false),
        ("SELECT * FROM nowhere", false),
        ("SELECT FROM", false),
    ];
    for (sql, is_data_error) in cases {
        let error = client.batch_execute(sql).await.expect_err("the statement fails");
        assert_eq!(daybook_event_store::is_data_error(&error), is_data_error, "{sql}: {error:?}");
    }
}
