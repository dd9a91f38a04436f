//! Making topics this book's: after a restore they hold events that the book has left behind.
//!
//! The topics stay: whoever reads them finds the whole book after what it has read, each event with the history that it is of.

use daybook_event_store::Daybook;
use tokio_postgres::Client;

use super::{
    RelayError, RelaySettings,
    checkpoint::{Checkpoint, Last},
    empty::{empty, is_refused},
    refill, tails,
};
use crate::topology::Shard;

/// Removes what is in the topics, and begins again.
pub(super) async fn adopt(
    book: &Daybook,
    settings: &RelaySettings,
    client: &mut Client,
    shards: &[Shard],
    checkpoint: &mut Checkpoint,
) -> Result<(), RelayError> {
    let ends = tails::ends(&settings.kafka, shards).await?;
    tracing::warn!("the topics may hold another history; they are emptied and filled from the book");
    match empty(&settings.kafka, shards.iter().zip(ends.watermarks.iter().copied())).await {
        Err(RelayError::Kafka(error)) if is_refused(&error) => {
            // Asking once more would not help, and nothing would be published meanwhile.
            checkpoint.give_up_adopting(client).await?;
            return Err(RelayError::NotAdopted(error));
        }
        emptied => emptied?,
    }
    for (index, (_, high)) in ends.watermarks.iter().enumerate() {
        checkpoint.lasts[index] = Some(Last { position: 0, offset: high - 1 });
        checkpoint.clusters[index].clone_from(&ends.cluster);
    }
    refill::begin_again(book, settings, client, shards, checkpoint).await
}
