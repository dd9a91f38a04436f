//! Fairness: among processes that write to the same streams, and among the senders of one process.

use std::net::{IpAddr, Ipv4Addr};

use daybook_bus::{Bus, BusSettings, Clock, CommandError, Receipt, Submission, clock::new_id};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_test_postgres::{TestDatabase, database};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

fn open(database: &TestDatabase) -> Daybook {
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    Daybook::open(&settings).expect("the URL is right")
}

/// A database with an empty book.
async fn world() -> TestDatabase {
    let database = database().await;
    open(&database).migrate().await.expect("the schema can be made");
    database
}

fn process(database: &TestDatabase, settings: &BusSettings) -> Bus {
    Bus::start(open(database), Clock::system(), settings).0
}

fn submission(actor: Actor, name: &str, body: Value) -> Submission {
    let command = Command::deserialize(name, body).expect("there is such a command").expect("the body is right");
    Submission::new(command, new_id(), actor)
}

fn admin(name: &str) -> Actor {
    Actor::Admin(name.to_owned())
}

async fn send(bus: &Bus, name: &str, body: Value) -> Result<Receipt, CommandError> {
    bus.execute(submission(admin("test"), name, body)).await
}

async fn stock_up(bus: &Bus, units: i64) {
    let product = json!({ "product_id": new_id(), "name": "Oat", "variants": [{ "sku": "oat" }], "publish": true });
    send(bus, "CreateProduct", product).await.expect("a product");
    send(bus, "ReceiveStock", json!({ "sku": "oat", "quantity": units })).await.expect("goods");
}

fn reservation() -> Value {
    let id = new_id();
    json!({ "sku": "oat", "reservation_id": id, "owner": format!("buyer:{id}"), "quantity": 1 })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_buyer_of_a_hot_sku_is_in_conflict_for_ever() {
    let database = world().await;
    // Without a decision under the lock of the head, many commands are in conflict more than five times.
    let settings = BusSettings { attempts: 6, ..BusSettings::default() };
    let buses: Vec<_> = (0..3).map(|_| process(&database, &settings)).collect();
    stock_up(&buses[0], 100_000).await;
    let mut buyers = JoinSet::new();
    for number in 0..36 {
        let bus = buses[number % 3].clone();
        buyers.spawn(async move {
            for _ in 0..40 {
                send(&bus, "ReserveStock", reservation()).await?;
            }
            Ok::<_, CommandError>(())
        });
    }
    while let Some(bought) = buyers.join_next().await {
        bought.expect("no panic").expect("every reservation is accepted");
    }
    assert!(buses.iter().any(|bus| bus.conflicts() > 0), "without conflicts this test shows nothing");
    let client = database.connect().await;
    let count =
        "SELECT count(*), count(DISTINCT data ->> 'reservation_id') FROM events WHERE type = 'inventory.StockReserved'";
    let row = client.query_one(count, &[]).await.expect("it answers");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (36 * 40, 36 * 40));
}

/// Sends commands while no commit can end, and lets them end after that. Returns the outcomes in the order of the senders.
async fn queued(settings: &BusSettings, senders: &[(Actor, Option<IpAddr>)]) -> Vec<Result<Receipt, CommandError>> {
    let database = world().await;
    let bus = process(&database, settings);
    stock_up(&bus, 10_000).await;
    send(&bus, "ReserveStock", reservation()).await.expect("its streams are in memory");
    let mut holder = database.connect().await;
    let held = holder.transaction().await.expect("a transaction");
    held.execute("SELECT 1 FROM head FOR UPDATE", &[]).await.expect("the head is locked");
    let mut calls = Vec::new();
    for (actor, address) in senders {
        let sent = match actor.is_buyer() {
            true => submission(actor.clone(), "OpenCart", json!({ "cart_id": new_id(), "currency": "EUR" })),
            false => submission(actor.clone(), "ReserveStock", reservation()),
        };
        let sent = Submission { address: *address, ..sent };
        let bus = bus.clone();
        let mut call = Box::pin(async move { bus.execute(sent).await });
        // It is queued at the first poll.
        let answered = futures::poll!(&mut call);
        calls.push(match answered {
            std::task::Poll::Ready(outcome) => Box::pin(async { outcome }) as futures::future::BoxFuture<'_, _>,
            std::task::Poll::Pending => call,
        });
    }
    held.commit().await.expect("the head is unlocked");
    futures::future::join_all(calls).await
}

fn position(outcome: &Result<Receipt, CommandError>) -> i64 {
    outcome.as_ref().expect("it is accepted").position
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_commands_of_one_actor_do_not_delay_the_first_of_another() {
    let mut senders = vec![(admin("greedy"), None); 1_000];
    senders.push((admin("honest"), None));
    let outcomes = queued(&BusSettings { batch: 10, ..BusSettings::default() }, &senders).await;
    let honest = position(&outcomes[1_000]);
    let before = outcomes[..1_000].iter().filter(|outcome| position(outcome) < honest).count();
    assert!(before <= 30, "{before} of them were decided before: one batch in flight, one decided, and one turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_take_turns_by_address() {
    let address = |last| Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, last)));
    let customer = |id| Actor::Customer(daybook_domain::ids::CustomerId(Uuid::from_u128(id)));
    let mut senders = vec![(Actor::Guest, address(1)); 50];
    senders.extend([(Actor::Guest, address(2)), (customer(1), address(1))]);
    // One command is in flight, one is decided, and the queue is full of others of the first guest.
    let outcomes = queued(&BusSettings { queue: 48, batch: 1, ..BusSettings::default() }, &senders).await;
    let busy = |outcome: &Result<Receipt, CommandError>| matches!(outcome, Err(CommandError::Busy));
    assert!(outcomes[..50].iter().any(busy), "the first guest has the most waiting, and gives way");
    assert!(!outcomes[50..].iter().any(busy), "another guest and a customer find a place: {:?}", &outcomes[50..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_waiting_commands_are_bounded() {
    let settings = BusSettings { queue_bytes: 20_000, batch: 1, ..BusSettings::default() };
    let mut senders = vec![(admin("greedy"), None); 200];
    senders.push((admin("honest"), None));
    let outcomes = queued(&settings, &senders).await;
    let accepted = outcomes[..200].iter().filter(|outcome| outcome.is_ok()).count();
    assert!((10..100).contains(&accepted), "{accepted} commands of several hundred bytes fit");
    assert!(outcomes[200].is_ok(), "the greedy sender gives way to the honest one");
    let rest = outcomes[..200].iter().filter(|outcome| matches!(outcome, Err(CommandError::Busy))).count();
    assert_eq!(accepted + rest, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_sender_waits_for_room_and_loses_nothing() {
    let database = world().await;
    let bus = process(&database, &BusSettings { queue: 4, queue_bytes: 5_000, batch: 2, ..BusSettings::default() });
    stock_up(&bus, 1_000).await;
    let mut loads = JoinSet::new();
    for _ in 0..200 {
        let bus = bus.clone();
        loads.spawn(
            async move { bus.execute_patiently(submission(admin("import"), "ReserveStock", reservation())).await },
        );
    }
    while let Some(loaded) = loads.join_next().await {
        loaded.expect("no panic").expect("it is accepted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_has_read_much_is_checked_beside_the_commits_and_is_as_right_as_any() {
    let database = world().await;
    // Every refusal counts as one that has read much.
    let settings = BusSettings { check_beside: 0, ..BusSettings::default() };
    let buses = [process(&database, &settings), process(&database, &settings)];
    stock_up(&buses[0], 50).await;
    let mut buyers = JoinSet::new();
    for number in 0..200 {
        let bus = buses[number % 2].clone();
        buyers.spawn(async move { send(&bus, "ReserveStock", reservation()).await });
    }
    let (mut accepted, mut refused) = (0, 0);
    while let Some(outcome) = buyers.join_next().await {
        match outcome.expect("no panic") {
            Ok(_) => accepted += 1,
            Err(CommandError::Refused { refusal, .. }) => {
                assert_eq!((refusal.code(), &refusal.data()["available"]), ("insufficient_stock", &json!(0)));
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((accepted, refused), (50, 150));
}
