//! A flash sale over HTTP: one SKU, and buyers that never pause. The units sold must equal the units in stock.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use daybook_bus::clock::new_id;
use tokio::sync::Mutex;

use super::{ceiling, http::Server, load::Call, load::drive, processes::Processes, report::Report, shop, stage::Stage};

/// The units in stock.
const STOCK: i64 = 10_000;
/// The size of a reservation as an event.
const EVENT_BYTES: usize = 200;
/// The number of refusals after which a buyer leaves.
const PATIENCE: u32 = 20;

pub(super) async fn measure(stage: &Stage, clients: u32, time: Duration, processes: u32) -> anyhow::Result<Report> {
    let ceiling = ceiling::batches(stage, EVENT_BYTES, Duration::from_secs(3)).await?;
    let server = Server::start(stage).await?;
    shop::stock_up(&server.bus, 1, STOCK).await?;
    let several = if processes > 1 { Some(Processes::start(stage, processes).await?) } else { None };
    let before = stage.book.head().await?.position;
    let mut callers = Vec::new();
    for number in 0..clients {
        let caller = match &several {
            Some(several) => several.caller(number, usize::try_from(processes)?).await?,
            None => server.caller().await?,
        };
        callers.push(Arc::new(Mutex::new((caller, PATIENCE))));
    }
    let tally = drive(clients, time, |number| {
        let caller = Arc::clone(&callers[number as usize]);
        move || {
            let caller = Arc::clone(&caller);
            async move {
                let (caller, patience) = &mut *caller.lock().await;
                let id = new_id();
                let body = format!(
                    r#"{{"sku":"{}","reservation_id":"{id}","owner":"buyer:{id}","quantity":1}}"#,
                    shop::sku(0)
                );
                *patience = patience.checked_sub(1)?;
                let call = caller.send("ReserveStock", body).await;
                if call == Call::Done {
                    *patience = PATIENCE;
                }
                Some(call)
            }
        }
    })
    .await;
    let events = stage.book.head().await?.position - before;
    let reserved = reserved(stage).await?;
    let oversold = (reserved - STOCK).max(0);
    ensure!(i64::try_from(tally.done)? == reserved, "{} were accepted, {reserved} are in the book", tally.done);
    Ok(Report::new("flash-sale", clients, &tally, events, ceiling)
        .conflicting(server.bus.conflicts())
        .with("processes", processes)
        .with("longest_ms", tally.longest())
        .with("stock", STOCK)
        .with("reserved", reserved)
        .with("oversold", oversold))
}

/// The reserved units, by the book.
async fn reserved(stage: &Stage) -> anyhow::Result<i64> {
    let client = stage.connect().await?;
    let sum = "SELECT coalesce(sum((data ->> 'quantity')::bigint), 0)::bigint FROM events WHERE type = 'inventory.StockReserved'";
    Ok(client.query_one(sum, &[]).await?.try_get(0)?)
}
