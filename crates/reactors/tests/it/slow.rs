//! A reaction that has no answer holds up no other reaction, and keeps nothing beyond its lease.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use daybook_event_store::{
    Appender, Daybook, Filter, LoadedStream, PostgresSession, RecordedEvent, Snapshot, Store, StoreError,
};
use daybook_reactors::{ALL, ReactorSettings};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{send_to, until, world};

/// A book that never answers when one stream is loaded.
#[derive(Clone)]
struct SlowBook {
    book: Daybook,
    slow: Arc<str>,
}

impl Store for SlowBook {
    type Session = PostgresSession;

    async fn appender(&self) -> Result<Appender, StoreError> {
        self.book.appender().await
    }

    async fn load_streams(&self, streams: &[Arc<str>], fold_version: i16) -> Result<Vec<LoadedStream>, StoreError> {
        if streams.contains(&self.slow) {
            std::future::pending::<()>().await;
        }
        self.book.load_streams(streams, fold_version).await
    }

    async fn load_after(&self, streams: &[(Arc<str>, i32)]) -> Result<Vec<LoadedStream>, StoreError> {
        self.book.load_after(streams).await
    }

    async fn save_snapshot(&self, stream: &str, fold_version: i16, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.book.save_snapshot(stream, fold_version, snapshot).await
    }

    async fn read_after(&self, after: i64, limit: usize, filter: &Filter) -> Result<Vec<RecordedEvent>, StoreError> {
        self.book.read_after(after, limit, filter).await
    }
}

fn cart(number: u128) -> Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}

fn open(number: u128) -> Value {
    json!({ "cart_id": cart(number), "currency": "EUR" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_without_an_answer_holds_up_no_other() {
    let world = world().await;
    let slow = SlowBook { book: world.book.clone(), slow: format!("cart-{}", cart(1)).into() };
    let bus = world.bus_on(slow);
    let _running = world.reactors_on(&bus).await;
    world.given("OpenCart", open(1)).await;
    // This bus has these carts in memory, so their commands do not wait for the load of the first one.
    send_to(&bus, "OpenCart", open(2)).await.expect("it is opened");
    until("both are known", async || world.waiting().await == 2).await;
    world.pass(TimeDelta::days(3));
    send_to(&bus, "OpenCart", open(3)).await.expect("it is opened");
    until("all are known", async || world.waiting().await == 3).await;
    world.pass(TimeDelta::days(4));
    let left = "SELECT count(*) FROM reactions WHERE key = $$00000000-0000-4000-8000-000000000002$$";
    until("the second one is ended, and its row is gone", async || world.ask::<i64>(left).await == 0).await;
    world.pass(TimeDelta::days(3));
    until("the third one is done meanwhile", async || world.waiting().await == 1).await;
    assert_eq!(world.events("cart.CartExpired").await.len(), 2);
    assert_eq!(world.ask::<String>("SELECT key FROM reactions").await, cart(1).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_without_an_answer_is_sent_again_after_its_lease() {
    let world = world().await;
    // What is sent to this bus waits for ever.
    let (stuck, _work) = world.idle_bus();
    let settings = ReactorSettings { lease: Duration::from_millis(20), ..ReactorSettings::default() };
    let first = world.process_with(&stuck, &ALL, settings).await;
    world.given("OpenCart", open(1)).await;
    until("its timer is set", async || world.waiting().await == 1).await;
    world.pass(TimeDelta::days(7));
    let attempts = async || world.ask::<i32>("SELECT attempts FROM reactions").await;
    until("it is claimed", async || attempts().await == 1).await;
    world.pass(TimeDelta::seconds(1));
    until("it is claimed once more", async || attempts().await == 2).await;
    assert!(world.ask::<bool>("SELECT failure IS NULL FROM reactions").await, "its outcome is unknown");
    first.stop().await;
    let _second = world.reactors().await;
    world.pass(TimeDelta::seconds(1));
    until("it is done", async || world.events("cart.CartExpired").await.len() == 1 && world.waiting().await == 0).await;
}
