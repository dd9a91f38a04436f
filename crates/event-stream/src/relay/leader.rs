//! Leading: from the checkpoint, checked against the ends of the partitions, through the book, for as long as nobody else
//! leads.

use daybook_event_store::{Daybook, Filter, Follower};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::{RelayError, RelaySettings, checkpoint::Checkpoint, publish::Publisher, tails};

/// The most events between two checkpoints.
const BATCH: usize = 2_000;

pub(super) async fn lead(
    book: &Daybook,
    settings: &RelaySettings,
    client: &mut Client,
    stop: &CancellationToken,
) -> Result<(), RelayError> {
    let mut checkpoint = Checkpoint::take_over(client).await?;
    settings.kafka.ensure_topics().await?;
    let mut before_first = resume(book, settings, client, &mut checkpoint).await?;
    tracing::info!(epoch = checkpoint.epoch, position = checkpoint.position, "the relay leads");
    let publisher = Publisher::new(&settings.kafka)?;
    let mut follower = book.follow();
    loop {
        let events = book.read_after(checkpoint.position, BATCH, &Filter::default()).await?;
        if let Some(last) = events.last() {
            publisher.publish(&events, &mut checkpoint.partitions, before_first).await?;
            checkpoint.position = last.position;
            metrics::counter!("daybook_relay_events_total").increment(events.len() as u64);
            if checkpoint.save(client).await? {
                before_first = refill(book, settings, client, &mut checkpoint).await?;
            }
        }
        metrics::gauge!("daybook_relay_position").set(precise(checkpoint.position));
        if events.len() < BATCH && !wait(&mut follower, &mut checkpoint, client, stop).await? {
            return Ok(());
        }
    }
}

/// Waits for the book to grow; `false` when it is time to stop. Now and then it makes sure that it still leads.
async fn wait(
    follower: &mut Follower,
    checkpoint: &mut Checkpoint,
    client: &mut Client,
    stop: &CancellationToken,
) -> Result<bool, RelayError> {
    const STILL_LEADING: std::time::Duration = std::time::Duration::from_secs(2);
    loop {
        tokio::select! {
            _ = follower.past(checkpoint.position) => return Ok(true),
            () = stop.cancelled() => return Ok(false),
            () = tokio::time::sleep(STILL_LEADING) => {
                if checkpoint.save(client).await? {
                    checkpoint.reset(client, 0).await?;
                    return Ok(true);
                }
            }
        }
    }
}

/// Compares the checkpoint with what the broker has, and moves it to where they agree. Returns the position before the first
/// event that a partition without events can get.
async fn resume(
    book: &Daybook,
    settings: &RelaySettings,
    client: &mut Client,
    checkpoint: &mut Checkpoint,
) -> Result<i64, RelayError> {
    let found = tails::read(&settings.kafka).await?;
    if tails::fit(&checkpoint.partitions, &found) {
        checkpoint.partitions = found;
        return Ok(0);
    }
    tracing::warn!("a topic was lost or made anew; it is filled from the book");
    let before_first = refill(book, settings, client, checkpoint).await?;
    checkpoint.partitions = found;
    Ok(before_first)
}

/// Begins again: at the start of the book, or as far back as the broker can hold.
async fn refill(
    book: &Daybook,
    settings: &RelaySettings,
    client: &mut Client,
    checkpoint: &mut Checkpoint,
) -> Result<i64, RelayError> {
    let after = match settings.refill_bytes {
        None => 0,
        Some(bytes) => start_of_tail(book, bytes).await?,
    };
    checkpoint.reset(client, after).await?;
    Ok(after)
}

/// The position after which the rest of the book has about this many bytes.
async fn start_of_tail(book: &Daybook, bytes: i64) -> Result<i64, RelayError> {
    /// What an event costs on the wire beside its data.
    const ENVELOPE_BYTES: i64 = 1_500;
    let client = book.pool().get().await.map_err(daybook_event_store::StoreError::from)?;
    let row = client
        .query_one(
            "SELECT coalesce(max(position), 0) FROM (
                 SELECT position, sum(octet_length(data::text) + $2::bigint) OVER (ORDER BY position DESC) AS bytes
                 FROM (SELECT position, data FROM events ORDER BY position DESC LIMIT $1::bigint / $2::bigint) AS last
             ) AS tail WHERE bytes > $1::bigint",
            &[&bytes, &ENVELOPE_BYTES],
        )
        .await?;
    let by_size: i64 = row.try_get(0)?;
    let head = book.head().await?.position;
    // Where even the smallest events are too many, the look-back itself was the bound.
    Ok(by_size.max(head - bytes / ENVELOPE_BYTES).max(0))
}

/// A position as a metric, which is a float.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 events")]
fn precise(position: i64) -> f64 {
    position as f64
}
