//! Looking after the topics: one that was lost, or made anew by somebody else, is noticed though nothing is published to it.

use std::time::{Duration, Instant};

use rdkafka::producer::Producer;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{RelayError, checkpoint::Last, publish::Publisher};
use crate::{kafka::TIMEOUT, topology::Shard};

/// How long to wait after a look before the next one.
const EVERY: Duration = Duration::from_secs(5);

/// Looks now and then, beside whatever the leader does.
pub(super) struct Lookout {
    looked: Instant,
    looking: Option<JoinHandle<Result<(), RelayError>>>,
}

impl Lookout {
    /// The leader has just seen the topics.
    pub(super) fn new() -> Self {
        Self { looked: Instant::now(), looking: None }
    }

    /// Tells what a look has found that has ended, and begins one when it is time. Does not wait.
    pub(super) async fn report(
        &mut self,
        publisher: &Publisher,
        shards: &[Shard],
        lasts: &[Option<Last>],
    ) -> Result<(), RelayError> {
        match self.looking.take() {
            Some(looking) if looking.is_finished() => {
                self.looked = Instant::now();
                looking.await.map_err(|_| RelayError::Interrupted)?
            }
            None if self.looked.elapsed() >= EVERY => {
                self.looking = look(publisher, shards, lasts);
                Ok(())
            }
            looking => {
                self.looking = looking;
                Ok(())
            }
        }
    }
}

/// Whether the partitions reach as far as what was published to them, or farther.
fn look(publisher: &Publisher, shards: &[Shard], lasts: &[Option<Last>]) -> Option<JoinHandle<Result<(), RelayError>>> {
    let producer = publisher.producer()?;
    let (shards, lasts) = (shards.to_vec(), lasts.to_vec());
    Some(spawn_blocking(move || {
        for (Shard { topic, partition, .. }, last) in shards.into_iter().zip(lasts) {
            let (_, high) = producer.client().fetch_watermarks(&topic, partition, TIMEOUT)?;
            if last.is_some_and(|last| high <= last.offset) {
                return Err(RelayError::MadeAnew { topic, partition });
            }
        }
        Ok(())
    }))
}
