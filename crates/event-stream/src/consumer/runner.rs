//! The loop of a consumer.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use daybook_event_store::{Daybook, RecordedEvent};
use tokio_util::sync::CancellationToken;

use super::{
    ConsumerError, Effect, EffectError,
    batch::{Batch, sort_out},
    checkpoints::{self, Checkpoint, Partition},
    messages::Messages,
    parked,
};
use crate::KafkaSettings;

/// The most messages in one transaction.
const BATCH: usize = 2_000;
/// How long to wait after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often to look for a new assignment, and for streams that were un-parked, while nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A consumer of the stream: a name, which is also its Kafka group, its topics, and what it does with events.
pub struct Consumer<E> {
    /// The name, under which its checkpoints are kept.
    pub name: String,
    /// The topics.
    pub topics: Vec<String>,
    /// What it does with events.
    pub effect: E,
}

/// What a running consumer knows.
struct Run<'c, E> {
    consumer: &'c Consumer<E>,
    book: &'c Daybook,
    kafka: &'c KafkaSettings,
    messages: Messages,
    checkpoints: BTreeMap<Partition, Checkpoint>,
    parked: HashSet<String>,
}

impl<E: Effect> Consumer<E> {
    /// Takes events in until it is told to stop, or finds that it is retired. Whatever fails is tried again.
    pub async fn run(&self, book: &Daybook, kafka: &KafkaSettings, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                ended = self.attempt(book, kafka) => ended,
                () = stop.cancelled() => return,
            };
            match ended {
                ConsumerError::Effect(EffectError::Retired) => return,
                ConsumerError::Fenced => tracing::debug!(consumer = self.name, "partitions have moved; starting anew"),
                error => tracing::warn!(consumer = self.name, %error, "the consumer starts anew"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_AFTER) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn attempt(&self, book: &Daybook, kafka: &KafkaSettings) -> ConsumerError {
        let subscribed = Messages::subscribe(kafka, &format!("{}.{}", kafka.topology.prefix, self.name), &self.topics);
        let messages = match subscribed {
            Ok(messages) => messages,
            Err(error) => return error,
        };
        let (checkpoints, parked) = (BTreeMap::new(), HashSet::new());
        let mut run = Run { consumer: self, book, kafka, messages, checkpoints, parked };
        loop {
            if let Err(error) = run.step().await {
                return error;
            }
        }
    }
}

impl<E: Effect> Run<'_, E> {
    async fn step(&mut self) -> Result<(), ConsumerError> {
        let received = tokio::time::timeout(LOOK_EVERY, self.messages.receive(BATCH)).await;
        if let Some(partitions) = self.messages.reassigned()? {
            return self.resume(&partitions).await;
        }
        match received {
            Ok(received) => {
                let topology = &self.kafka.topology;
                let batch = sort_out(self.book, topology, &self.checkpoints, received?).await?;
                self.take_in(batch).await
            }
            Err(_) if !self.parked.is_empty() => {
                self.parked = parked::streams(self.book, &self.consumer.name).await?;
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Begins with new partitions where their checkpoints are. What was received before is received again.
    async fn resume(&mut self, partitions: &[Partition]) -> Result<(), ConsumerError> {
        self.checkpoints = checkpoints::load(self.book, &self.consumer.name, partitions).await?;
        self.parked = parked::streams(self.book, &self.consumer.name).await?;
        tracing::debug!(consumer = self.consumer.name, partitions = partitions.len(), "assigned");
        self.messages.seek(&self.checkpoints)
    }

    /// Takes a batch in. A poisoned event is set aside with the rest of its stream, and the others are tried again.
    async fn take_in(&mut self, batch: Batch) -> Result<(), ConsumerError> {
        let Batch { mut events, after } = batch;
        if after.is_empty() {
            return Ok(());
        }
        let mut aside = Vec::new();
        events.retain(|event| {
            let go_on = !self.parked.contains(&event.stream_id);
            if !go_on {
                aside.push((event.clone(), "an earlier event of the stream is parked".to_owned()));
            }
            go_on
        });
        loop {
            match self.commit(&events, &aside, &after).await {
                Err(ConsumerError::Effect(error @ EffectError::Poison { .. })) => {
                    tracing::error!(consumer = self.consumer.name, %error, "a stream is parked");
                    let Some(parked) = parked::set_aside(&mut events, &error) else { return Err(error.into()) };
                    self.parked.extend(parked.iter().map(|(event, _)| event.stream_id.clone()));
                    aside.extend(parked);
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        metrics::counter!("daybook_consumer_events_total", "consumer" => self.consumer.name.clone())
            .increment(events.len() as u64);
        self.messages.report(&after);
        self.checkpoints.extend(after);
        Ok(())
    }

    /// The effect and the checkpoints: one transaction.
    async fn commit(
        &self,
        events: &[RecordedEvent],
        aside: &[(RecordedEvent, String)],
        after: &BTreeMap<Partition, Checkpoint>,
    ) -> Result<(), ConsumerError> {
        let mut client = self.book.pool().get().await?;
        let transaction = client.transaction().await?;
        // A read model can be made again from the book, and its checkpoint goes with it: it need not wait for the disk.
        transaction.batch_execute("SET LOCAL synchronous_commit = off").await?;
        checkpoints::advance(&transaction, &self.consumer.name, &self.checkpoints, after).await?;
        if !events.is_empty() {
            self.consumer.effect.apply(&transaction, events).await?;
        }
        parked::park(&transaction, &self.consumer.name, aside).await?;
        transaction.commit().await?;
        Ok(())
    }
}
