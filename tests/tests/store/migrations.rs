//! Migrations beside traffic and beside programs of other versions.

use std::time::Duration;

use daybook_event_store::{MigrationSet, StoreError};
use refinery::{Migration, Runner};

use super::book;

const TABLE: &str = "test_migrations";

fn runner(files: &[(&str, &str)]) -> Runner {
    let all = files.iter().map(|(name, sql)| Migration::unapplied(name, sql).expect("a migration"));
    Runner::new(&all.collect::<Vec<_>>())
}

fn first() -> Runner {
    runner(&[("V1__made", "-- oldest: 1\nCREATE TABLE made ()")])
}

fn second() -> Runner {
    runner(&[
        ("V1__made", "-- oldest: 1\nCREATE TABLE made ()"),
        ("V3__grown", "-- oldest: 1\nALTER TABLE made ADD x integer"),
    ])
}

fn late() -> Runner {
    runner(&[("V1__made", "-- oldest: 1\nCREATE TABLE made ()"), ("V2__late", "ALTER TABLE made ADD y integer")])
}

/// Waits until the migration waits for the table, or does not.
async fn until_waiting(book: &super::Book, waits: bool) {
    let client = book.book.connect().await.expect("a connection");
    let sql = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'made'::regclass AND NOT granted)";
    for _ in 0..6_000 {
        if client.query_one(sql, &[]).await.expect("an answer").get::<_, bool>(0) == waits {
            return;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    panic!("the migration waits: {}", !waits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_a_table_lets_others_go_first() {
    let book = book().await;
    let set = |runner| MigrationSet { table: TABLE, runner };
    book.book.migrate_with(&set(first)).await.expect("the first migration");
    let mut busy = book.book.connect().await.expect("a connection");
    let reading = busy.transaction().await.expect("a transaction");
    reading.query("SELECT FROM made", &[]).await.expect("an answer");
    let migrating = {
        let book = book.book.clone();
        tokio::spawn(async move { book.migrate_with(&set(second)).await })
    };
    // It waits, and gives up its place in the queue of the table while the reader is still there.
    for waits in [true, false] {
        until_waiting(&book, waits).await;
    }
    assert!(!migrating.is_finished());
    reading.commit().await.expect("the reader is done");
    migrating.await.expect("the task ends").expect("the migration is applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_program_leaves_newer_migrations_and_a_forgotten_one_is_named() {
    let book = book().await;
    let set = |runner| MigrationSet { table: TABLE, runner };
    book.book.migrate_with(&set(second)).await.expect("the newer program");
    book.book.migrate_with(&set(first)).await.expect("the older one has nothing to do");
    let refused = book.book.migrate_with(&set(late)).await.expect_err("a later one was applied before");
    assert!(matches!(refused, StoreError::OutOfOrder { version: 2, .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_commands_is_append_only() {
    let book = book().await;
    let client = book.book.connect().await.expect("a connection");
    for sql in ["DELETE FROM commands", "UPDATE commands SET events = 0", "TRUNCATE commands"] {
        let refused = client.batch_execute(sql).await.expect_err("the book is written once");
        assert!(daybook_event_store::chain(&refused).contains("the book is append-only"), "{refused}");
    }
}
