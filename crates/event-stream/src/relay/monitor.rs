//! Monitoring the topics: a topic that was lost, or created again by another program, is noticed though nothing is published to it.

use std::time::{Duration, Instant};

use rdkafka::producer::Producer;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{RelayError, checkpoint::PublishedOffset, publish::Publisher};
use crate::{kafka::TIMEOUT, topology::Shard};

/// The time between the end of one check and the next one.
const EVERY: Duration = Duration::from_secs(5);

/// Checks the ends of the logs now and then, beside the work of the leader.
pub(super) struct TopicMonitor {
    checked: Instant,
    check: Option<JoinHandle<Result<(), RelayError>>>,
}

impl TopicMonitor {
    /// The leader has just read the ends of the logs.
    pub(super) fn new() -> Self {
        Self { checked: Instant::now(), check: None }
    }

    /// Returns what a check has found that has ended, and starts a check when it is due. Does not wait.
    pub(super) async fn poll(
        &mut self,
        publisher: &Publisher,
        shards: &[Shard],
        published: &[Option<PublishedOffset>],
    ) -> Result<(), RelayError> {
        match self.check.take() {
            Some(check) if check.is_finished() => {
                self.checked = Instant::now();
                check.await.map_err(|_| RelayError::Interrupted)?
            }
            None if self.checked.elapsed() >= EVERY => {
                self.check = check(publisher, shards, published);
                Ok(())
            }
            check => {
                self.check = check;
                Ok(())
            }
        }
    }
}

/// Checks whether every partition reaches as far as what was published to it.
fn check(
    publisher: &Publisher,
    shards: &[Shard],
    published: &[Option<PublishedOffset>],
) -> Option<JoinHandle<Result<(), RelayError>>> {
    let producer = publisher.producer()?;
    let (shards, published) = (shards.to_vec(), published.to_vec());
    Some(spawn_blocking(move || {
        for (Shard { topic, partition, .. }, last) in shards.into_iter().zip(published) {
            let (_, high) = producer.client().fetch_watermarks(&topic, partition, TIMEOUT)?;
            if last.is_some_and(|last| high <= last.offset) {
                return Err(RelayError::MadeAgain { topic, partition });
            }
        }
        Ok(())
    }))
}
