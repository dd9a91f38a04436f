//! What happens to a command whose output nobody reads, or which stands on a full disk.
#![allow(missing_docs, reason = "tests")]

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    process::{Command, Output, Stdio},
};

use daybook_bus::{Bus, BusSettings, Clock, Submission, clock::new_id};
use daybook_domain::Actor;
use daybook_event_store::{Daybook, StoreSettings};
use daybook_test_postgres::{TestDatabase, database};
use serde_json::json;
use uuid::Uuid;

/// Commands that print something.
const COMMANDS: [&[&str]; 9] = [
    &["events"],
    &["events", "--format", "table"],
    &["config"],
    &["config", "--reactors"],
    &["token", "--role", "admin"],
    &["views", "list"],
    &["reactors", "list", "--json"],
    &["relay", "status"],
    &["migrate"],
];

/// A book with an event.
async fn book() -> TestDatabase {
    let database = database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    let book = Daybook::open(&settings).expect("the URL is valid");
    daybook_operations::migrate(&book).await.expect("the tables can be created");
    let (bus, stopped) = Bus::start(book, Clock::system(), &BusSettings::default());
    let body = json!({ "product_id": Uuid::from_u128(1), "name": "Oat", "variants": [{ "sku": "oat" }] });
    let command =
        daybook_domain::Command::deserialize("CreateProduct", &body).expect("it exists").expect("well formed");
    bus.execute(Submission::new(command, new_id(), Actor::Admin("test".into()))).await.expect("it is accepted");
    drop(bus);
    stopped.await.expect("the bus stops");
    database
}

fn daybook(database: &TestDatabase, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    command
        .args(args)
        .env("DATABASE_URL", database.url())
        .env("DAYBOOK_SECRET", "0123456789abcdef0123456789abcdef")
        .env_remove("KAFKA_BROKERS");
    command
}

fn full() -> File {
    File::options().write(true).open("/dev/full").expect("the device exists")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_cut_off_is_a_failure_and_a_closed_pipe_is_none() {
    let database = book().await;
    for args in COMMANDS {
        let cut = daybook(&database, args).stdout(full()).output().expect("the binary runs");
        let said = errors(&cut);
        assert!(cut.status.code() == Some(1) && said.contains("the output is cut off"), "{args:?}: {said}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let closed = daybook(&database, args).stdout(writer).output().expect("the binary runs");
        let said = errors(&closed);
        assert!(closed.status.code() == Some(0) && !said.contains("panicked"), "{args:?}: {said}");
    }
    let unsaid =
        daybook(&database, &["events"]).stdout(Stdio::null()).stderr(full()).status().expect("the binary runs");
    assert_eq!(unsaid.code(), Some(0));
    let refused =
        daybook(&database, &["events", "--type", "Nothing"]).stderr(full()).status().expect("the binary runs");
    assert_eq!(refused.code(), Some(2), "what is wrong stays wrong, though nobody is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_serves_though_its_lines_are_lost() {
    let database = book().await;
    let serve = ["serve", "--listen", "127.0.0.1:0", "--roles", "query-api", "--kafka-brokers", "127.0.0.1:1"];
    let mut process =
        daybook(&database, &serve).stdout(full()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut log = BufReader::new(process.stderr.take().expect("it is piped"));
    let mut said = String::new();
    while !said.contains("were not printed") {
        assert_ne!(log.read_line(&mut said).expect("it reads"), 0, "it has ended: {said}");
    }
    let pid = process.id().to_string();
    assert!(Command::new("kill").arg(pid).status().expect("kill runs").success());
    log.read_to_string(&mut said).expect("it reads");
    assert_eq!(process.wait().expect("it ends").code(), Some(0), "{said}");
}
