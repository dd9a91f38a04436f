//! A reaction is neither lost nor executed twice after a failure.

use chrono::{DateTime, TimeDelta, Utc};
use daybook_bus::Submission;
use daybook_domain::{
    Actor, Event, Slice,
    cart::{self, ExpireCart},
    ids::CartId,
};
use daybook_event_store::Filter;
use daybook_reactors::{Reaction, Reactions, Reactor, Trigger};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, until, world};

const EXPIRED: &str = "cart.CartExpired";

fn cart_id(number: u128) -> CartId {
    CartId(uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid())
}

fn open(number: u128) -> Value {
    json!({ "cart_id": cart_id(number), "currency": "EUR" })
}

/// An open cart, whose timer is set.
async fn open_cart(world: &World) {
    world.given("OpenCart", open(1)).await;
    until("the timer of the cart is set", async || world.waiting().await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_reaction_is_tried_again_after_a_pause() {
    let world = world().await;
    let (dead, work) = world.idle_bus();
    drop(work);
    let failing = world.reactors_on(&dead).await;
    open_cart(&world).await;
    world.pass(TimeDelta::days(7));
    let failed = "SELECT failure IS NOT NULL AND leased_until IS NULL FROM reactions";
    until("the reaction has failed", async || world.ask(failed).await).await;
    assert_eq!(world.events(EXPIRED).await, Vec::<String>::new());
    failing.kill().await;
    let _running = world.reactors().await;
    world.pass(TimeDelta::minutes(5));
    until("the reaction is done", async || world.events(EXPIRED).await.len() == 1 && world.waiting().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_that_a_killed_worker_has_claimed_and_not_sent_is_sent_by_another() {
    let world = world().await;
    // A command on this bus waits for ever.
    let (stuck, _work) = world.idle_bus();
    let first = world.reactors_on(&stuck).await;
    open_cart(&world).await;
    world.pass(TimeDelta::days(7));
    let claimed = "SELECT leased_until IS NOT NULL FROM reactions";
    until("the reaction is claimed", async || world.ask(claimed).await).await;
    first.kill().await;
    let _second = world.reactors().await;
    world.pass(TimeDelta::seconds(61));
    until("the reaction is done", async || world.events(EXPIRED).await.len() == 1 && world.waiting().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_a_killed_worker_has_sent_is_executed_once() {
    let world = world().await;
    let first = world.reactors().await;
    open_cart(&world).await;
    first.kill().await;
    let client = world.database.connect().await;
    let claim = "UPDATE reactions SET leased_until = to_timestamp($1::bigint), attempts = 1 RETURNING id";
    let leased_until = (world.now() + TimeDelta::days(7) + TimeDelta::seconds(60)).timestamp();
    let id: Uuid = client.query_one(claim, &[&leased_until]).await.expect("the reaction is claimed").get(0);
    world.pass(TimeDelta::days(7));
    let sent = Submission::new(ExpireCart { cart_id: cart_id(1) }, id, Actor::System("cart_expiry"));
    world.bus.execute(sent).await.expect("the command is accepted");
    let _second = world.reactors().await;
    world.pass(TimeDelta::seconds(61));
    until("the reaction is removed", async || world.waiting().await == 0).await;
    assert_eq!(world.events(EXPIRED).await.len(), 1, "the repeated command got its first outcome");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_survives_a_stop_of_the_process_and_a_republication_of_the_book() {
    let world = world().await;
    let first = world.reactors().await;
    open_cart(&world).await;
    first.stop().await;
    world.pass(TimeDelta::days(7));
    let _second = world.reactors().await;
    until("the reaction is done", async || world.events(EXPIRED).await.len() == 1 && world.waiting().await == 0).await;

    world.republish().await;
    world.given("OpenCart", open(2)).await;
    world.caught_up().await;
    let keys = "SELECT array_agg(key) FROM reactions";
    assert_eq!(world.ask::<Vec<String>>(keys).await, [cart_id(2).to_string()], "the first cart has no second reaction");
    assert_eq!(world.events(EXPIRED).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_reaction_names_its_cause_and_keeps_the_correlation_id() {
    let world = world().await;
    let _running = world.reactors().await;
    open_cart(&world).await;
    world.pass(TimeDelta::days(7));
    until("the reaction is done", async || world.events(EXPIRED).await.len() == 1).await;
    let events = world.book.read_after(0, 10, &Filter::default()).await.expect("the book answers");
    let [opened, expired] = &events[..] else { panic!("{events:?}") };
    assert_eq!((expired.causation_id, expired.correlation_id), (opened.event_id, opened.correlation_id));
}

/// Sends a command that is refused, since an abandoned cart does not expire.
static TOO_LATE: Reactor = Reactor {
    name: "too_late",
    slices: &[Slice::Cart],
    table: &[Trigger { on: &["cart.CartAbandoned"], reaction: "ExpireCart" }],
    react: expire_abandoned,
    again_at: |_| None,
};

static ONLY_TOO_LATE: [&Reactor; 1] = [&TOO_LATE];

fn expire_abandoned(event: &Event, at: DateTime<Utc>, reactions: &mut Reactions) {
    if let Event::Cart(cart::Event::CartAbandoned(e)) = event {
        reactions.set(e.cart_id.to_string(), Reaction::at(at, ExpireCart { cart_id: e.cart_id }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_reaction_is_done() {
    let world = world().await;
    let (stuck, _work) = world.idle_bus();
    let first = world.process(&stuck, &ONLY_TOO_LATE).await;
    world.given("OpenCart", open(1)).await;
    world.given("AbandonCart", json!({ "cart_id": cart_id(1) })).await;
    until("the reaction waits", async || world.waiting().await == 1).await;
    first.kill().await;
    let _second = world.process(&world.bus, &ONLY_TOO_LATE).await;
    world.pass(TimeDelta::seconds(61));
    until("the reaction is done", async || world.waiting().await == 0).await;
    assert_eq!(world.events(EXPIRED).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_of_an_unknown_reactor_is_not_changed() {
    let world = world().await;
    let (stuck, _work) = world.idle_bus();
    let newer = world.process(&stuck, &ONLY_TOO_LATE).await;
    world.given("OpenCart", open(1)).await;
    world.given("AbandonCart", json!({ "cart_id": cart_id(1) })).await;
    until("the reaction waits", async || world.waiting().await == 1).await;
    newer.kill().await;
    let _older = world.reactors().await;
    world.given("OpenCart", open(2)).await;
    world.pass(TimeDelta::days(7));
    until("the cart's reaction is done", async || world.events(EXPIRED).await.len() == 1).await;
    until("the unknown reaction is left", async || world.waiting().await == 1).await;
    assert_eq!(world.ask::<String>("SELECT reactor FROM reactions").await, "too_late");
}
