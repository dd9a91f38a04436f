//! Every role of the engine as its own database user, with the rights of `deploy/database/roles.sql`.

use std::{fs, path::Path};

use daybook_test_postgres::{ServerSettings, TestServer};
use daybook_tests::{
    directory,
    engine::{Engine, broker, done, product, until},
};

use serde_json::json;
use tokio_postgres::{Client, NoTls, error::SqlState};

async fn sql(server: &TestServer, user: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(&server.url(user, "shop"), NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

/// Runs the script as psql does.
async fn make_roles(server: &TestServer) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/database/roles.sql");
    let script = fs::read_to_string(file).expect("the script is there");
    let statements: Vec<_> = script.lines().filter(|line| !line.starts_with('\\')).collect();
    let client = sql(server, "postgres").await;
    client.batch_execute(&statements.join("\n")).await.unwrap_or_else(|error| panic!("roles.sql: {error:?}"));
}

/// What each role must not do.
const FORBIDDEN: &[(&str, &str)] = &[
    ("daybook_command", "DELETE FROM events"),
    ("daybook_command", "UPDATE commands SET events = 0"),
    ("daybook_command", "SELECT * FROM read.stock"),
    ("daybook_command", "UPDATE relay SET position = 0"),
    ("daybook_command", "CREATE TABLE mine ()"),
    ("daybook_relay", "INSERT INTO commands VALUES (gen_random_uuid(), '', 1, 1)"),
    ("daybook_relay", "UPDATE head SET position = 0"),
    ("daybook_project", "UPDATE head SET position = 0"),
    ("daybook_project", "UPDATE relay SET position = 0"),
    ("daybook_project", "DELETE FROM reactions"),
    ("daybook_query", "SELECT * FROM commands"),
    ("daybook_query", "SELECT * FROM reactions"),
    ("daybook_react", "UPDATE views SET version = 0"),
    ("daybook_react", "DROP TABLE reactions"),
    ("daybook_analyst", "SELECT * FROM public.events"),
    ("daybook_monitor", "SELECT * FROM public.events"),
    ("daybook_backup", "SELECT * FROM commands"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_role_runs_as_its_own_user_and_may_do_no_more() {
    let directory = directory();
    let server = TestServer::start(ServerSettings::on_a_port().0).await;
    let (admin, connection) =
        tokio_postgres::connect(&server.url("postgres", "postgres"), NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    admin.batch_execute("CREATE DATABASE shop").await.expect("a database");
    make_roles(&server).await;
    let migrate = server.url("daybook_migrate", "shop");
    done(&["migrate"], &[("DATABASE_URL", &migrate)]);
    make_roles(&server).await;
    done(&["migrate"], &[("DATABASE_URL", &migrate)]);

    let broker = broker().await;
    let brokers = broker.bootstrap_servers();
    let as_user = |role: &str, user: &str, more: &[(&str, &str)]| {
        let url = server.url(user, "shop");
        let own = [("DATABASE_URL", url.as_str()), ("KAFKA_BROKERS", brokers)];
        Engine::start(directory.path(), role, &[&own, more].concat())
    };
    let _relay = as_user("relay", "daybook_relay", &[]);
    let projectors = as_user("projectors", "daybook_project", &[]);
    let reactors = as_user("reactors", "daybook_react", &[]);
    let commands = as_user("command-api", "daybook_command", &[]);
    let queries = as_user("query-api", "daybook_query", &[("DAYBOOK_COMMAND_URL", &commands.url)]);

    commands.accepted("CreateProduct", &product(1)).await;
    let position = commands.accepted("ReceiveStock", &json!({ "sku": "sku-1", "quantity": 5 })).await;
    let stock = "{ stock(sku: \"sku-1\", minPosition: POSITION) { location onHand } }";
    let shown = queries.query(stock, position).await;
    assert_eq!(shown["stock"][0]["onHand"], 5, "{shown}");
    for engine in [&projectors, &reactors, &commands, &queries] {
        until("a ready process", async || engine.send("GET", "/readyz", &json!(null)).await.0 == 200).await;
    }

    // A rebuild makes the views of the schema `read` again, and query-api may still read them.
    done(&["views", "rebuild", "stock"], &[("DATABASE_URL", &server.url("daybook_project", "shop"))]);
    let position = commands.accepted("ReceiveStock", &json!({ "sku": "sku-1", "quantity": 2 })).await;
    assert_eq!(queries.query(stock, position).await["stock"][0]["onHand"], 7);
    make_roles(&server).await;

    for (user, forbidden) in FORBIDDEN {
        let refused = sql(&server, user).await.batch_execute(forbidden).await.expect_err(forbidden);
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{user}: {forbidden}: {refused:?}");
    }
    let writes = sql(&server, "daybook_query").await.batch_execute("UPDATE head SET position = 0").await;
    let code = writes.expect_err("query-api only reads").code().cloned();
    assert!(
        code == Some(SqlState::READ_ONLY_SQL_TRANSACTION) || code == Some(SqlState::INSUFFICIENT_PRIVILEGE),
        "{code:?}"
    );

    // Every connection says whose it is.
    queries.query(stock, position).await;
    let names = "SELECT DISTINCT usename || ' ' || split_part(application_name, '/', 2) FROM pg_stat_activity
                 WHERE application_name LIKE 'daybook/%' ORDER BY 1";
    let rows = admin.query(names, &[]).await.expect("an answer");
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let expected = [
        "daybook_command command-api",
        "daybook_project projectors",
        "daybook_query query-api",
        "daybook_react reactors",
        "daybook_relay relay",
    ];
    assert_eq!(found, expected);
}
