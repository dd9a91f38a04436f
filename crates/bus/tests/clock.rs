//! A process whose clock is wrong decides nothing, and decides again when its clock is right.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::TimeDelta;
use daybook_bus::{Bus, BusSettings, CLOCK_LIMIT, Clock, CommandError, Submission, WrongClock, clock::new_id};
use daybook_domain::{Actor, Command};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_test_postgres::{TestDatabase, database};
use serde_json::{Value, json};

async fn world() -> (TestDatabase, Daybook) {
    let database = database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 4 };
    let book = Daybook::open(&settings).expect("the URL is right");
    book.migrate().await.expect("the schema can be made");
    (database, book)
}

/// A clock that is so many seconds ahead of the machine's.
fn ahead_by(seconds: &Arc<AtomicI64>) -> Clock {
    let seconds = Arc::clone(seconds);
    let right = Clock::system();
    Clock::from_fn(move || right.now() + TimeDelta::seconds(seconds.load(Ordering::Relaxed))).within(CLOCK_LIMIT)
}

fn submission(name: &str, body: Value) -> Submission {
    let command = Command::deserialize(name, body).expect("there is such a command").expect("the body is right");
    Submission::new(command, new_id(), Actor::Admin("test".to_owned()))
}

fn stock(quantity: u32) -> Submission {
    submission("ReceiveStock", json!({ "sku": "oat", "quantity": quantity }))
}

fn product() -> Submission {
    let product = json!({ "product_id": new_id(), "name": "Oat", "variants": [{ "sku": "oat" }], "publish": true });
    submission("CreateProduct", product)
}

#[tokio::test]
async fn a_process_whose_clock_is_wrong_decides_nothing_until_its_clock_is_right_again() {
    let (_database, book) = world().await;
    let seconds = Arc::new(AtomicI64::new(0));
    let clock = ahead_by(&seconds);
    clock.compare(&book).await.expect("the database has a clock");
    let (bus, _) = Bus::start(book.clone(), clock.clone(), &BusSettings::default());
    bus.execute(product()).await.expect("the clock is right");
    for wrong in [3_600, 60, -60, -86_400 * 365] {
        seconds.store(wrong, Ordering::Relaxed);
        let head = book.head().await.expect("the book answers");
        // It is noticed without another comparison: the clock has moved, and the time that has passed has not.
        let refused = bus.execute(stock(1)).await.expect_err("the clock is wrong");
        let CommandError::WrongClock(WrongClock { ahead, limit }) = refused else { panic!("{refused}") };
        assert!((ahead - TimeDelta::seconds(wrong)).abs() < TimeDelta::seconds(5), "{ahead}");
        assert_eq!(limit, CLOCK_LIMIT);
        let direction =
            if wrong > 0 { "s ahead of the clock of the database" } else { "s behind the clock of the database" };
        assert!(refused.to_string().contains(direction), "{refused}");
        assert_eq!(book.head().await.expect("the book answers"), head, "nothing is written");
        seconds.store(0, Ordering::Relaxed);
        bus.execute(stock(1)).await.expect("the clock is right again");
    }
}

#[tokio::test]
async fn a_clock_that_was_wrong_from_the_start_is_noticed_by_the_first_comparison() {
    let (_database, book) = world().await;
    let clock = ahead_by(&Arc::new(AtomicI64::new(600)));
    clock.compare(&book).await.expect("the database has a clock");
    assert!(!*clock.is_right().borrow());
    let (bus, _) = Bus::start(book, clock.clone(), &BusSettings::default());
    let refused = bus.execute(product()).await;
    assert!(matches!(refused, Err(CommandError::WrongClock(_))), "{refused:?}");
    let (own, shared, right) = (clock.now(), clock.database_now(), Clock::system().now());
    assert!(own - right > TimeDelta::seconds(590), "{own} {right}");
    assert!(
        (shared - right).abs() < TimeDelta::seconds(60),
        "what processes share goes by the database: {shared} {right}"
    );
}

#[tokio::test]
async fn a_difference_within_the_limit_and_a_clock_that_is_not_compared_are_right() {
    let (_database, book) = world().await;
    let clock = ahead_by(&Arc::new(AtomicI64::new(2)));
    assert_eq!((clock.ahead(), clock.trusted().is_ok()), (None, true), "nothing is known");
    clock.compare(&book).await.expect("the database has a clock");
    assert!(clock.trusted().is_ok());
    let (bus, _) = Bus::start(book, clock, &BusSettings::default());
    bus.execute(product()).await.expect("two seconds are little");
}

#[tokio::test]
async fn recorded_times_stand_still_until_the_time_to_which_the_database_was_once_ahead() {
    let (database, book) = world().await;
    let (bus, _) = Bus::start(book.clone(), Clock::system(), &BusSettings::default());
    bus.execute(product()).await.expect("it is accepted");
    let once_ahead = "UPDATE head SET recorded_at = clock_timestamp() + interval '1 hour'";
    database.connect().await.execute(once_ahead, &[]).await.expect("the clock was ahead");
    let first = bus.execute(stock(1)).await.expect("it is accepted").position;
    bus.execute(stock(1)).await.expect("it is accepted");
    let events = book.read_after(first - 1, 2, &daybook_event_store::Filter::default()).await.expect("two events");
    let [first, second] = &events[..] else { panic!("{events:?}") };
    let time = book.time().await.expect("the database has a clock");
    assert_eq!(first.recorded_at, second.recorded_at, "positions and recorded times agree");
    assert_eq!(time.recorded_at, Some(second.recorded_at));
    assert!(second.recorded_at > time.time, "operators can see it");
    // What the shop reads is the time of the decision, and is right.
    assert!(first.effective_at < second.effective_at && second.effective_at <= time.time + TimeDelta::seconds(60));
}
