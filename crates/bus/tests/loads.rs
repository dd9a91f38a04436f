//! How much a command may have the bus load.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use daybook_bus::{Bus, BusSettings, Clock, CommandError, Submission, clock::new_id};
use daybook_domain::{
    Actor, Command, MAX_STREAMS,
    cart::policy::{MAX_LINES, MAX_NEW_LINES},
};
use daybook_event_store::{
    Appender, Daybook, Filter, LoadedStream, PostgresSession, RecordedEvent, Snapshot, Store, StoreError, StoreSettings,
};
use daybook_test_postgres::{TestDatabase, database};
use serde_json::{Value, json};

/// A book that counts the streams and the events that are loaded from it.
#[derive(Clone)]
struct CountingBook {
    book: Daybook,
    loaded: Arc<AtomicUsize>,
    events: Arc<AtomicUsize>,
}

impl CountingBook {
    fn count(&self, loaded: &[LoadedStream]) {
        self.loaded.fetch_add(loaded.len(), Ordering::Relaxed);
        let events: usize = loaded.iter().map(|stream| stream.events.len()).sum();
        self.events.fetch_add(events, Ordering::Relaxed);
    }
}

impl Store for CountingBook {
    type Session = PostgresSession;

    async fn appender(&self) -> Result<Appender<PostgresSession>, StoreError> {
        self.book.appender().await
    }

    async fn load_streams(&self, streams: &[Arc<str>], fold_version: i16) -> Result<Vec<LoadedStream>, StoreError> {
        let loaded = self.book.load_streams(streams, fold_version).await?;
        self.count(&loaded);
        Ok(loaded)
    }

    async fn load_after(&self, streams: &[(Arc<str>, i32)]) -> Result<Vec<LoadedStream>, StoreError> {
        let loaded = self.book.load_after(streams).await?;
        self.count(&loaded);
        Ok(loaded)
    }

    async fn save_snapshot(&self, stream: &str, fold_version: i16, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.book.save_snapshot(stream, fold_version, snapshot).await
    }

    async fn read_after(&self, after: i64, limit: usize, filter: &Filter) -> Result<Vec<RecordedEvent>, StoreError> {
        self.book.read_after(after, limit, filter).await
    }
}

/// A book, and the database that it is in.
async fn book() -> (CountingBook, TestDatabase) {
    let database = database().await;
    let book = open(&database);
    book.migrate().await.expect("the schema can be made");
    (CountingBook { book, loaded: Arc::default(), events: Arc::default() }, database)
}

fn open(database: &TestDatabase) -> Daybook {
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    Daybook::open(&settings).expect("the URL is right")
}

fn command(name: &str, body: Value) -> Command {
    Command::deserialize(name, body).expect("there is such a command").expect("the body is right")
}

/// Sends a guest's `AddLines` of so many SKUs, for a cart that does not exist. Returns the code of the refusal and the number of
/// streams that were loaded.
async fn add_lines(count: usize) -> (&'static str, usize) {
    let (book, _database) = book().await;
    let loaded = Arc::clone(&book.loaded);
    let (bus, _) = Bus::start(book, Clock::system(), &BusSettings::default());
    let lines: Vec<Value> = (0..count).map(|number| json!({ "sku": format!("s{number}"), "quantity": 1 })).collect();
    let command = command("AddLines", json!({ "cart_id": new_id(), "lines": lines }));
    let outcome = bus.execute(Submission::new(command, new_id(), Actor::Guest)).await;
    let Err(CommandError::Refused { refusal, .. }) = outcome else { panic!("{outcome:?}") };
    (refusal.code(), loaded.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_guest_who_adds_twenty_thousand_lines_is_refused_after_one_stream_is_loaded() {
    assert_eq!(add_lines(20_000).await, ("too_many_new_lines", 1), "only the cart is loaded, whose owner is checked");
    assert_eq!(
        add_lines(MAX_NEW_LINES).await,
        ("too_many_lines", 1),
        "so it is where the SKUs are too many for a cart"
    );
}

#[tokio::test]
async fn the_largest_command_loads_what_it_is_known_to_read_at_once_and_no_more_than_the_limit() {
    let (code, loaded) = add_lines(MAX_LINES).await;
    assert_eq!((code, loaded), ("cart_not_found", 1 + MAX_LINES));
    assert!(loaded <= MAX_STREAMS);
}

#[tokio::test]
async fn after_a_conflict_only_what_is_new_is_loaded() {
    let (book, database) = book().await;
    let events = Arc::clone(&book.events);
    let (one, _) = Bus::start(book, Clock::system(), &BusSettings::default());
    let (other, _) = Bus::start(open(&database), Clock::system(), &BusSettings::default());
    let send = async |bus: &Bus, name: &str, body: Value| {
        let sent = Submission::new(command(name, body), new_id(), Actor::Admin("test".into()));
        bus.execute(sent).await.expect("it is accepted")
    };
    let price = |units: i64| json!({ "sku": "oat", "price": { "minor_units": units, "currency": "EUR" } });
    let product = json!({ "product_id": new_id(), "name": "Oat", "variants": [{ "sku": "oat" }], "publish": true });
    send(&one, "CreateProduct", product).await;
    for units in 1..=100 {
        send(&one, "SetPrice", price(units)).await;
    }
    // The other process changes the price, so what this one has in memory is stale.
    for round in 0..20_i64 {
        send(&other, "SetPrice", price(1_000 + 2 * round)).await;
        events.store(0, Ordering::Relaxed);
        send(&one, "SetPrice", price(1_001 + 2 * round)).await;
        let loaded = events.load(Ordering::Relaxed);
        if round > 0 {
            assert!((1..=2).contains(&loaded), "round {round}: {loaded} events were loaded");
        }
    }
    assert_eq!(one.conflicts(), 20);
}

#[tokio::test]
async fn a_stream_that_was_only_read_goes_on_from_the_cache() {
    let (book, database) = book().await;
    let events = Arc::clone(&book.events);
    let (one, _) = Bus::start(book, Clock::system(), &BusSettings::default());
    let (other, _) = Bus::start(open(&database), Clock::system(), &BusSettings::default());
    let admin = || Actor::Admin("test".into());
    let send = async |bus: &Bus, name: &str, body: Value| {
        bus.execute(Submission::new(command(name, body), new_id(), admin())).await.expect("it is accepted")
    };
    let price = |units: i64| json!({ "sku": "oat", "price": { "minor_units": units, "currency": "EUR" } });
    let product = json!({ "product_id": new_id(), "name": "Oat", "variants": [{ "sku": "oat" }], "publish": true });
    send(&one, "CreateProduct", product).await;
    for units in 1..=50 {
        send(&one, "SetPrice", price(units)).await;
    }
    let cart = new_id();
    send(&one, "OpenCart", json!({ "cart_id": cart, "currency": "EUR" })).await;
    send(&other, "SetPrice", price(60)).await;
    events.store(0, Ordering::Relaxed);
    // It reads the price, which it does not write.
    send(&one, "AddLine", json!({ "cart_id": cart, "sku": "oat", "quantity": 1 })).await;
    let loaded = events.load(Ordering::Relaxed);
    assert!(loaded <= 3, "{loaded} events were loaded: the new price, the cart, and the product at most");
}
