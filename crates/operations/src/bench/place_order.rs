//! Orders over HTTP: 1 to 3 lines of 1,000 products, prices and stock checked, order, stock and cart written, one command each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use daybook_bus::clock::new_id;
use tokio::sync::Mutex;

use super::{ceiling, http::Server, load::drive, report::Report, shop, stage::Stage};

const PRODUCTS: usize = 1_000;
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
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = Vec::new();
    for _ in 0..clients {
        callers.push(Arc::new(Mutex::new(server.caller().await?)));
    }
    let tally = drive(clients, time, |number| {
        let (carts, next) = (Arc::clone(&carts), Arc::clone(&next));
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
    .await;
    let events = stage.book.head().await?.position - before;
    Ok(Report::new("place-order", clients, &tally, events, ceiling).conflicting(server.bus.conflicts()))
}
