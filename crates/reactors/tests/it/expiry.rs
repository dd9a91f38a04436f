//! Carts and reservations end when their time is over: once, however many processes there are.

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, until, world};

fn cart(number: u128) -> Uuid {
    Uuid::from_u128(100 + number)
}

fn open(number: u128) -> Value {
    json!({ "cart_id": cart(number), "currency": "EUR" })
}

fn line(number: u128) -> Value {
    json!({ "cart_id": cart(number), "sku": "oat", "quantity": 1 })
}

fn claim(world: &World, number: u128, minutes: i64) -> Value {
    json!({ "sku": "oat", "reservation_id": Uuid::from_u128(number), "owner": "me", "quantity": 2,
            "expires_at": world.now() + TimeDelta::minutes(minutes) })
}

const EXPIRED: &str = "cart.CartExpired";
const RELEASED: &str = "inventory.ReservationReleased";

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_and_a_reservation_end_by_themselves_and_the_engine_did_it() {
    let world = world().await;
    let _running = world.reactors();
    world.with_product().await;
    world.caught_up().await;
    world.given("OpenCart", open(1)).await;
    world.given("ReserveStock", claim(&world, 1, 10)).await;
    until("both are known", async || world.waiting().await == 2).await;
    assert_eq!(world.events(RELEASED).await, Vec::<String>::new());
    world.pass(TimeDelta::minutes(10));
    until("the reservation ends", async || world.events(RELEASED).await == ["system:reactor"]).await;
    assert_eq!(world.events(EXPIRED).await, Vec::<String>::new());
    world.pass(TimeDelta::days(7));
    until("the cart ends", async || world.events(EXPIRED).await == ["system:reactor"]).await;
    until("nothing is left to do", async || world.waiting().await == 0).await;
    assert!(world.send("AddLine", line(1)).await.is_err(), "an expired cart is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_is_changed_lives_on_and_expires_later() {
    let world = world().await;
    let _running = world.reactors();
    world.with_product().await;
    world.caught_up().await;
    world.given("OpenCart", open(1)).await;
    until("it is known", async || world.waiting().await == 1).await;
    world.pass(TimeDelta::days(6));
    world.given("AddLine", line(1)).await;
    world.pass(TimeDelta::days(1));
    // The timer is due, and is told by the refusal to wait until the cart expires now.
    let client = world.database.connect().await;
    let due = "SELECT due = to_timestamp($1::bigint) FROM reactions";
    let later = (world.now() + TimeDelta::days(6)).timestamp();
    until("the timer waits", async || client.query_one(due, &[&later]).await.expect("it answers").get(0)).await;
    assert_eq!(world.events(EXPIRED).await, Vec::<String>::new());
    world.pass(TimeDelta::days(6));
    until("the cart ends", async || world.events(EXPIRED).await.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_otherwise_has_no_timer_any_more() {
    let world = world().await;
    let _running = world.reactors();
    world.with_product().await;
    world.caught_up().await;
    for number in 1..=3 {
        world.given("OpenCart", open(number)).await;
        world.given("AddLine", line(number)).await;
    }
    world.given("ReserveStock", claim(&world, 1, 10)).await;
    until("all are known", async || world.waiting().await == 4).await;
    world.given("AbandonCart", json!({ "cart_id": cart(1) })).await;
    world.given("MergeCarts", json!({ "from": cart(2), "into": cart(3) })).await;
    world.given("PlaceOrder", json!({ "cart_id": cart(3), "order_id": cart(3) })).await;
    world.given("ReleaseStock", json!({ "sku": "oat", "reservation_id": Uuid::from_u128(1) })).await;
    until("nothing is left to do", async || world.waiting().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_do_it_once() {
    let world = world().await;
    let _running = [world.reactors(), world.reactors()];
    world.with_product().await;
    world.caught_up().await;
    for number in 1..=40 {
        world.given("OpenCart", open(number)).await;
    }
    until("all are known", async || world.waiting().await == 40).await;
    world.pass(TimeDelta::days(7));
    until("nothing is left to do", async || world.waiting().await == 0).await;
    assert_eq!(world.events(EXPIRED).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reactor_begins_at_the_head() {
    let world = world().await;
    world.given("OpenCart", open(1)).await;
    let _running = world.reactors();
    world.caught_up().await;
    world.given("OpenCart", open(2)).await;
    until("the later cart is known", async || world.waiting().await == 1).await;
    let client = world.database.connect().await;
    let key: String = client.query_one("SELECT key FROM reactions", &[]).await.expect("it answers").get(0);
    assert_eq!(key, cart(2).to_string());
}
