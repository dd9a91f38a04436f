//! Publishing a batch: idempotent, in order, and acknowledged by all replicas before it counts.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daybook_event_store::{Daybook, RecordedEvent};
use rdkafka::{
    ClientContext, Message,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer},
};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{RelayError, checkpoint::PublishedOffset, set_aside::is_refusal};
use crate::{
    bounds::PRODUCER_BYTES,
    envelope,
    kafka::KafkaSettings,
    signature::WireKeys,
    topology::{Shard, Topology},
};

/// How long to wait when the producer's buffer is full.
const BUFFER_PAUSE: Duration = Duration::from_millis(1);
/// After so many events other tasks get the thread.
const TURN: usize = 256;

/// A batch on its way.
#[derive(Default)]
struct Batch {
    /// The shard and the position of each message.
    sent: Vec<(usize, i64)>,
    /// The offset of each message that was acknowledged.
    acknowledged: Vec<(usize, i64)>,
    failed: Option<(i64, KafkaError)>,
}

/// The acknowledgements of the batch.
#[derive(Clone, Default)]
pub(super) struct Acks {
    batch: Arc<Mutex<Batch>>,
    changed: Arc<Notify>,
}

impl Acks {
    fn lock(&self) -> MutexGuard<'_, Batch> {
        // A panic elsewhere leaves the counts as they are, which is what is wanted.
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, nr: usize) {
        let mut batch = self.lock();
        match result {
            Ok(message) => batch.acknowledged.push((nr, message.offset())),
            Err((error, _)) => {
                let position = batch.sent.get(nr).map_or(0, |(_, position)| *position);
                batch.failed.get_or_insert((position, error.clone()));
            }
        }
        if batch.failed.is_some() || batch.acknowledged.len() == batch.sent.len() {
            self.changed.notify_one();
        }
    }
}

/// Produces events. After a failure it must not be used again: what was in its buffer is uncertain.
pub(super) struct Publisher {
    topology: Topology,
    shards: Vec<Shard>,
    producer: Option<Arc<ThreadedProducer<Acks>>>,
    acks: Acks,
    /// The history of the book that is published.
    history: Uuid,
    /// The positions of the events that are not published. A message without data stands in the place of each.
    set_aside: HashSet<i64>,
    /// What messages are signed with.
    keys: WireKeys,
}

impl Publisher {
    pub(super) fn new(
        kafka: &KafkaSettings,
        history: Uuid,
        set_aside: HashSet<i64>,
        keys: WireKeys,
    ) -> Result<Self, RelayError> {
        let acks = Acks::default();
        let producer = kafka
            .client()
            .set("enable.idempotence", "true")
            // A message that is given up stops all that come after it, so a partition never has a hole.
            .set("enable.gapless.guarantee", "true")
            .set("acks", "all")
            .set("linger.ms", "2")
            .set("batch.num.messages", "10000")
            .set("batch.size", "500000")
            .set("queue.buffering.max.messages", "100000")
            .set("message.timeout.ms", "30000")
            .set("message.max.bytes", PRODUCER_BYTES.to_string())
            .create_with_context(acks.clone())?;
        let shards = kafka.topology.shards();
        Ok(Self {
            topology: kafka.topology.clone(),
            shards,
            producer: Some(Arc::new(producer)),
            acks,
            history,
            set_aside,
            keys,
        })
    }

    /// From now on these events are not published.
    pub(super) fn set_aside(&mut self, positions: HashSet<i64>) {
        self.set_aside = positions;
    }

    /// Reads the keys again, if that was long ago.
    pub(super) async fn refresh_keys(&mut self, book: &Daybook) -> Result<(), RelayError> {
        if self.keys.may_be_old() {
            self.keys = WireKeys::load(book).await?;
        }
        Ok(())
    }

    /// The client of the broker.
    pub(super) fn producer(&self) -> Option<Arc<ThreadedProducer<Acks>>> {
        self.producer.clone()
    }

    /// Publishes events in order, except for those that are in the logs, and waits until all of them are acknowledged. `published`
    /// moves on with them. Returns which shards have moved.
    pub(super) async fn publish(
        &self,
        events: &[RecordedEvent],
        published: &mut [Option<PublishedOffset>],
    ) -> Result<Vec<usize>, RelayError> {
        *self.acks.lock() = Batch { sent: Vec::with_capacity(events.len()), ..Batch::default() };
        let mut previous: Vec<i64> = published.iter().map(|last| last.map_or(0, |last| last.position)).collect();
        for (nr, event) in events.iter().enumerate() {
            let position = event.position;
            let shard = match self.topology.shard_of(&event.stream_id) {
                Ok(shard) => shard,
                Err(_) if self.set_aside.contains(&position) => continue,
                Err(error) => return Err(RelayError::Refused { position, reason: error.to_string(), no_topic: true }),
            };
            if event.position > previous[shard] {
                self.send(event, shard, previous[shard]).await?;
                previous[shard] = event.position;
            }
            if nr % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.acknowledged(published).await
    }

    async fn send(&self, event: &RecordedEvent, shard: usize, prev: i64) -> Result<(), RelayError> {
        let (position, place) = (event.position, &self.shards[shard]);
        let is_set_aside = self.set_aside.contains(&position);
        let refused = |reason: String| RelayError::Refused { position, reason, no_topic: false };
        let (headers, value) = if is_set_aside {
            (envelope::set_aside(event, &place.slice, prev, self.history), None)
        } else {
            let encoded = envelope::encode(event, &place.slice, prev, self.history);
            let (headers, value) = encoded.map_err(|error| refused(error.to_string()))?;
            (headers, Some(value))
        };
        let value = value.as_deref().map(str::as_bytes);
        let headers = self.keys.sign((&place.topic, place.partition), headers, value);
        let nr = {
            let mut batch = self.acks.lock();
            batch.sent.push((shard, position));
            batch.sent.len() - 1
        };
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&place.topic, nr)
            .partition(place.partition)
            .key(event.stream_id.as_bytes())
            // Retention counts from here; imported history happened long ago.
            .timestamp(event.recorded_at.timestamp_millis())
            .headers(headers);
        if let Some(value) = value {
            record = record.payload(value);
        }
        let Some(producer) = &self.producer else { return Err(RelayError::Interrupted) };
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    tokio::time::sleep(BUFFER_PAUSE).await;
                }
                Err((source, _)) if is_refusal(&source) && !is_set_aside => return Err(refused(source.to_string())),
                Err((source, _)) => return Err(RelayError::NotAcknowledged { position, source }),
            }
        }
    }

    /// Waits for the acknowledgements of the batch, and moves `published` on.
    async fn acknowledged(&self, published: &mut [Option<PublishedOffset>]) -> Result<Vec<usize>, RelayError> {
        loop {
            {
                let mut batch = self.acks.lock();
                if let Some((position, source)) = batch.failed.take() {
                    return Err(self.failure(&batch, position, source));
                }
                if batch.acknowledged.len() == batch.sent.len() {
                    return self.advance(&batch, published);
                }
            }
            self.acks.changed.notified().await;
        }
    }

    /// What a message that was not acknowledged means for the events of its batch. Which of several messages the broker refuses is not known.
    fn failure(&self, batch: &Batch, position: i64, source: KafkaError) -> RelayError {
        match batch.sent[..] {
            _ if !is_refusal(&source) || self.set_aside.contains(&position) => {
                RelayError::NotAcknowledged { position, source }
            }
            [_] => RelayError::Refused { position, reason: source.to_string(), no_topic: false },
            _ => {
                let up_to = batch.sent.iter().map(|(_, position)| *position).max().unwrap_or(position);
                RelayError::RefusedBatch { up_to, source }
            }
        }
    }

    fn advance(&self, batch: &Batch, published: &mut [Option<PublishedOffset>]) -> Result<Vec<usize>, RelayError> {
        let mut moved = vec![false; published.len()];
        for &(nr, offset) in &batch.acknowledged {
            let (index, position) = batch.sent[nr];
            if published[index].is_some_and(|last| offset <= last.offset) {
                let Shard { topic, partition, .. } = &self.shards[index];
                return Err(RelayError::MadeAgain { topic: topic.clone(), partition: *partition });
            }
            published[index] = Some(PublishedOffset { position, offset });
            moved[index] = true;
        }
        Ok((0..moved.len()).filter(|index| moved[*index]).collect())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let Some(producer) = self.producer.take() else { return };
        // The next leader publishes again what is still in the buffer, after it has read the ends of the logs.
        producer.purge(PurgeConfig::default().queue().inflight());
        // Dropping it waits for its thread and its connections. No task may wait for that.
        std::thread::spawn(move || drop(producer));
    }
}
