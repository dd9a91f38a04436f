//! Orders over HTTP: 1 to 3 lines of 1,000 products, prices and stock checked, order, stock and cart written, one command each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use daybook_bus::{Bus, BusSettings, Clock, clock::new_id};
use daybook_domain::ids::CartId;
use tokio::sync::Mutex;

use super::{
    ceiling,
    http::{Caller, Server},
    load::{Tally, drive},
    processes::Processes,
    report::Report,
    shop,
    stage::Stage,
};

const PRODUCTS: usize = 1_000;
/// The products of a comparison of processes. They are few, so that two processes that both decided would be in conflict.
const COMPARED_PRODUCTS: usize = 200;
/// How often the processes of a comparison take turns, so that both are measured on the same state of the machine.
const ROUNDS: u32 = 3;
/// The carts prepared for each second, more than can be ordered.
const CARTS_PER_SECOND: u64 = 9_000;
/// The size of an average event of an order.
const EVENT_BYTES: usize = 340;

pub(super) async fn measure(stage: &Stage, clients: u32, time: Duration) -> anyhow::Result<Report> {
    let ceiling = ceiling::batches(stage, EVENT_BYTES, Duration::from_secs(3)).await?;
    let server = Server::start(stage).await?;
    shop::stock_up(&server.bus, PRODUCTS, 1_000_000).await?;
    let carts = usize::try_from(time.as_secs() * CARTS_PER_SECOND)?;
    let carts = Arc::new(shop::fill_carts(&server.bus, PRODUCTS, carts).await?);
    let before = stage.book.head().await?.position;
    let mut callers = Vec::new();
    for _ in 0..clients {
        callers.push(server.caller().await?);
    }
    let tally = place(callers, &carts, &Arc::default(), time).await;
    let events = stage.book.head().await?.position - before;
    Ok(Report::new("place-order", clients, &tally, events, ceiling)
        .conflicting(server.bus.conflicts())
        .with("longest_ms", tally.longest()))
}

/// Compares so many command-apis, behind clients that use all of them, with one.
pub(super) async fn compare(stage: &Stage, clients: u32, time: Duration, count: u32) -> anyhow::Result<Report> {
    let ceiling = ceiling::batches(stage, EVENT_BYTES, Duration::from_secs(3)).await?;
    let (bus, stopped) = Bus::start(stage.book.clone(), Clock::system(), &BusSettings::default());
    shop::stock_up(&bus, COMPARED_PRODUCTS, 1_000_000).await?;
    let carts = usize::try_from(2 * time.as_secs() * CARTS_PER_SECOND)?;
    let carts = Arc::new(shop::fill_carts(&bus, COMPARED_PRODUCTS, carts).await?);
    drop(bus);
    stopped.await?;
    let processes = Processes::start(stage, count).await?;
    let before = stage.book.head().await?.position;
    let (mut one, mut all, next) = (Tally::default(), Tally::default(), Arc::new(AtomicUsize::new(0)));
    let many = usize::try_from(count)?;
    for _ in 0..ROUNDS {
        for (among, tally) in [(1, &mut one), (many, &mut all)] {
            let mut callers = Vec::new();
            for number in 0..clients {
                callers.push(processes.caller(number, among).await?);
            }
            tally.add_later(place(callers, &carts, &next, time / ROUNDS).await);
        }
    }
    let events = stage.book.head().await?.position - before;
    let (single, ratio) = (one.per_second(), all.per_second() / one.per_second());
    let [p50_ms_of_one, p99_ms_of_one] = one.percentiles([50, 99]);
    // The events of both are counted, so the rate is that of both.
    let share = events * i64::try_from(all.done)? / i64::try_from((one.done + all.done).max(1))?;
    Ok(Report::new("place-order", clients, &all, share, ceiling)
        .with("processes", count)
        .with("longest_ms", all.longest())
        .with("commands_per_s_of_one", single)
        .with("p50_ms_of_one", p50_ms_of_one)
        .with("p99_ms_of_one", p99_ms_of_one)
        .with("errors_of_one", one.failed)
        .with("ratio_to_one", ratio))
}

/// Orders carts for a time.
async fn place(callers: Vec<Caller>, carts: &Arc<Vec<CartId>>, next: &Arc<AtomicUsize>, time: Duration) -> Tally {
    let clients = u32::try_from(callers.len()).unwrap_or(u32::MAX);
    let callers: Vec<_> = callers.into_iter().map(|caller| Arc::new(Mutex::new(caller))).collect();
    drive(clients, time, |number| {
        let (carts, next) = (Arc::clone(carts), Arc::clone(next));
        let caller = Arc::clone(&callers[number as usize]);
        move || {
            let cart = carts.get(next.fetch_add(1, Ordering::Relaxed)).copied();
            let caller = Arc::clone(&caller);
            async move {
                let body = format!(r#"{{"cart_id":"{}","order_id":"{}"}}"#, cart?, new_id());
                Some(caller.lock().await.send("PlaceOrder", body).await)
            }
        }
    })
    .await
}
