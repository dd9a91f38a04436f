//! Carts and reservations end when their time is over: once, with any number of processes.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, until, world};

/// A UUID of version 4, as callers choose them.
fn id(number: u128) -> Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}

fn cart(number: u128) -> Uuid {
    id(100 + number)
}

fn open(number: u128) -> Value {
    json!({ "cart_id": cart(number), "currency": "EUR" })
}

fn line(number: u128) -> Value {
    json!({ "cart_id": cart(number), "sku": "oat", "quantity": 1 })
}

fn claim(world: &World, number: u128, minutes: i64) -> Value {
    json!({ "sku": "oat", "reservation_id": id(number), "owner": "me", "quantity": 2,
            "expires_at": world.now() + TimeDelta::minutes(minutes) })
}

const EXPIRED: &str = "cart.CartExpired";
const RELEASED: &str = "inventory.ReservationReleased";

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_and_a_reservation_expire_and_the_actor_is_the_reactor() {
    let world = world().await;
    let _running = world.reactors().await;
    world.with_product().await;
    world.given("OpenCart", open(1)).await;
    world.given("ReserveStock", claim(&world, 1, 10)).await;
    until("both timers are set", async || world.waiting().await == 2).await;
    assert_eq!(world.events(RELEASED).await, Vec::<String>::new());
    world.pass(TimeDelta::minutes(10));
    until("the reservation ends", async || world.events(RELEASED).await == ["system:reservation_expiry"]).await;
    assert_eq!(world.events(EXPIRED).await, Vec::<String>::new());
    world.pass(TimeDelta::days(7));
    until("the cart ends", async || world.events(EXPIRED).await == ["system:cart_expiry"]).await;
    until("no reaction is left", async || world.waiting().await == 0).await;
    assert!(world.send("AddLine", line(1)).await.is_err(), "an expired cart is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_cart_expires_later() {
    let world = world().await;
    let _running = world.reactors().await;
    world.with_product().await;
    world.caught_up().await;
    world.given("OpenCart", open(1)).await;
    until("the timer is set", async || world.waiting().await == 1).await;
    world.pass(TimeDelta::days(6));
    world.given("AddLine", line(1)).await;
    world.pass(TimeDelta::days(1));
    // The timer is due. The command is refused, and the timer is set to the new expiry of the cart.
    let later = world.now() + TimeDelta::days(6);
    until("the timer waits", async || world.ask::<DateTime<Utc>>("SELECT due FROM reactions").await == later).await;
    assert_eq!(world.events(EXPIRED).await, Vec::<String>::new());
    world.pass(TimeDelta::days(6));
    until("the cart ends", async || world.events(EXPIRED).await.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_or_reservation_that_ends_earlier_has_no_timer() {
    let world = world().await;
    let _running = world.reactors().await;
    world.with_product().await;
    world.caught_up().await;
    for number in 1..=3 {
        world.given("OpenCart", open(number)).await;
        world.given("AddLine", line(number)).await;
    }
    world.given("ReserveStock", claim(&world, 1, 10)).await;
    until("all timers are set", async || world.waiting().await == 4).await;
    world.given("AbandonCart", json!({ "cart_id": cart(1) })).await;
    world.given("MergeCarts", json!({ "from": cart(2), "into": cart(3) })).await;
    world.given("PlaceOrder", json!({ "cart_id": cart(3), "order_id": cart(3) })).await;
    world.given("ReleaseStock", json!({ "sku": "oat", "reservation_id": id(1) })).await;
    until("no reaction is left", async || world.waiting().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_send_each_command_once() {
    let world = world().await;
    let _running = [world.reactors().await, world.reactors().await];
    world.with_product().await;
    world.given("ReceiveStock", json!({ "sku": "oat", "quantity": 100 })).await;
    for number in 1..=40 {
        world.given("OpenCart", open(number)).await;
        world.given("ReserveStock", claim(&world, number, 10)).await;
    }
    until("all timers are set", async || world.waiting().await == 80).await;
    world.pass(TimeDelta::days(7));
    until("no reaction is left", async || world.waiting().await == 0).await;
    assert_eq!((world.events(EXPIRED).await.len(), world.events(RELEASED).await.len()), (40, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reactor_begins_at_the_head_of_the_book_before_its_partitions_are_assigned() {
    let world = world().await;
    world.given("OpenCart", open(1)).await;
    let _running = world.reactors().await;
    // The process has just started, and has no partitions yet.
    world.given("OpenCart", open(2)).await;
    world.caught_up().await;
    assert_eq!(world.waiting().await, 1);
    assert_eq!(world.ask::<String>("SELECT key FROM reactions").await, cart(2).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_read_model_shows_the_units_of_an_expired_reservation_as_free() {
    let world = world().await;
    let (_reactors, _projectors) = (world.reactors().await, world.projectors());
    world.with_product().await;
    world.given("ReserveStock", claim(&world, 1, 10)).await;
    let shown = async |table: &str| {
        let sql = format!("SELECT to_regclass('read.{table}') IS NOT NULL");
        world.ask::<bool>(&sql).await
    };
    until("the views are built", async || shown("stock").await && shown("reservations").await).await;
    let reserved = async || world.ask_if_any::<i64>("SELECT reserved FROM read.stock WHERE sku = 'oat'").await;
    until("the reservation is shown", async || reserved().await == Some(2)).await;
    world.pass(TimeDelta::minutes(10));
    until("the units are free again", async || reserved().await == Some(0)).await;
    assert_eq!(world.ask::<i64>("SELECT on_hand FROM read.stock WHERE sku = 'oat'").await, 5);
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM read.reservations").await, 0);
}
