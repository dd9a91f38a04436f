//! Leading: from the checkpoint, compared with the ends of the logs, through the book, for as long as no other relay leads.

use std::{sync::atomic::Ordering, time::Duration};

use daybook_event_store::{Daybook, Filter, Follower, RecordedEvent};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::{Relay, RelayError, adopt, checkpoint::Checkpoint, monitor::TopicMonitor, publish::Publisher, refill};

/// The most events between two checkpoints.
const BATCH: usize = 4_000;
/// How often an idle leader makes sure that it still leads, and that no request to republish waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What ends the wait of an idle leader.
enum Woken {
    Grown,
    StillLeading,
    AskedToRepublish,
    Stopped,
}

/// Leads until it is stopped, and has published what the book held at that moment.
pub(super) async fn lead(relay: &Relay, client: &mut Client, stop: &CancellationToken) -> Result<(), RelayError> {
    let Relay { book, settings, joined } = relay;
    settings.kafka.ensure_topics().await?;
    let shards = settings.kafka.topology.shards();
    let mut checkpoint = Checkpoint::take_over(client, &shards).await?;
    let history = book.head().await?.epoch;
    if checkpoint.adopt {
        adopt::adopt(book, settings, client, &shards, &mut checkpoint).await?;
    } else {
        refill::resume(book, settings, client, &shards, &mut checkpoint, history).await?;
    }
    tracing::info!(epoch = checkpoint.epoch, position = checkpoint.cursor, "the relay leads");
    joined.store(true, Ordering::Relaxed);
    let publisher = Publisher::new(&settings.kafka, history)?;
    let mut follower = book.follow();
    let mut events = Vec::new();
    let mut monitor = TopicMonitor::new();
    let mut last = None;
    while !is_done(book, stop, &checkpoint, &mut last).await? {
        monitor.poll(&publisher, &shards, &checkpoint.published).await?;
        let again = match events.last().map(|event: &RecordedEvent| event.position) {
            Some(last) => {
                // The next batch is read while this one is on its way.
                let more = events.len() == BATCH;
                let publish = publisher.publish(&events, &mut checkpoint.published);
                let (moved, next) = tokio::try_join!(publish, read(book, last, if more { BATCH } else { 0 }))?;
                count(events.len(), last);
                checkpoint.cursor = last;
                events = next;
                checkpoint.save(client, &shards, &moved).await?
            }
            None => match idle(&mut follower, &checkpoint, client, stop).await? {
                Woken::Grown | Woken::Stopped => {
                    events = read(book, checkpoint.cursor, BATCH).await?;
                    false
                }
                Woken::StillLeading => false,
                Woken::AskedToRepublish => true,
            },
        };
        if again {
            if checkpoint.asked_to_adopt(client).await? {
                adopt::adopt(book, settings, client, &shards, &mut checkpoint).await?;
            } else {
                refill::begin_again(book, settings, client, &shards, &mut checkpoint).await?;
            }
            events = read(book, checkpoint.cursor, BATCH).await?;
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

async fn read(book: &Daybook, after: i64, limit: usize) -> Result<Vec<RecordedEvent>, RelayError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    Ok(book.read_after(after, limit, &Filter::default()).await?)
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
            let asked = checkpoint.asked_to_republish(client).await?;
            Ok(if asked { Woken::AskedToRepublish } else { Woken::StillLeading })
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float; exact up to 2^53 events")]
fn count(events: usize, position: i64) {
    metrics::counter!("daybook_relay_events_total").increment(events as u64);
    metrics::gauge!("daybook_relay_position").set(position as f64);
}
