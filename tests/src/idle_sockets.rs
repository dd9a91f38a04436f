//! Many idle WebSockets: how much memory they take, and whether the shop still answers.
//!
//! What belongs here: opening the sockets, sending commands and queries meanwhile, and checking that the sockets are still open. Their
//! number and the duration are chosen by the test and the binary of the same name.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::{
    Shop,
    socket::{self, PATIENCE, Socket},
};

/// How many sockets are opened at the same time.
const OPENING: usize = 64;
/// The number of sockets, and the load meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many sockets are initialised and have no subscription.
    pub silent: usize,
    /// How many sockets subscribe to events.
    pub subscribed: usize,
    /// The number of commands that are sent meanwhile, each followed by a query that shows its effect.
    pub asked: usize,
    /// For how long the sockets are idle first.
    pub idle: Duration,
}

/// The measurements.
#[derive(Debug)]
pub struct Report {
    /// How many kilobytes the shop took per socket, subscriptions included.
    pub kb_per_socket: f64,
    /// How many seconds it took until all sockets were open.
    pub opened_in: Duration,
    /// How long commands and queries took, in ascending order.
    pub answers: Vec<Duration>,
    /// For each command, how long it took until every subscriber had its event, in ascending order.
    pub delivered: Vec<Duration>,
}

impl Report {
    /// A percentile of times in ascending order.
    #[must_use]
    pub fn percentile(of: &[Duration], percent: usize) -> Duration {
        let at = (of.len() * percent).div_ceil(100).saturating_sub(1);
        of.get(at).copied().unwrap_or_default()
    }
}

/// Opens the sockets on a shop that sells the SKU `oat`, waits, and sends the load. Then it checks that all sockets are open and that
/// every subscriber got every event.
///
/// # Errors
/// When a socket cannot be opened, is closed, or misses an event, or when the shop does not answer.
pub async fn run(shop: &Shop, plan: &Plan) -> anyhow::Result<Report> {
    let head = position(&receive_stock(shop).await?)?;
    let before = shop.resident_kb()?;
    let begin = Instant::now();
    let (positions, mut received) = mpsc::unbounded_channel();
    let mut sockets = JoinSet::new();
    for (socket, subscribed) in open_all(shop, plan, head).await? {
        sockets.spawn(keep(socket, subscribed.then(|| positions.clone())));
    }
    let opened_in = begin.elapsed();
    tokio::time::sleep(plan.idle).await;
    let taken = shop.resident_kb()?.saturating_sub(before);
    let (mut answers, mut delivered) = (Vec::new(), Vec::new());
    for _ in 0..plan.asked {
        let begin = Instant::now();
        let expected = position(&receive_stock(shop).await?)?;
        answers.push(begin.elapsed());
        let asked = Instant::now();
        see(shop, expected).await?;
        answers.push(asked.elapsed());
        for nr in 0..plan.subscribed {
            let heard = timeout(PATIENCE, received.recv()).await;
            let heard = heard.with_context(|| format!("only {nr} sockets got position {expected}"))?;
            ensure!(heard == Some(expected), "a socket got {heard:?} instead of {expected}");
        }
        delivered.push(begin.elapsed());
    }
    if let Some(ended) = sockets.try_join_next() {
        bail!("a socket was closed: {:?}", ended?);
    }
    answers.sort_unstable();
    delivered.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let kb_per_socket = taken as f64 / (plan.silent + plan.subscribed).max(1) as f64;
    Ok(Report { kb_per_socket, opened_in, answers, delivered })
}

async fn open_all(shop: &Shop, plan: &Plan, head: i64) -> anyhow::Result<Vec<(Socket, bool)>> {
    let all = plan.silent + plan.subscribed;
    // Sockets of both kinds are mixed from the beginning.
    let opening = (0..all).map(|nr| {
        let subscribed = (nr + 1) * plan.subscribed / all != nr * plan.subscribed / all;
        async move { Ok((open(shop, subscribed.then_some(head)).await?, subscribed)) }
    });
    stream::iter(opening).buffer_unordered(OPENING).try_collect().await
}

/// A socket to the back-office. If a position is given, it subscribes to the events after that.
async fn open(shop: &Shop, after: Option<i64>) -> anyhow::Result<Socket> {
    let mut socket = socket::open(shop).await?;
    if let Some(after) = after {
        let query = format!("subscription {{ eventAppended(after: {after}) {{ position }} }}");
        socket::subscribe(&mut socket, &query).await?;
    }
    Ok(socket)
}

/// Reads a socket, which answers pings, and sends the positions of its events to the channel. Returns why the socket ended.
async fn keep(mut socket: Socket, channel: Option<mpsc::UnboundedSender<i64>>) -> String {
    loop {
        let message = match socket.next().await {
            Some(Ok(message)) => message,
            ended => return format!("{ended:?}"),
        };
        let Message::Text(text) = &message else {
            if message.is_close() {
                return format!("{message:?}");
            }
            continue;
        };
        let event: Value = serde_json::from_str(text).unwrap_or_default();
        match (event["payload"]["data"]["eventAppended"]["position"].as_i64(), &channel) {
            (Some(position), Some(channel)) => drop(channel.send(position)),
            _ => return format!("an unexpected message: {text}"),
        }
    }
}

async fn receive_stock(shop: &Shop) -> anyhow::Result<Value> {
    let body = json!({ "sku": "oat", "quantity": 1 });
    let answer = shop.command_as(shop.ready("admin_token"), "ReceiveStock", Uuid::nil(), &body).await;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body)
}

fn position(receipt: &Value) -> anyhow::Result<i64> {
    receipt["position"].as_i64().context("a receipt has a position")
}

/// Queries the stock at a position.
async fn see(shop: &Shop, position: i64) -> anyhow::Result<()> {
    let query = format!("{{ stock(sku: \"oat\", minPosition: {position}) {{ onHand }} }}");
    let answer = shop.graphql("/admin/graphql", Some(shop.ready("admin_token")), &query, &json!({})).await;
    ensure!(answer.body["data"]["stock"][0]["onHand"].is_i64(), "{answer:?}");
    Ok(())
}
