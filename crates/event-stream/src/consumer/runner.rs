//! The loop of a consumer: joining its group, and taking in the partitions that it is given.

use std::time::Duration;

use daybook_event_store::Daybook;
use futures::{StreamExt, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use super::{
    ConsumerError, Effect, EffectError, checkpoints,
    contract::Surroundings,
    group::{Change, Group},
    here::Here,
    share::{BATCH, Part, Share},
};
use crate::{
    KafkaSettings,
    backoff::Backoff,
    progress::{self, ConsumerProgress},
};

/// How often the lag is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// A consumer of the stream: a name, which is also its Kafka group, its topics, and what it does with events.
pub struct Consumer<E> {
    /// The name, under which its checkpoints are kept.
    pub name: String,
    /// The topics.
    pub topics: Vec<String>,
    /// What it does with events.
    pub effect: E,
}

/// Why a consumer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// Its effect said that it is [retired](EffectError::Retired).
    Retired,
}

impl<E: Effect> Consumer<E> {
    /// Takes events in until it is told to stop, or finds that it is retired. Whatever fails is tried again.
    pub async fn run(&self, book: &Daybook, kafka: &KafkaSettings, stop: &CancellationToken) -> Ended {
        let mut backoff = Backoff::new();
        while !stop.is_cancelled() {
            match self.attempt(book, kafka, stop).await {
                Ok(()) => break,
                Err(ConsumerError::Effect(EffectError::Retired)) => return Ended::Retired,
                Err(error) => tracing::warn!(consumer = self.name, %error, "the consumer starts anew"),
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = stop.cancelled() => {}
            }
        }
        Ended::Stopped
    }

    /// Is a member of the group until told to stop, or until something fails.
    async fn attempt(
        &self,
        book: &Daybook,
        kafka: &KafkaSettings,
        stop: &CancellationToken,
    ) -> Result<(), ConsumerError> {
        tokio::select! {
            topics = kafka.topics_are_there() => topics?,
            () = stop.cancelled() => return Ok(()),
        }
        let mut group = Group::join(kafka, &self.name, &self.topics)?;
        let ended = tokio::select! {
            ended = self.serve(book, kafka, &mut group) => ended,
            () = self.measure(book) => Ok(()),
            () = stop.cancelled() => Ok(()),
        };
        group.leave().await;
        ended
    }

    /// Takes in the partitions that this process has at the time. What is cut off by a rebalance is not committed.
    ///
    /// While that runs, nothing but it and the group is waited for here: it holds a connection in the middle of a query, and
    /// stands still with it when it is not polled.
    async fn serve(&self, book: &Daybook, kafka: &KafkaSettings, group: &mut Group) -> Result<(), ConsumerError> {
        let around = Here::new(self, book);
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                change = group.change() => {
                    running.clear();
                    if let Change::Assigned(partitions) = change? {
                        tracing::debug!(consumer = self.name, partitions = partitions.len(), "assigned");
                        let checkpoints = checkpoints::begin(book, &self.name, &partitions).await?;
                        let queues = group.begin(partitions, &checkpoints).await?;
                        let parts = queues.into_iter().zip(checkpoints);
                        let parts: Vec<_> = parts.map(|(queue, checkpoint)| Part { queue, checkpoint }).collect();
                        if !parts.is_empty() {
                            let (name, topology, around) = (&self.name, &kafka.topology, &around);
                            let history = around.head().await?.epoch;
                            running.push(Share { name, topology, around, history, parts, batch: BATCH }.run());
                        }
                    }
                }
                Some(error) = running.next() => return Err(error),
            }
        }
    }

    /// Measures the lag again and again, without an end.
    async fn measure(&self, book: &Daybook) {
        let mut measure = tokio::time::interval(MEASURE_EVERY);
        loop {
            measure.tick().await;
            match progress::list(book).await {
                Ok(all) => all.iter().filter(|progress| progress.consumer == self.name).for_each(show),
                Err(error) => tracing::debug!(consumer = self.name, %error, "the lag was not measured"),
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float; exact up to 2^53 events")]
fn show(progress: &ConsumerProgress) {
    let name = progress.consumer.clone();
    metrics::gauge!("daybook_consumer_lag_events", "consumer" => name.clone()).set(progress.lag as f64);
    metrics::gauge!("daybook_consumer_parked_events", "consumer" => name).set(progress.parked as f64);
}
