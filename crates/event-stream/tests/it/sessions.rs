//! A consumer in a process of its own, which is killed or stopped by a signal. Its session expires, and other processes take its
//! partitions over. It commits nothing to partitions that it has lost.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
};

use daybook_event_store::{Daybook, StoreSettings};
use daybook_event_stream::KafkaSettings;
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{PARTITIONS, fetch_wait, security, topology},
    ledger::{Ledger, consume},
    world::{World, until, world},
};

const DATABASE: &str = "DAYBOOK_TEST_DATABASE";
const BROKERS: &str = "DAYBOOK_TEST_BROKERS";
const PREFIX: &str = "DAYBOOK_TEST_PREFIX";

/// The process. It ends with the test that has started it, since its standard input ends then.
#[tokio::test]
#[ignore = "other tests run it as a process of its own"]
async fn a_process_that_consumes() {
    let (Ok(database_url), Ok(brokers), Ok(prefix)) =
        (std::env::var(DATABASE), std::env::var(BROKERS), std::env::var(PREFIX))
    else {
        return;
    };
    std::thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        std::process::exit(0);
    });
    let book = Daybook::open(&StoreSettings { database_url, max_connections: 4 }).expect("the URL is one");
    let kafka = KafkaSettings {
        brokers,
        topology: topology(prefix, PARTITIONS),
        replication: 1,
        fetch_wait: fetch_wait(),
        security: security(),
        group_suffix: None,
    };
    let effect = Ledger { writer: "the process", ..Ledger::default() };
    consume(&book, &kafka, effect, &CancellationToken::new()).await;
}

struct Process(Child);

impl Process {
    fn that_consumes(world: &World) -> Self {
        let child = Command::new(std::env::current_exe().expect("this program has a name"))
            .args(["--ignored", "--exact", "sessions::a_process_that_consumes"])
            .env(DATABASE, world.database.url())
            .env(BROKERS, &world.kafka.brokers)
            .env(PREFIX, &world.kafka.topology.prefix)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("a process starts"))
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status().expect("a program");
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Appends events until a process has written some of them.
async fn until_writes(world: &World, writer: &str) {
    let before = world.book.head().await.expect("the database answers").position;
    until(&format!("{writer} writes"), async || {
        world.append_many(20).await;
        world.ledger().await.iter().any(|entry| entry.position > before && entry.writer == writer)
    })
    .await;
}

/// Asserts that every event is in the ledger, also those of partitions that another process had.
async fn assert_whole(world: &World) {
    let head = world.append_many(200).await;
    world.ledger_has(usize::try_from(head).expect("a small number")).await;
    world.assert_ledger_is_whole().await;
}

#[tokio::test]
async fn the_partitions_of_a_killed_process_are_taken_over_when_its_session_expires() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    let process = Process::that_consumes(&world);
    until_writes(&world, "the process").await;
    let consumer = world.consume(&Ledger { writer: "the other", ..Ledger::default() });
    until_writes(&world, "the other").await;
    until_writes(&world, "the process").await;
    process.signal("-KILL");
    assert_whole(&world).await;
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_process_whose_session_expired_while_it_was_stopped_commits_nothing_and_joins_again() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    let process = Process::that_consumes(&world);
    until_writes(&world, "the process").await;
    process.signal("-STOP");
    let consumer = world.consume(&Ledger { writer: "the other", ..Ledger::default() });
    // The other process gets all partitions when the session of the stopped one has expired.
    assert_whole(&world).await;
    process.signal("-CONT");
    until_writes(&world, "the process").await;
    assert_whole(&world).await;
    consumer.stop().await;
    relay.stop().await;
}
