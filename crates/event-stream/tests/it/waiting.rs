//! An event of a newer program is no poison: its stream waits for a program that knows it, and that program goes on by itself.

use daybook_event_stream::{consumer::parked, progress};

use crate::{
    ledger::Ledger,
    world::{World, until, world},
};

/// The streams that wait, and those that are parked.
async fn streams(world: &World) -> (Vec<String>, Vec<String>) {
    let list = parked::list(&world.book).await.expect("an answer");
    let (waiting, parked): (Vec<_>, Vec<_>) = list.into_iter().partition(|event| event.waiting);
    let streams = |events: Vec<parked::ParkedEvent>| events.into_iter().map(|event| event.stream_id).collect();
    (streams(waiting), streams(parked))
}

#[tokio::test]
async fn a_stream_with_an_event_of_a_newer_program_waits_and_a_program_that_knows_it_goes_on() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    let older = Ledger::default();
    *older.newer.lock().expect("no panic") = vec![2];
    let consumer = world.consume(&older);
    world.append(["order-1", "order-1", "order-2", "order-1"]).await;
    world.ledger_has(2).await;
    until("the stream waits", async || streams(&world).await.0.len() == 2).await;
    world.append(["order-1", "order-2"]).await;
    world.ledger_has(3).await;
    until("what follows waits as well", async || streams(&world).await.0.len() == 3).await;
    assert_eq!(streams(&world).await.1, [] as [&str; 0]);
    let progress = progress::list(&world.book).await.expect("an answer");
    assert_eq!((progress[0].waiting, progress[0].parked), (3, 0));
    consumer.stop().await;

    let consumer = world.consume(&Ledger::default());
    world.ledger_has(6).await;
    world.assert_ledger_is_whole().await;
    assert_eq!(streams(&world).await, (vec![], vec![]));
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_running_program_takes_up_what_an_older_one_beside_it_has_parked_as_unknown() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    let older = Ledger::default();
    *older.poison.lock().expect("no panic") = vec![2];
    *older.poison_reason.lock().expect("no panic") = "there is no event type `order.GiftWrapped`".to_owned();
    let consumer = world.consume(&older);
    world.append(["order-1", "order-2", "order-2", "order-3"]).await;
    world.ledger_has(2).await;
    until("the stream is parked", async || streams(&world).await.1.len() == 2).await;
    older.poison.lock().expect("no panic").clear();
    world.ledger_has(4).await;
    world.assert_ledger_is_whole().await;
    assert_eq!(streams(&world).await, (vec![], vec![]));
    consumer.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn poison_in_a_stream_that_waits_does_not_hold_up_the_others_that_wait() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    let ledger = Ledger::default();
    *ledger.newer.lock().expect("no panic") = vec![1, 2];
    let consumer = world.consume(&ledger);
    world.append(["order-1", "order-2", "order-1", "order-3"]).await;
    world.ledger_has(1).await;
    until("both streams wait", async || streams(&world).await.0.len() == 3).await;
    *ledger.poison.lock().expect("no panic") = vec![3];
    ledger.newer.lock().expect("no panic").clear();
    world.ledger_has(2).await;
    until("the poisoned stream is parked", async || streams(&world).await.1.len() == 2).await;
    assert_eq!(streams(&world).await, (vec![], vec!["order-1".to_owned(); 2]));
    consumer.stop().await;
    relay.stop().await;
}
