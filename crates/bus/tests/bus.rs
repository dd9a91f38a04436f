//! The bus on a real PostgreSQL: alone, beside another bus on the same book, and with a full queue.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use daybook_bus::{Bus, BusSettings, Clock, CommandError, Receipt, Submission, clock::new_id};
use daybook_domain::{Actor, Command, State, inventory};
use daybook_event_store::{AppendUnit, Daybook, Filter, NewEvent, Operation, Outcome, StoreSettings};
use daybook_test_postgres::{TestDatabase, database};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

/// A book, and its database.
struct World {
    database: TestDatabase,
    book: Daybook,
}

async fn world() -> World {
    let database = database().await;
    let book = open(&database);
    book.migrate().await.expect("the schema can be made");
    World { database, book }
}

fn open(database: &TestDatabase) -> Daybook {
    let database_url = database.url().to_owned();
    Daybook::open(&StoreSettings { database_url, max_connections: 4 }).expect("the URL is right")
}

impl World {
    /// A bus with connections of its own. To the book it is another process.
    fn process(&self, settings: &BusSettings) -> Bus {
        Bus::start(open(&self.database), Clock::system(), settings).0
    }

    fn bus(&self) -> Bus {
        self.process(&BusSettings::default())
    }

    /// Writes an event of an unknown type, as a later version of this program might.
    async fn write_unreadable(&self, stream: &str) {
        let stream_id: Arc<str> = stream.into();
        let event = NewEvent {
            stream_id: Arc::clone(&stream_id),
            event_type: "Teleported".into(),
            schema_version: 1,
            event_id: new_id(),
            effective_at: None,
            key_id: None,
            data: "{}".to_owned(),
        };
        let unit = AppendUnit {
            command_id: new_id(),
            fingerprint: vec![],
            reads: vec![(stream_id, 0)],
            events: vec![event],
            correlation_id: new_id(),
            causation_id: new_id(),
            actor: "admin:test".to_owned(),
            trace: None,
        };
        let mut appender = self.book.appender().await.expect("a connection");
        let outcomes = appender.append(&[Operation::Write(unit)]).await.expect("it is appended");
        assert!(matches!(outcomes[..], [Outcome::Appended { .. }]), "{outcomes:?}");
    }

    async fn events(&self) -> usize {
        self.book.read_after(0, 1_000_000, &Filter::default()).await.expect("it reads").len()
    }
}

fn submission(name: &str, body: Value) -> Submission {
    let command = Command::deserialize(name, body).expect("there is such a command").expect("the body is right");
    Submission::new(command, new_id(), Actor::Admin("test".to_owned()))
}

async fn send(bus: &Bus, name: &str, body: Value) -> Result<Receipt, CommandError> {
    bus.execute(submission(name, body)).await
}

async fn stock_up(bus: &Bus, units: i64) {
    let product =
        json!({ "product_id": Uuid::from_u128(1), "name": "Oat", "variants": [{ "sku": "oat" }], "publish": true });
    send(bus, "CreateProduct", product).await.expect("a product");
    let price = json!({ "sku": "oat", "price": { "minor_units": 199, "currency": "EUR" } });
    send(bus, "SetPrice", price).await.expect("a price");
    send(bus, "ReceiveStock", json!({ "sku": "oat", "quantity": units })).await.expect("goods");
}

fn reservation(number: u128) -> Value {
    let id = Uuid::from_u128(number);
    json!({ "sku": "oat", "reservation_id": id, "owner": format!("buyer:{id}"), "quantity": 1 })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_sell_the_same_sku_never_oversell() {
    let world = world().await;
    let buses = [world.bus(), world.bus()];
    stock_up(&buses[0], 52).await;
    for (bus, number) in buses.iter().zip(1_000..) {
        // Neither process knows the reservations of the other.
        send(bus, "ReserveStock", reservation(number)).await.expect("enough units are available");
    }
    let mut buyers = JoinSet::new();
    for number in 0..160 {
        let bus = buses[number % 2].clone();
        buyers.spawn(async move { send(&bus, "ReserveStock", reservation(number as u128)).await });
    }
    let mut positions = BTreeSet::new();
    let mut refused = 0;
    while let Some(outcome) = buyers.join_next().await {
        match outcome.expect("no panic") {
            Ok(receipt) => assert!(positions.insert(receipt.position), "each position belongs to one buyer"),
            Err(CommandError::Refused { refusal, pointer }) => {
                assert_eq!((refusal.code(), &refusal.data()["available"]), ("insufficient_stock", &json!(0)));
                assert_eq!(pointer.as_deref(), Some("/quantity"));
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((positions.len(), refused), (50, 110));
    assert!(
        buses.iter().any(|bus| bus.conflicts() > 0),
        "the processes had conflicts; without any, this test shows nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_order_the_same_cart_make_one_order() {
    let world = world().await;
    let buses = [world.bus(), world.bus()];
    stock_up(&buses[0], 1_000).await;
    for round in 0..20_u128 {
        let cart = Uuid::from_u128(1_000 + round);
        send(&buses[0], "OpenCart", json!({ "cart_id": cart, "currency": "EUR" })).await.expect("a cart");
        send(&buses[1], "AddLine", json!({ "cart_id": cart, "sku": "oat", "quantity": 2 })).await.expect("a line");
        let order = |number: u128| json!({ "cart_id": cart, "order_id": Uuid::from_u128(2_000 + 2 * round + number) });
        let (one, other) =
            tokio::join!(send(&buses[0], "PlaceOrder", order(0)), send(&buses[1], "PlaceOrder", order(1)));
        let lost = match (one, other) {
            (Ok(_), Err(lost)) | (Err(lost), Ok(_)) => lost,
            both => panic!("{both:?}"),
        };
        assert!(matches!(&lost, CommandError::Refused { refusal, .. } if refusal.code() == "cart_closed"), "{lost}");
    }
    let filter = Filter { types: Some(vec!["order.OrderPlaced".to_owned()]), ..Filter::default() };
    assert_eq!(world.book.read_after(0, 100, &filter).await.expect("it reads").len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_edits_of_a_cart_by_two_processes_lose_nothing() {
    let world = world().await;
    let buses = [world.bus(), world.bus()];
    stock_up(&buses[0], 1).await;
    let cart = Uuid::from_u128(9);
    send(&buses[0], "OpenCart", json!({ "cart_id": cart, "currency": "EUR" })).await.expect("a cart");
    let mut edits = JoinSet::new();
    for number in 0..60 {
        let bus = buses[number % 2].clone();
        edits.spawn(async move {
            send(&bus, "AddLine", json!({ "cart_id": cart, "sku": "oat", "quantity": 1 })).await.map(|_| ())
        });
    }
    while let Some(edited) = edits.join_next().await {
        edited.expect("no panic").expect("every edit is accepted");
    }
    // A third process has an empty cache, so it folds all edits.
    let quantity = json!({ "cart_id": cart, "sku": "oat", "quantity": 61 });
    let receipt = send(&world.bus(), "ChangeQuantity", quantity).await.expect("it is changed");
    assert_eq!(receipt.streams[0].version, 62, "OpenCart, 60 edits, ChangeQuantity");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_repeated_in_another_process_gets_the_first_outcome() {
    let world = world().await;
    stock_up(&world.bus(), 5).await;
    let command = submission("ReserveStock", reservation(7));
    let first = world.bus().execute(command.clone()).await.expect("it is reserved");
    let events = world.events().await;
    let again = world.bus().execute(command.clone()).await.expect("the repetition is accepted");
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!((first.position, &first.streams), (again.position, &again.streams));
    assert_eq!(first.events[0].data, again.events[0].data, "byte for byte");
    let other = Submission { command: submission("ReserveStock", reservation(8)).command, ..command.clone() };
    assert!(matches!(world.bus().execute(other).await, Err(CommandError::KeyReused(_))));
    let other_actor = Submission { actor: Actor::Admin("another".to_owned()), ..command };
    assert!(matches!(world.bus().execute(other_actor).await, Err(CommandError::KeyReused(_))));
    assert_eq!(world.events().await, events, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_fails_the_next_command_at_once_and_the_queued_ones_are_answered() {
    let world = world().await;
    stock_up(&world.bus(), 100).await;
    let bus = world.process(&BusSettings { queue: 4, batch: 2, ..BusSettings::default() });
    send(&bus, "ReserveStock", reservation(1_000)).await.expect("the streams are cached");
    // Another transaction locks the head of the book, so no commit can end.
    let mut holder = world.database.connect().await;
    let held = holder.transaction().await.expect("a transaction");
    held.execute("SELECT 1 FROM head FOR UPDATE", &[]).await.expect("the head is locked");
    let mut waiting = JoinSet::new();
    let mut busy = 0;
    for number in 0..40 {
        let mut call = Box::pin({
            let bus = bus.clone();
            async move { send(&bus, "ReserveStock", reservation(number)).await }
        });
        // A command that fails as busy does so at the first poll.
        tokio::task::yield_now().await;
        match futures::poll!(&mut call) {
            std::task::Poll::Ready(Err(CommandError::Busy)) => busy += 1,
            std::task::Poll::Ready(other) => panic!("{other:?}"),
            std::task::Poll::Pending => drop(waiting.spawn(call)),
        }
    }
    assert!(busy > 0 && waiting.len() >= 4, "{busy} failed as busy, {} wait", waiting.len());

    held.commit().await.expect("the head is unlocked");
    let waited = waiting.len();
    let mut done = 0;
    while let Some(outcome) = waiting.join_next().await {
        outcome.expect("no panic").expect("every queued command is accepted");
        done += 1;
    }
    assert_eq!(done, waited);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_is_loaded_from_a_snapshot() {
    let world = world().await;
    let bus = world.bus();
    stock_up(&bus, 1).await;
    for _ in 0..600 {
        send(&bus, "ReceiveStock", json!({ "sku": "oat", "quantity": 1 })).await.expect("goods");
    }
    // Another process folds the whole stream, and saves a snapshot.
    send(&world.bus(), "ReserveStock", reservation(1)).await.expect("it is reserved");
    let client = world.database.connect().await;
    let snapshot = "SELECT version FROM snapshots WHERE stream_id = 'stock-oat@main'";
    let version: i32 = loop {
        match client.query_opt(snapshot, &[]).await.expect("it answers") {
            Some(row) => break row.get(0),
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(version, 601, "601 deliveries");
    // A third process begins at the snapshot, so a wrong snapshot would show a wrong figure.
    let everything = json!({ "sku": "oat", "reservation_id": Uuid::from_u128(2), "owner": "buyer:2", "quantity": 601 });
    let Err(CommandError::Refused { refusal, .. }) = send(&world.bus(), "ReserveStock", everything).await else {
        panic!("one unit is reserved already")
    };
    assert_eq!(refusal.data()["available"], 600);
    client
        .execute("UPDATE snapshots SET fold_version = fold_version - 1", &[])
        .await
        .expect("the snapshot is outdated");
    let the_rest = json!({ "sku": "oat", "reservation_id": Uuid::from_u128(3), "owner": "buyer:3", "quantity": 600 });
    send(&world.bus(), "ReserveStock", the_rest).await.expect("an outdated snapshot is ignored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_ignored_and_replaced() {
    let world = world().await;
    stock_up(&world.bus(), 5).await;
    let client = world.database.connect().await;
    let fold_version = State::FOLD_VERSION;
    let nothing_like_it = json!({ "what": "is this" });
    let of_another_stream = serde_json::to_value(State::empty(&"sku-oat".into())).expect("a state");
    for (number, damaged) in (0..).zip([nothing_like_it, of_another_stream]) {
        let keep = "INSERT INTO snapshots VALUES ('stock-oat@main', 1, $1, $2::text::json)
                    ON CONFLICT (stream_id) DO UPDATE SET version = 1, state = excluded.state";
        client.execute(keep, &[&fold_version, &damaged.to_string()]).await.expect("the snapshot is damaged");
        let receipt = send(&world.bus(), "ReserveStock", reservation(number)).await.expect("the events are intact");
        let versions = (receipt.streams[0].version, i32::try_from(number).expect("a small number") + 2);
        assert_eq!(versions.0, versions.1, "the stream is folded from its beginning");
        // The folded state replaces the damaged snapshot.
        loop {
            let row = client.query_one("SELECT state::text FROM snapshots", &[]).await.expect("it answers");
            match serde_json::from_str(row.get(0)) {
                Ok(State::Inventory(inventory::State::Stock(stock))) => {
                    break assert_eq!(stock.on_hand - stock.reserved, 5 - i64::try_from(number).unwrap_or(0));
                }
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_fails_only_the_commands_that_need_its_stream() {
    let world = world().await;
    let bus = world.bus();
    stock_up(&bus, 5).await;
    let cart = Uuid::from_u128(9);
    send(&bus, "OpenCart", json!({ "cart_id": cart, "currency": "EUR" })).await.expect("a cart");
    send(&bus, "AddLine", json!({ "cart_id": cart, "sku": "oat", "quantity": 1 })).await.expect("a line");
    let product = json!({ "product_id": Uuid::from_u128(2), "name": "Milk", "variants": [{ "sku": "milk" }] });
    send(&bus, "CreateProduct", product).await.expect("a product");
    let order = Uuid::from_u128(10);
    world.write_unreadable("stock-milk@main").await;
    world.write_unreadable("stock-rye@main").await;
    world.write_unreadable(&format!("order-{order}")).await;
    let events = world.events().await;

    let reserve = |sku: &str| json!({ "sku": sku, "reservation_id": cart, "owner": "buyer", "quantity": 1 });
    let place = json!({ "cart_id": cart, "order_id": order });
    // All commands come at once, so their streams are loaded together.
    let bus = world.bus();
    let (oat, milk, rye, place, other) = tokio::join!(
        send(&bus, "ReserveStock", reservation(1)),
        send(&bus, "ReserveStock", reserve("milk")),
        send(&bus, "ReserveStock", reserve("rye")),
        send(&bus, "PlaceOrder", place),
        send(&bus, "ReceiveStock", json!({ "sku": "oat", "location": "attic", "quantity": 1 })),
    );
    oat.expect("its stream can be read");
    // No product has this SKU, so the decision never asks for its stock.
    assert!(matches!(&rye, Err(CommandError::Refused { refusal, .. }) if refusal.code() == "unknown_sku"), "{rye:?}");
    other.expect("its stream can be read");
    for (outcome, needed) in [(milk, "stock-milk@main".to_owned()), (place, format!("order-{order}"))] {
        let error = outcome.expect_err("its stream cannot be read");
        let CommandError::Unreadable(unreadable) = &error else { panic!("{error}") };
        assert_eq!((unreadable.stream.as_str(), unreadable.version), (needed.as_str(), 1), "{error}");
    }
    assert_eq!(world.events().await, events + 2, "the failed commands have written nothing");
}

#[tokio::test]
async fn a_value_that_the_book_cannot_keep_fails_its_own_command_only() {
    let world = world().await;
    let bus = world.bus();
    stock_up(&bus, 5).await;
    let invalid =
        Submission { actor: Actor::Admin("no\0body".to_owned()), ..submission("ReserveStock", reservation(2)) };
    // Each command is decided on the one before it, and all are in one batch.
    let (before, invalid, after) = tokio::join!(
        send(&bus, "ReserveStock", reservation(1)),
        bus.execute(invalid),
        send(&bus, "ReserveStock", reservation(3)),
    );
    before.expect("it does not rest on the invalid data");
    after.expect("it is decided again without the invalid data");
    let error = invalid.expect_err("a text cannot hold a NUL");
    assert!(matches!(error, CommandError::Unwritable(_)), "{error}");
    let rest = json!({ "sku": "oat", "reservation_id": Uuid::from_u128(4), "owner": "buyer:4", "quantity": 3 });
    send(&bus, "ReserveStock", rest).await.expect("three units are still available");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_of_one_byte_changes_no_outcome() {
    let world = world().await;
    let bus = world.process(&BusSettings { cache_bytes: 1, ..BusSettings::default() });
    stock_up(&bus, 30).await;
    for number in 0..30 {
        send(&bus, "ReserveStock", reservation(number)).await.expect("it is reserved");
    }
    let outcome = send(&bus, "ReserveStock", reservation(31)).await;
    assert!(matches!(outcome, Err(CommandError::Refused { .. })), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_continues_after_its_database_connections_are_cut() {
    let world = world().await;
    let bus = world.bus();
    stock_up(&bus, 10).await;
    let client = world.database.connect().await;
    for round in 0..5_u128 {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        client.execute(end, &[]).await.expect("the connections are cut");
        let command = submission("ReserveStock", reservation(round));
        // A command with an unknown outcome is sent again with the same id, until its outcome is known.
        let receipt = loop {
            match bus.execute(command.clone()).await {
                Ok(receipt) => break receipt,
                Err(CommandError::Failed(_) | CommandError::Lost) => {}
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(receipt.events.len(), 1);
    }
    let filter = Filter { types: Some(vec!["inventory.StockReserved".to_owned()]), ..Filter::default() };
    assert_eq!(
        world.book.read_after(0, 100, &filter).await.expect("it reads").len(),
        5,
        "each reservation is written once"
    );
}
