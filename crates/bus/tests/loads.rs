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
use daybook_test_postgres::database;
use serde_json::{Value, json};

/// A book that counts the streams that are loaded from it.
#[derive(Clone)]
struct CountingBook {
    book: Daybook,
    loaded: Arc<AtomicUsize>,
}

impl Store for CountingBook {
    type Session = PostgresSession;

    async fn appender(&self) -> Result<Appender<PostgresSession>, StoreError> {
        self.book.appender().await
    }

    async fn load_streams(&self, streams: &[Arc<str>], fold_version: i16) -> Result<Vec<LoadedStream>, StoreError> {
        self.loaded.fetch_add(streams.len(), Ordering::Relaxed);
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

/// Sends a guest's `AddLines` of so many SKUs, for a cart that does not exist. Returns the code of the refusal and the number of
/// streams that were loaded.
async fn add_lines(count: usize) -> (&'static str, usize) {
    let database = database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    let book = Daybook::open(&settings).expect("the URL is right");
    book.migrate().await.expect("the schema can be made");
    let loaded = Arc::new(AtomicUsize::new(0));
    let counting = CountingBook { book, loaded: Arc::clone(&loaded) };
    let (bus, _) = Bus::start(counting, Clock::system(), &BusSettings::default());
    let lines: Vec<Value> = (0..count).map(|number| json!({ "sku": format!("s{number}"), "quantity": 1 })).collect();
    let body = json!({ "cart_id": new_id(), "lines": lines });
    let command = Command::deserialize("AddLines", body).expect("there is such a command").expect("the body is right");
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
