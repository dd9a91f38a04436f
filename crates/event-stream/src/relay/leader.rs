//! Leading: from the checkpoint, compared with the ends of the logs, through the book, for as long as no other relay leads.

use std::{sync::atomic::Ordering, time::Duration};

use daybook_event_store::{Daybook, Follower, Page};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::{
    Relay, RelayError, adopt,
    checkpoint::{Checkpoint, Request},
    monitor::TopicMonitor,
    publish::Publisher,
    refill, set_aside,
};
use crate::{bounds::PAGE_BYTES, signature::WireKeys};

/// The most events between two checkpoints.
const BATCH: usize = 4_000;
/// How often an idle leader makes sure that it still leads, and that no request to republish waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What ends the wait of an idle leader.
enum Woken {
    Grown,
    StillLeading,
    Asked,
    Stopped,
}

/// Leads until it is stopped, and has published what the book held at that moment. Events up to the position `one_by_one` are published
/// one by one.
pub(super) async fn lead(
    relay: &Relay,
    client: &mut Client,
    stop: &CancellationToken,
    one_by_one: i64,
) -> Result<(), RelayError> {
    let Relay { book, settings, joined } = relay;
    settings.kafka.ensure_topics().await?;
    let shards = settings.kafka.topology.shards();
    let mut checkpoint = Checkpoint::take_over(client, &shards).await?;
    let history = book.head().await?.epoch;
    let keys = WireKeys::load(book).await?;
    if checkpoint.adopt {
        adopt::adopt(book, settings, client, &shards, &mut checkpoint).await?;
    } else {
        refill::resume(book, settings, client, &shards, &mut checkpoint, (history, &keys)).await?;
    }
    set_aside::begin_again(client, &settings.kafka.topology, &shards, &mut checkpoint).await?;
    tracing::info!(epoch = checkpoint.epoch, position = checkpoint.cursor, "the relay leads");
    joined.store(true, Ordering::Relaxed);
    let mut publisher = Publisher::new(&settings.kafka, history, set_aside::positions(client).await?, keys)?;
    let read = |after: i64| book.read_page(after, if after < one_by_one { 1 } else { BATCH }, PAGE_BYTES);
    let mut follower = book.follow();
    let mut page = Page::default();
    let mut monitor = TopicMonitor::new();
    let mut last = None;
    while !is_done(book, stop, &checkpoint, &mut last).await? {
        monitor.poll(&publisher, &shards, &checkpoint.published).await?;
        publisher.refresh_keys(book).await?;
        let is_asked = match page.events.last().map(|event| event.position) {
            Some(last) => {
                // The next batch is read while this one is on its way.
                let next = async { if page.is_last { Ok(Page::default()) } else { Ok(read(last).await?) } };
                let publish = publisher.publish(&page.events, &mut checkpoint.published);
                let (moved, next) = tokio::try_join!(publish, next)?;
                count(page.events.len(), last);
                checkpoint.cursor = last;
                page = next;
                checkpoint.save(client, &shards, &moved).await?
            }
            None => match idle(&mut follower, &checkpoint, client, stop).await? {
                Woken::Grown | Woken::Stopped => {
                    page = read(checkpoint.cursor).await?;
                    false
                }
                Woken::StillLeading => false,
                Woken::Asked => true,
            },
        };
        if is_asked {
            match checkpoint.request(client).await? {
                Some(Request::Adopt) => adopt::adopt(book, settings, client, &shards, &mut checkpoint).await?,
                Some(Request::Republish) => {
                    refill::begin_again(book, settings, client, &shards, &mut checkpoint).await?;
                }
                Some(Request::Retry) => {
                    set_aside::begin_again(client, &settings.kafka.topology, &shards, &mut checkpoint).await?;
                    publisher.set_aside(set_aside::positions(client).await?);
                }
                None => {}
            }
            page = read(checkpoint.cursor).await?;
        }
    }
    Ok(())
}

/// Whether a leader that is stopped has published everything up to `last`, the head of the book when it was stopped. What is written
/// later is left to the next leader.
async fn is_done(
    book: &Daybook,
    stop: &CancellationToken,
    checkpoint: &Checkpoint,
    last: &mut Option<i64>,
) -> Result<bool, RelayError> {
    if !stop.is_cancelled() {
        return Ok(false);
    }
    let last = match *last {
        Some(last) => last,
        None => *last.insert(book.head().await?.position),
    };
    Ok(checkpoint.cursor >= last)
}

/// Waits for something to do.
async fn idle(
    follower: &mut Follower,
    checkpoint: &Checkpoint,
    client: &Client,
    stop: &CancellationToken,
) -> Result<Woken, RelayError> {
    tokio::select! {
        _ = follower.past(checkpoint.cursor) => Ok(Woken::Grown),
        () = stop.cancelled() => Ok(Woken::Stopped),
        () = tokio::time::sleep(LOOK_EVERY) => {
            Ok(if checkpoint.request(client).await?.is_some() { Woken::Asked } else { Woken::StillLeading })
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float; exact up to 2^53 events")]
fn count(events: usize, position: i64) {
    metrics::counter!("daybook_relay_events_total").increment(events as u64);
    metrics::gauge!("daybook_relay_position").set(position as f64);
}
