//! Several processes share the partitions, and a process that has lost a partition commits nothing to it.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use crate::{
    ledger::Ledger,
    world::{until, world},
};

#[tokio::test]
async fn two_consumers_share_the_partitions_and_every_event_is_applied_once() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    let (ann, bob) = (Ledger { writer: "ann", ..Ledger::default() }, Ledger { writer: "bob", ..Ledger::default() });
    let first = world.consume(&ann);
    world.append_many(200).await;
    world.ledger_has(200).await;
    let second = world.consume(&bob);
    let wrote = async |writer: &str| world.ledger().await.iter().any(|entry| entry.writer == writer);
    until("both processes write", async || {
        world.append_many(20).await;
        wrote("bob").await && world.ledger().await.last().is_some_and(|entry| entry.writer == "ann")
    })
    .await;
    // One process is killed while it works, and starts again.
    world.append_many(500).await;
    first.kill().await;
    world.append_many(500).await;
    let restarted = Ledger { writer: "ann, restarted", ..Ledger::default() };
    let third = world.consume(&restarted);
    until("the restarted process writes", async || {
        world.append_many(20).await;
        wrote("ann, restarted").await
    })
    .await;
    second.stop().await;
    let head = world.append_many(100).await;
    world.ledger_has(usize::try_from(head).expect("a small number")).await;
    world.assert_ledger_is_whole().await;
    let writers: BTreeSet<String> = world.ledger().await.into_iter().map(|entry| entry.writer).collect();
    assert_eq!(writers.len(), 3, "{writers:?}");
    third.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_task_that_has_lost_its_partition_cannot_commit() {
    let world = world().await;
    world.open_ledger().await;
    let relay = world.relay();
    world.append(["order-1"]).await;
    let ledger = Ledger::default();
    let consumer = world.consume(&ledger);
    world.ledger_has(1).await;

    let closed = ledger.gate.lock().await;
    let calls = ledger.calls.load(Ordering::SeqCst);
    world.append(["order-1"]).await;
    until("the effect is called", async || ledger.calls.load(Ordering::SeqCst) > calls).await;
    let database = world.database.connect().await;
    let taken = "UPDATE consumer_checkpoints SET generation = generation + 1 WHERE position > 0";
    assert_eq!(database.execute(taken, &[]).await.expect("another process takes the partition over"), 1);
    drop(closed);
    // The commit was refused. The consumer has read the checkpoint again and taken the partition over again.
    world.ledger_has(2).await;
    assert!(ledger.calls.load(Ordering::SeqCst) >= calls + 2);
    world.assert_ledger_is_whole().await;
    consumer.stop().await;
    relay.stop().await;
}
