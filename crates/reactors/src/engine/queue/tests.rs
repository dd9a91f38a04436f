//! The table of reactions on a real PostgreSQL: what is claimed, and in which order rows are locked.

use chrono::TimeDelta;
use daybook_domain::{cart::ExpireCart, ids::CartId};
use daybook_event_store::StoreSettings;
use daybook_test_postgres::TestDatabase;
use tokio_postgres::Client;

use super::*;

const REACTOR: &str = "cart_expiry";

struct World {
    database: TestDatabase,
    book: Daybook,
    now: DateTime<Utc>,
}

async fn world() -> World {
    let database = daybook_test_postgres::database().await;
    let settings = StoreSettings { database_url: database.url().to_owned(), max_connections: 8 };
    let book = Daybook::open(&settings).expect("the URL is one");
    book.migrate().await.expect("the schema of the book");
    crate::migrate(&book).await.expect("the schema of the reactors");
    World { database, book, now: DateTime::UNIX_EPOCH + TimeDelta::days(20_000) }
}

impl World {
    fn reaction(&self, id: u128) -> NewReaction {
        let command = ExpireCart { cart_id: CartId(Uuid::from_u128(id)) }.into();
        let (correlation_id, causation_id) = (Uuid::from_u128(id), Uuid::from_u128(id));
        NewReaction { id: Uuid::from_u128(id), due: self.now, command, correlation_id, causation_id }
    }

    /// What a consumer does in the transaction of its checkpoint.
    async fn write(&self, reactor: &str, changes: impl IntoIterator<Item = (&str, Option<u128>)>) {
        let changes = changes.into_iter().map(|(key, id)| (key.to_owned(), id.map(|id| self.reaction(id))));
        let mut client = self.book.pool().get().await.expect("a connection");
        let transaction = client.transaction().await.expect("a transaction");
        write(&transaction, reactor, &changes.collect()).await.expect("it is written");
        transaction.commit().await.expect("it is committed");
    }

    /// Reactions whose order in the table and by id is the opposite of the order of their keys.
    async fn with_two(&self) {
        self.write(REACTOR, [("b", Some(1))]).await;
        self.write(REACTOR, [("a", Some(2))]).await;
    }

    async fn keys(&self) -> Vec<String> {
        let client = self.database.connect().await;
        let rows = client.query("SELECT key FROM reactions ORDER BY key", &[]).await.expect("an answer");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

fn done(id: u128) -> Answered {
    Answered { id: Uuid::from_u128(id), attempts: 0, outcome: Outcome::Done }
}

fn failed(world: &World, id: u128) -> Answered {
    let outcome = Outcome::Failed { again: world.now, reason: "it rains".to_owned(), parked: false };
    Answered { id: Uuid::from_u128(id), attempts: 0, outcome }
}

/// Waits until a session waits for a lock.
async fn until_one_waits(client: &Client) {
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !client.query_one(waits, &[]).await.expect("an answer").get::<_, bool>(0) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_transactions_lock_reactions_in_the_order_of_their_keys() {
    // Each work waits for the first key, and has not locked the second one.
    let world = world().await;
    for what in ["cancel", "replace and cancel", "done", "failed"] {
        world.with_two().await;
        let mut holder = world.database.connect().await;
        let watcher = world.database.connect().await;
        let holding = holder.transaction().await.expect("a transaction");
        holding.execute("SELECT 1 FROM reactions WHERE key = 'a' FOR UPDATE", &[]).await.expect("it is locked");
        let work = async {
            match what {
                "cancel" => world.write(REACTOR, [("b", None), ("a", None)]).await,
                "replace and cancel" => world.write(REACTOR, [("a", Some(3)), ("b", None)]).await,
                "done" => end(&world.book, &[done(1), done(2)]).await.expect("they end"),
                _ => end(&world.book, &[failed(&world, 1), failed(&world, 2)]).await.expect("they end"),
            }
        };
        let look = async {
            until_one_waits(&watcher).await;
            let free = "SELECT key FROM reactions FOR UPDATE SKIP LOCKED";
            let free = watcher.query(free, &[]).await.expect("an answer");
            let free: Vec<String> = free.iter().map(|row| row.get(0)).collect();
            assert_eq!(free, ["b"], "{what}");
            holding.commit().await.expect("it is free");
        };
        tokio::join!(work, look);
        world.write(REACTOR, [("a", None), ("b", None)]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_end_although_the_transaction_of_another_program_makes_a_deadlock() {
    let world = world().await;
    let (mut other, watcher) = (world.database.connect().await, world.database.connect().await);
    // PostgreSQL ends one of the two transactions. Here it is to be that of the reactors, which waits first.
    other.execute("SET deadlock_timeout = '1min'", &[]).await.expect("it is set");
    loop {
        world.with_two().await;
        let holding = other.transaction().await.expect("a transaction");
        holding.execute("SELECT 1 FROM reactions WHERE key = 'b' FOR UPDATE", &[]).await.expect("it is locked");
        let provoke = async {
            until_one_waits(&watcher).await;
            // Where this machine was so slow that the other one has looked for deadlocks before, this transaction is ended.
            let is_locked = holding.execute("SELECT 1 FROM reactions WHERE key = 'a' FOR UPDATE", &[]).await.is_ok();
            holding.rollback().await.expect("the locks are free");
            is_locked
        };
        let answered = [done(1), done(2)];
        let (ended, is_victim) = tokio::join!(end(&world.book, &answered), provoke);
        ended.expect("they end");
        assert_eq!(world.keys().await, Vec::<String>::new());
        if is_victim {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_claimed_than_there_is_room_for_and_the_earliest_of_all_reactors() {
    let mut world = world().await;
    let (begin, mut id) = (world.now, 0);
    for key in ["a", "b", "c", "d"] {
        for reactor in [REACTOR, "reservation_expiry", "of_another_program"] {
            id += 1;
            world.now += TimeDelta::seconds(1);
            world.write(reactor, [(key, Some(id))]).await;
        }
    }
    let now = begin + TimeDelta::hours(1);
    let reactors = [REACTOR, "reservation_expiry"];
    let claim = async |limit| {
        let claimed = claim(&world.book, &reactors, now, Duration::from_secs(60), limit).await.expect("an answer");
        let mut claimed: Vec<u128> = claimed.iter().map(|claimed| claimed.id.as_u128()).collect();
        claimed.sort_unstable();
        claimed
    };
    assert_eq!(claim(3).await, [1, 2, 4]);
    assert_eq!(claim(10).await, [5, 7, 8, 10, 11]);
    assert_eq!(claim(10).await, Vec::<u128>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_reads_no_reactions_of_other_reactors() {
    let world = world().await;
    world.with_two().await;
    let client = world.database.connect().await;
    let others = "INSERT INTO reactions (id, reactor, key, planned, due, command, body, correlation_id, causation_id)
                  SELECT gen_random_uuid(), 'of_another_program', 'k' || n, now(), '1970-01-01', 'X', '{}', gen_random_uuid(),
                         gen_random_uuid()
                  FROM generate_series(1, 5000) AS n";
    client.execute(others, &[]).await.expect("they are written");
    client.execute("ANALYZE reactions", &[]).await.expect("it is analysed");
    let (leased_until, reactors) = (world.now + TimeDelta::seconds(60), [REACTOR]);
    let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) {CLAIM}");
    let plan = client.query_one(&explain, &[&world.now, &leased_until, &10_i64, &&reactors[..]]).await.expect("a plan");
    let plan: Value = plan.get::<_, Json<Value>>(0).0;
    // Some versions of PostgreSQL print a fraction.
    assert!(plan[0]["Plan"]["Actual Rows"].as_f64().is_some_and(|rows| (1.5..2.5).contains(&rows)), "{plan:#}");
    assert!(removed(&plan) < 0.5, "{plan:#}");
}

/// How many rows the parts of a plan have read in vain.
fn removed(plan: &Value) -> f64 {
    match plan {
        Value::Object(node) => {
            node.get("Rows Removed by Filter").and_then(Value::as_f64).unwrap_or(0.0)
                + node.values().map(removed).sum::<f64>()
        }
        Value::Array(nodes) => nodes.iter().map(removed).sum(),
        _ => 0.0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sent_is_known_by_the_time_for_which_it_was_planned() {
    let world = world().await;
    let planned = async || {
        let upcoming = upcoming(&world.book, &[REACTOR, "reservation_expiry"]).await.expect("an answer");
        let planned: Vec<_> = upcoming.into_iter().map(|of| (of.reactor, of.planned)).collect();
        assert_eq!(planned[1], ("reservation_expiry".to_owned(), None));
        planned[0].1
    };
    assert_eq!(planned().await, None);
    world.with_two().await;
    assert_eq!(planned().await, Some(world.now));
    let again = world.now + TimeDelta::minutes(1);
    let fails = |id, parked| {
        let outcome = Outcome::Failed { again, reason: "it rains".to_owned(), parked };
        Answered { id: Uuid::from_u128(id), attempts: 0, outcome }
    };
    end(&world.book, &[fails(1, false), fails(2, true)]).await.expect("they end");
    assert_eq!(planned().await, Some(world.now), "a failure moves the next attempt, and not the plan");
    end(&world.book, &[done(1)]).await.expect("it ends");
    assert_eq!(planned().await, None, "a parked one is its own fault");
    let early = Answered { id: Uuid::from_u128(2), attempts: 0, outcome: Outcome::TooEarly(again) };
    end(&world.book, &[early]).await.expect("it ends");
    assert_eq!(planned().await, Some(again), "it was planned for another time");
}
