//! Programs of several versions on one schema: `serve` never migrates, a newer schema is fine, and an upgrade can be undone.
#![allow(missing_docs, reason = "tests")]

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use daybook_event_store::{Connector, Daybook, PoolSettings};
use daybook_test_postgres::{TestDatabase, database};

async fn migrated() -> TestDatabase {
    let database = database().await;
    let connector = Connector::new(database.url(), "daybook/test").expect("the URL is valid");
    let book = Daybook::over(connector, &PoolSettings::of(2)).expect("a pool");
    daybook_operations::migrate(&book).await.expect("the tables can be created");
    database
}

/// What a query-api says that starts on a database: its ready line, or why it does not start.
fn serve(database: &TestDatabase) -> Result<String, String> {
    let mut process = Command::new(env!("CARGO_BIN_EXE_daybook"))
        .args(["serve", "--listen", "127.0.0.1:0", "--roles", "query-api"])
        .env("DATABASE_URL", database.url())
        .env("KAFKA_BROKERS", "127.0.0.1:1")
        .env("DAYBOOK_SECRET", "0123456789abcdef0123456789abcdef")
        .env("RUST_LOG", "off")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(process.stdout.take().expect("the output is piped")).lines();
    let ready = lines.find_map(|line| {
        let line = line.expect("the output is text");
        line.starts_with("daybook is ready on ").then_some(line)
    });
    let Some(ready) = ready else {
        let mut why = String::new();
        process.stderr.take().expect("it is piped").read_to_string(&mut why).expect("the output is text");
        assert!(!process.wait().expect("the process ends").success());
        return Err(why);
    };
    process.kill().expect("the process runs");
    process.wait().expect("the process ends");
    Ok(ready)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_without_what_the_program_needs_is_refused() {
    let empty = database().await;
    let refused = serve(&empty).expect_err("there is no schema");
    assert!(refused.contains("the database has no schema of Daybook; run `daybook migrate` first"), "{refused}");
    let client = empty.connect().await;
    let tables = client.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[]).await;
    assert_eq!(tables.expect("an answer").get::<_, i64>(0), 0, "`serve` makes nothing");

    let old = migrated().await;
    old.connect().await.execute("DELETE FROM daybook_reactor_migrations", &[]).await.expect("a row");
    let refused = serve(&old).expect_err("a migration is missing");
    assert!(refused.contains("the schema is too old for this program: the migration 202611281200"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_starts_after_a_newer_one_has_migrated() {
    let database = migrated().await;
    let client = database.connect().await;
    let newer = "INSERT INTO daybook_migrations (version, name, applied_on, checksum)
                 VALUES (209901010000, 'refunds', '2099-01-01T00:00:00Z', '1');
                 UPDATE schema_state SET version = 209901010000";
    client.batch_execute(newer).await.expect("a newer program has migrated");
    serve(&database).expect("the schema still serves this program");
    let again = Command::new(env!("CARGO_BIN_EXE_daybook")).arg("migrate").env("DATABASE_URL", database.url()).output();
    let again = again.expect("the binary runs");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert!(String::from_utf8_lossy(&again.stdout).contains("the schema is at 209901010000"));

    client.batch_execute("UPDATE schema_state SET oldest_program = 209901010000").await.expect("it is contracted");
    let refused = serve(&database).expect_err("the schema serves newer programs only");
    assert!(refused.contains("the schema is too new for this program"), "{refused}");
}
