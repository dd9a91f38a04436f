//! A store that refuses to write: what the sender gets, and what probes see.

use std::time::{Duration, Instant};

use daybook_bus::{Bus, BusMonitor, BusSettings, BusVitals, Clock, CommandError, Submission, clock::new_id};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_test_postgres::database;
use serde_json::{Value, json};
use uuid::Uuid;

/// How long a test waits for what must happen, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(180);

fn submission(name: &str, body: Value) -> Submission {
    let command = Command::deserialize(name, body).expect("there is such a command").expect("the body is right");
    Submission::new(command, new_id(), Actor::Admin("test".to_owned()))
}

/// A UUID of version 4, as callers choose them.
fn id(number: u128) -> Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}

fn cart(number: u128) -> Submission {
    submission("OpenCart", json!({ "cart_id": id(number), "currency": "EUR" }))
}

async fn until(monitor: &BusMonitor, what: &str, is_so: impl Fn(BusVitals) -> bool) {
    let begun = Instant::now();
    loop {
        let vitals = monitor.vitals().expect("the bus runs");
        if is_so(vitals) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {vitals:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_full_disk_is_a_known_outcome_and_the_same_key_works_when_there_is_room_again() {
    let database = database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    let book = Daybook::open(&settings).expect("the URL is right");
    book.migrate().await.expect("the schema can be made");
    let (bus, stopped) = Bus::start(book.clone(), Clock::system(), &BusSettings::default());
    let monitor = bus.monitor();
    bus.execute(cart(1)).await.expect("there is room");
    until(&monitor, "the bus is idle", |vitals| !vitals.busy).await;
    let before = monitor.vitals().expect("the bus runs");
    assert!(before.commits >= 1 && !before.failing, "{before:?}");

    // PostgreSQL says the same when it cannot extend a file.
    let client = database.connect().await;
    let full = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse()";
    client.batch_execute(full).await.expect("the disk is full");
    let head = book.head().await.expect("the book answers").position;
    let second = cart(2);
    // The second command is decided on the cart that the first one opens. Both are in one batch, or in two.
    let line = submission("AbandonCart", json!({ "cart_id": id(2) }));
    let (opened, ended) = tokio::join!(bus.execute(second.clone()), bus.execute(line));
    assert!(matches!(opened, Err(CommandError::NotWritten(ref reason)) if reason.contains("53100")), "{opened:?}");
    assert!(matches!(ended, Err(CommandError::NotWritten(_) | CommandError::Refused { .. })), "{ended:?}");
    assert_eq!(book.head().await.expect("the book answers").position, head, "nothing was written");
    let failing = monitor.vitals().expect("the bus runs");
    assert!(failing.failing && failing.steps > before.steps, "{failing:?} after {before:?}");

    client.batch_execute("DROP TRIGGER refuse ON events").await.expect("there is room again");
    let receipt = bus.execute(second).await.expect("there is room");
    assert!(!receipt.replayed, "the first attempt has written nothing");
    until(&monitor, "a commit has worked", |vitals| !vitals.failing && vitals.commits > before.commits).await;

    // A monitor does not keep the bus.
    drop(bus);
    stopped.await.expect("the bus stops");
    assert_eq!(monitor.vitals(), None);
}
