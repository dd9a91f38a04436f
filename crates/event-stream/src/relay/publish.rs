//! Publishing a batch: idempotent, in order, and acknowledged by all replicas before it counts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext, Message,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer},
};
use tokio::sync::Notify;

use super::{
    RelayError,
    checkpoint::{Last, Partition},
};
use crate::{envelope, kafka::KafkaSettings};
use daybook_event_store::RecordedEvent;

/// How long to wait when the producer's buffer is full.
const BUFFER_PAUSE: Duration = Duration::from_millis(1);

/// What has been acknowledged.
#[derive(Default)]
struct Acknowledged {
    outstanding: usize,
    failed: Option<(i64, KafkaError)>,
    lasts: BTreeMap<Partition, Last>,
}

#[derive(Clone, Default)]
struct Acks {
    state: Arc<Mutex<Acknowledged>>,
    changed: Arc<Notify>,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, position: Box<i64>) {
        // A panic elsewhere leaves the counts as they are, which is what is wanted.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.outstanding -= 1;
        match result {
            Ok(message) => {
                let last = Last { position: *position, offset: message.offset() };
                state.lasts.insert((message.topic().to_owned(), message.partition()), last);
            }
            Err((error, _)) => {
                state.failed.get_or_insert((*position, error.clone()));
            }
        }
        if state.outstanding == 0 {
            self.changed.notify_one();
        }
    }
}

/// Produces events. After a failure it must not be used again: what was in its buffer is uncertain.
pub(super) struct Publisher {
    kafka: KafkaSettings,
    producer: ThreadedProducer<Acks>,
    acks: Acks,
}

impl Publisher {
    pub(super) fn new(kafka: &KafkaSettings) -> Result<Self, RelayError> {
        let acks = Acks::default();
        let producer = kafka
            .client()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("batch.num.messages", "10000")
            .set("queue.buffering.max.messages", "100000")
            .set("message.timeout.ms", "30000")
            .create_with_context(acks.clone())?;
        Ok(Self { kafka: kafka.clone(), producer, acks })
    }

    /// Publishes events in order and waits until all of them are acknowledged. `lasts` moves on with them.
    pub(super) async fn publish(
        &self,
        events: &[RecordedEvent],
        lasts: &mut BTreeMap<Partition, Last>,
        before_first: i64,
    ) -> Result<(), RelayError> {
        let mut previous: BTreeMap<Partition, i64> =
            lasts.iter().map(|(partition, last)| (partition.clone(), last.position)).collect();
        for event in events {
            let slice = self.kafka.topology.slice_of(&event.stream_id)?;
            let topic = self.kafka.topology.topic(slice);
            let partition = self.kafka.topology.partition_of(&event.stream_id);
            let prev = previous.entry((topic.clone(), partition)).or_insert(before_first);
            if event.position > *prev {
                self.send(event, slice, &topic, partition, *prev).await?;
                *prev = event.position;
            }
        }
        self.acknowledged().await?;
        let mut state = self.lock();
        lasts.append(&mut state.lasts);
        Ok(())
    }

    async fn send(
        &self,
        event: &RecordedEvent,
        slice: &str,
        topic: &str,
        partition: i32,
        prev: i64,
    ) -> Result<(), RelayError> {
        let position = event.position;
        let (headers, value) =
            envelope::encode(event, slice, prev).map_err(|source| RelayError::Envelope { position, source })?;
        let mut record = BaseRecord::with_opaque_to(topic, Box::new(position))
            .partition(partition)
            .key(event.stream_id.as_bytes())
            .payload(value.as_bytes())
            .timestamp(event.effective_at.timestamp_millis())
            .headers(headers);
        self.lock().outstanding += 1;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    tokio::time::sleep(BUFFER_PAUSE).await;
                }
                Err((source, _)) => {
                    self.lock().outstanding -= 1;
                    return Err(RelayError::NotAcknowledged { position, source });
                }
            }
        }
    }

    async fn acknowledged(&self) -> Result<(), RelayError> {
        loop {
            {
                let mut state = self.lock();
                if let Some((position, source)) = state.failed.take() {
                    return Err(RelayError::NotAcknowledged { position, source });
                }
                if state.outstanding == 0 {
                    return Ok(());
                }
            }
            self.acks.changed.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Acknowledged> {
        self.acks.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // What is still in the buffer is published again by whoever leads next, after a look at what is there.
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }
}
