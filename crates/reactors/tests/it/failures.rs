//! A reaction is not lost and not done twice, whatever fails on the way.

use chrono::TimeDelta;
use daybook_bus::{Bus, BusSettings, Clock};
use serde_json::json;
use uuid::Uuid;

use crate::world::{until, world};

const EXPIRED: &str = "cart.CartExpired";

fn open(number: u128) -> serde_json::Value {
    json!({ "cart_id": Uuid::from_u128(number), "currency": "EUR" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_that_failed_is_tried_again_when_its_pause_is_over() {
    let world = world().await;
    // A bus whose work nobody does: what is sent to it is lost.
    let (lost, work) = Bus::on(daybook_bus::Tokio, world.book.clone(), Clock::system(), &BusSettings::default());
    drop(work);
    let failing = world.reactors_on(&lost);
    world.with_product().await;
    world.caught_up().await;
    world.given("OpenCart", open(1)).await;
    until("it is known", async || world.waiting().await == 1).await;
    world.pass(TimeDelta::days(7));
    let client = world.database.connect().await;
    let failed = "SELECT failure IS NOT NULL AND leased_until IS NULL FROM reactions";
    until("it has failed", async || client.query_one(failed, &[]).await.expect("it answers").get(0)).await;
    assert_eq!(world.events(EXPIRED).await, Vec::<String>::new());
    failing.kill();
    let _running = world.reactors();
    world.pass(TimeDelta::minutes(5));
    until("it is done", async || world.events(EXPIRED).await.len() == 1 && world.waiting().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_of_a_killed_worker_is_sent_by_another_with_the_same_id() {
    let world = world().await;
    let first = world.reactors();
    world.with_product().await;
    world.caught_up().await;
    world.given("OpenCart", open(1)).await;
    until("it is known", async || world.waiting().await == 1).await;
    first.kill();
    // Claimed, sent and accepted, and killed before the row was ended.
    let client = world.database.connect().await;
    let claim = "UPDATE reactions SET leased_until = to_timestamp($1::bigint), attempts = 1 RETURNING id";
    let until_then = (world.now() + TimeDelta::days(7) + TimeDelta::seconds(60)).timestamp();
    let id: Uuid = client.query_one(claim, &[&until_then]).await.expect("it is claimed").get(0);
    world.pass(TimeDelta::days(7));
    let command = daybook_domain::cart::ExpireCart { cart_id: daybook_domain::ids::CartId(Uuid::from_u128(1)) };
    let sent = daybook_bus::Submission::new(command, id, daybook_domain::Actor::System("reactor"));
    world.bus.execute(sent).await.expect("it is accepted");
    let _second = world.reactors();
    world.caught_up().await;
    world.pass(TimeDelta::seconds(61));
    until("the row is gone", async || world.waiting().await == 0).await;
    assert_eq!(world.events(EXPIRED).await.len(), 1, "the repeated command got its first outcome");
}
