//! The limits of connections: what a process may use, what happens when it is used up, and what is left behind.

use std::time::Duration;

use daybook_event_store::{Connector, Daybook, PoolSettings, SessionLimits, StoreError, is_unavailable};
use daybook_test_postgres::{ServerSettings, TestServer, database};
use daybook_tests::{
    directory,
    engine::{done, refused, until},
};

use tokio_postgres::NoTls;

fn book(url: &str, pool: &PoolSettings) -> Daybook {
    Daybook::over(Connector::new(url, "daybook/test/pools").expect("the URL is right"), pool).expect("a pool")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_waits_for_a_connection_only_so_long() {
    let database = database().await;
    let pool = PoolSettings { wait: Some(Duration::from_millis(50)), ..PoolSettings::of(1) };
    let book = book(database.url(), &pool);
    let held = book.pool().get().await.expect("a connection");
    let refused = book.head().await.expect_err("no connection is free");
    assert!(matches!(refused, StoreError::Pool(_)) && is_unavailable(&refused), "{refused}");
    drop(held);
    assert!(book.pool().get().await.is_ok(), "it is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_at_its_limit_and_says_so() {
    let database = database().await;
    let limits = SessionLimits { statement: Some(Duration::from_millis(100)), lock: Some(Duration::from_millis(100)) };
    let book = book(database.url(), &PoolSettings { limits, ..PoolSettings::of(2) });
    let client = book.pool().get().await.expect("a connection");
    let refused = client.batch_execute("SELECT pg_sleep(100)").await.expect_err("it takes too long");
    assert!(refused.code().is_some_and(|code| code.code() == "57014") && is_unavailable(&refused), "{refused:?}");
    let name: String =
        client.query_one("SELECT current_setting('application_name')", &[]).await.expect("a name").get(0);
    assert_eq!(name, "daybook/test/pools");
    // A connection of its own, as a rebuild uses it, has no limit.
    let own = book.connect().await.expect("a connection");
    let limit: String = own.query_one("SHOW statement_timeout", &[]).await.expect("a limit").get(0);
    assert_eq!(limit, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_a_standby_cancels_may_be_asked_again() {
    let database = database().await;
    let client = database.connect().await;
    // The codes of a conflict with recovery, and of a deadlock.
    for code in ["40001", "40P01"] {
        let raised =
            format!("DO $$ BEGIN RAISE 'canceling statement due to conflict' USING ERRCODE = '{code}'; END $$");
        let refused = client.batch_execute(&raised).await.expect_err("it is raised");
        assert!(is_unavailable(&refused), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_with_its_caller() {
    let database = database().await;
    let book = book(database.url(), &PoolSettings::of(1));
    let asking = {
        let book = book.clone();
        tokio::spawn(async move {
            let guard = book.cancelled_on_drop().await.expect("a connection");
            guard.client().batch_execute("SELECT pg_sleep(1000)").await.expect_err("it is cancelled");
        })
    };
    let watching = database.connect().await;
    let sleeping = async || {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(1000)%' AND state = 'active'";
        watching.query_one(sql, &[]).await.expect("an answer").get::<_, i64>(0)
    };
    until("the statement", async || sleeping().await == 1).await;
    asking.abort();
    until("the end of the statement", async || sleeping().await == 0).await;
    // The pool has room for a new connection.
    let _connection = book.pool().get().await.expect("a connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_not_used_are_closed() {
    let database = database().await;
    let book = book(database.url(), &PoolSettings { idle: Duration::from_millis(100), ..PoolSettings::of(4) });
    let clients = futures::future::join_all((0..4).map(|_| book.pool().get())).await;
    assert_eq!(book.pool().status().size, 4);
    drop(clients);
    let watching = database.connect().await;
    until("the end of the connections", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE application_name = 'daybook/test/pools' AND datname = current_database()";
        watching.query_one(sql, &[]).await.expect("an answer").get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_the_server_has_no_room_for_does_not_start() {
    let (mut settings, _) = ServerSettings::on_a_port();
    settings.settings.push("max_connections=30".to_owned());
    let server = TestServer::start(settings).await;
    let directory = directory();
    let (admin, connection) =
        tokio_postgres::connect(&server.url("postgres", "postgres"), NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    admin.batch_execute("CREATE DATABASE shop").await.expect("a database");
    let url = server.url("postgres", "shop");
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
        ("DAYBOOK_SECRET", daybook_tests::engine::SECRET),
    ];
    let serve = |more: &[&str]| refused(&[&["serve", "--listen", "127.0.0.1:0"], more].concat(), &variables);
    // `serve` never migrates.
    let said = serve(&["--roles", "query-api"]);
    assert!(said.contains("run `daybook migrate` first"), "{said}");
    let made: i64 = admin
        .query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[])
        .await
        .expect("an answer")
        .get(0);
    assert_eq!(made, 0);
    done(&["migrate"], &variables);
    let said = serve(&["--roles", "query-api,command-api"]);
    assert!(said.contains("may use 26 connections") && said.contains("max_connections"), "{said}");
    let said = serve(&["--roles", "relay", "--db-connections", "relay=1"]);
    assert!(said.contains("--db-connections: relay needs at least 4 connections"), "{said}");
    drop(directory);
}
