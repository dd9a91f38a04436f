//! From messages to what has to be taken in: without duplicates, without gaps.

use std::collections::BTreeMap;

use daybook_event_store::{Daybook, Filter, RecordedEvent};

use super::{
    ConsumerError,
    checkpoints::{Checkpoint, Partition},
    messages::Received,
};
use crate::Topology;

/// How many events are read at once to fill a gap.
const FILL: usize = 5_000;

/// What has to be taken in, and where it leads.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) events: Vec<RecordedEvent>,
    pub(super) after: BTreeMap<Partition, Checkpoint>,
}

/// Sorts out what was received. Messages of partitions without a checkpoint here belong to somebody else by now.
pub(super) async fn sort_out(
    book: &Daybook,
    topology: &Topology,
    checkpoints: &BTreeMap<Partition, Checkpoint>,
    received: Vec<Received>,
) -> Result<Batch, ConsumerError> {
    let mut batch = Batch::default();
    for Received { partition, offset, delivery } in received {
        let Some(known) = batch.after.get(&partition).or_else(|| checkpoints.get(&partition)).copied() else {
            continue;
        };
        let delivery = match delivery {
            Ok(delivery) => delivery,
            Err(error) => {
                // Not the relay's. Were it an event that was spoiled, the next message shows the gap and the book fills it.
                tracing::error!(%error, topic = partition.0, partition = partition.1, offset, "a foreign message");
                continue;
            }
        };
        let position = delivery.event.position;
        if position <= known.position {
            metrics::counter!("daybook_consumer_duplicates_total").increment(1);
            if offset > known.offset {
                batch.after.insert(partition, Checkpoint { offset, ..known });
            }
            continue;
        }
        if delivery.prev_sequence > known.position {
            metrics::counter!("daybook_consumer_gaps_total").increment(1);
            let missed = fill(book, topology, &partition, known.position, delivery.prev_sequence).await?;
            batch.events.extend(missed);
        }
        batch.events.push(delivery.event);
        batch.after.insert(partition, Checkpoint { offset, position });
    }
    Ok(batch)
}

/// The events of a partition after one position up to another, from the book.
async fn fill(
    book: &Daybook,
    topology: &Topology,
    (topic, partition): &Partition,
    after: i64,
    up_to: i64,
) -> Result<Vec<RecordedEvent>, ConsumerError> {
    let mut missed = Vec::new();
    let mut from = after;
    while from < up_to {
        let read = book.read_after(from, FILL, &Filter::default()).await?;
        let Some(last) = read.last() else { break };
        from = last.position;
        let own = |event: &RecordedEvent| event.position <= up_to && topology.is_in(event, topic, *partition);
        missed.extend(read.into_iter().filter(own));
    }
    tracing::info!(topic, partition, after, up_to, events = missed.len(), "a gap was filled from the book");
    Ok(missed)
}
