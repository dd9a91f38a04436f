//! The time from the answer of a command to its row in the read model, for the whole engine at a steady rate of orders. Within it a
//! customer does not find an order that was just placed.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::ensure;
use daybook_bus::{Bus, BusSettings, Clock, clock::new_id};
use daybook_domain::ids::CartId;
use daybook_event_stream::broker::Broker;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use uuid::Uuid;

use super::{
    ceiling,
    engine::{self, Parts, Start},
    http::{Caller, keys, token},
    load::{Call, Tally},
    report::Report,
    shop,
    stage::Stage,
};

const PRODUCTS: usize = 1_000;
/// Orders a second.
const RATE: u64 = 500;
/// The size of an average event of an order.
const EVENT_BYTES: usize = 340;
/// How often the read model is read. It is also the resolution of the measurement.
const POLL: Duration = Duration::from_millis(2);
/// How long the last row may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// An acknowledged order, with the time of its answer.
type Answered = (Uuid, Instant);

pub(super) async fn measure(stage: &Stage, start: &Start, clients: u32, time: Duration) -> anyhow::Result<Report> {
    let ceiling = ceiling::batches(stage, EVENT_BYTES, Duration::from_secs(3)).await?;
    let topics = engine::topics();
    let broker = Broker::start(topics.embedded()).await?;
    let kafka = topics.at_embedded(broker.bootstrap_servers());
    let running = start(engine::on(stage, Parts::CommandsToViews, kafka)?).await?;
    let carts = set_up(stage, usize::try_from(time.as_secs() * RATE)?).await?;
    let before = stage.book.head().await?.position;
    let (answered, looked_for) = mpsc::unbounded_channel();
    let looking = tokio::spawn(look(stage.connect().await?, looked_for));
    let answers = order_all(running.address, clients, carts, &answered).await?;
    drop(answered);
    let mut seen = looking.await??;
    ensure!(seen.done == answers.done, "{} were answered, {} were seen", answers.done, seen.done);
    seen.failed = answers.failed + answers.refused;
    let events = stage.book.head().await?.position - before;
    running.stop.await?;
    let [answer_p50, answer_p99] = answers.percentiles([50, 99]);
    Ok(Report::new("end-to-end", clients, &seen, events, ceiling)
        .with("orders_per_s_offered", RATE)
        .with("answer_p50_ms", answer_p50)
        .with("answer_p99_ms", answer_p99))
}

/// Fills carts, and waits until the read models show them.
async fn set_up(stage: &Stage, carts: usize) -> anyhow::Result<Vec<CartId>> {
    let (bus, stopped) = Bus::start(stage.book.clone(), Clock::system(), &BusSettings::default());
    shop::stock_up(&bus, PRODUCTS, 1_000_000).await?;
    let carts = shop::fill_carts(&bus, PRODUCTS, carts).await?;
    drop(bus);
    stopped.await?;
    let head = stage.book.head().await?.position;
    let client = stage.connect().await?;
    let behind = "SELECT count(*) FROM read.view_status WHERE position < $1";
    while client.query_one(behind, &[&head]).await?.try_get::<_, i64>(0)? > 0 {
        sleep(Duration::from_millis(50)).await;
    }
    Ok(carts)
}

/// Orders the carts at the fixed rate, however long answers take. Reports the time of each answer.
async fn order_all(
    address: SocketAddr,
    clients: u32,
    carts: Vec<CartId>,
    answered: &mpsc::UnboundedSender<Answered>,
) -> anyhow::Result<Tally> {
    let token = token(&keys()?)?;
    let (offer, offered) = mpsc::channel(carts.len().max(1));
    let offered = Arc::new(Mutex::new(offered));
    let mut callers = JoinSet::new();
    for _ in 0..clients {
        let caller = Caller::connect(address, &token).await?;
        callers.spawn(call(caller, Arc::clone(&offered), answered.clone()));
    }
    let mut pace = interval(Duration::from_secs(1) / u32::try_from(RATE)?);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for cart in carts {
        pace.tick().await;
        offer.send((cart, Instant::now())).await?;
    }
    drop(offer);
    let mut total = Tally::default();
    while let Some(tally) = callers.join_next().await {
        total.add(tally?);
    }
    Ok(total)
}

async fn call(
    mut caller: Caller,
    offered: Arc<Mutex<mpsc::Receiver<(CartId, Instant)>>>,
    answered: mpsc::UnboundedSender<Answered>,
) -> Tally {
    let mut tally = Tally::default();
    loop {
        let next = offered.lock().await.recv().await;
        let Some((cart, since)) = next else { return tally };
        let order = new_id();
        let body = format!(r#"{{"cart_id":"{cart}","order_id":"{order}"}}"#);
        let outcome = caller.send("PlaceOrder", body).await;
        tally.count(outcome, since.elapsed());
        if outcome == Call::Done && answered.send((order, Instant::now())).is_err() {
            // The reader of the read model has failed, and reports that itself.
            return tally;
        }
    }
}

/// Polls for the rows of answered orders until all have appeared, and counts how long each took.
async fn look(
    client: tokio_postgres::Client,
    mut answered: mpsc::UnboundedReceiver<Answered>,
) -> anyhow::Result<Tally> {
    // The plan is made while the table is empty, so sequential scans are disabled.
    let rows = "SELECT id FROM unnest($1::uuid[]) AS id
                CROSS JOIN LATERAL (SELECT FROM read.orders WHERE order_id = id OFFSET 0) AS seen";
    let rows = client.prepare(rows).await?;
    let mut missing: HashMap<Uuid, Instant> = HashMap::new();
    let mut tally = Tally::default();
    let begin = Instant::now();
    let mut last = begin;
    loop {
        while let Ok((order, at)) = answered.try_recv() {
            missing.insert(order, at);
        }
        if missing.is_empty() && answered.is_closed() && answered.is_empty() {
            return Ok(tally);
        }
        let ids: Vec<&Uuid> = missing.keys().collect();
        let found = client.query(&rows, &[&ids]).await?;
        let now = Instant::now();
        for row in found {
            if let Some(at) = missing.remove(&row.try_get::<_, Uuid>(0)?) {
                tally.count(Call::Done, now - at);
                (tally.elapsed, last) = (now - begin, now);
            }
        }
        ensure!(now - last < PATIENCE, "{} orders did not appear in {PATIENCE:?}", missing.len());
        sleep(POLL).await;
    }
}
