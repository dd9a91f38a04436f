//! A consumer as a subscriber of a feed: it takes the partitions that the feed has, and processes them until they are taken away.

use std::pin::pin;

use daybook_event_store::Daybook;
use futures::future::{Either, select};
use tokio_util::sync::CancellationToken;

use super::{
    ConsumerError, Effect, EffectError, Start, checkpoints,
    contract::{AssignedPartition, ConsumerEnvironment, Partition},
    feed::{Attached, Feed, Inbox, InboxLimits, Subscription},
    orphans::{LOOK_EVERY, Orphans},
    postgres::PostgresEnvironment,
    worker::{BATCH, PartitionWorker},
};
use crate::{Topology, backoff::Backoff};

/// A consumer of the stream: a name, its topics, and what it does with events.
pub struct Consumer<E> {
    /// The name, under which its checkpoints are kept.
    pub name: String,
    /// The topics.
    pub topics: Vec<String>,
    /// Where it begins without a checkpoint.
    pub start: Start,
    /// What it does with events.
    pub effect: E,
}

/// Why a consumer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was stopped.
    Stopped,
    /// Its effect said that it is [retired](EffectError::Retired).
    Retired,
}

impl<E: Effect> Consumer<E> {
    /// Gives the consumer its first checkpoints, in the topics where it has none. Without this it gets them when it is first assigned
    /// partitions. A consumer that starts at the head then misses what happened before the assignment.
    ///
    /// # Errors
    /// [`ConsumerError`] when the database failed.
    pub async fn begin(&self, book: &Daybook, topology: &Topology) -> Result<(), ConsumerError> {
        checkpoints::begin(book, &self.name, &self.topics, topology.partitions, self.start).await
    }

    /// Processes what a feed receives, until it is stopped or finds that it is retired. After a failure it tries again.
    pub async fn run(&self, feed: &Feed, book: &Daybook, topology: &Topology, stop: &CancellationToken) -> Ended {
        let environment = PostgresEnvironment::new(&self.name, &self.topics, &self.effect, book, topology);
        let mut subscription = feed.subscribe(&self.name, &self.topics, self.start);
        let (name, start, batch) = (&self.name, self.start, BATCH);
        let subscriber = Subscriber { name, topology, environment: &environment, start, batch };
        match stop.run_until_cancelled(subscriber.run(&mut subscription)).await {
            Some(()) => Ended::Retired,
            None => Ended::Stopped,
        }
    }
}

/// A consumer in some environment.
pub struct Subscriber<'c, S> {
    /// The name of the consumer.
    pub name: &'c str,
    /// Which partition an event is in.
    pub topology: &'c Topology,
    /// What it keeps, reads and waits for.
    pub environment: &'c S,
    /// Where it begins without a checkpoint.
    pub start: Start,
    /// The most messages that it processes at once, and the most events of the book that it reads at once to fill gaps.
    pub batch: usize,
}

impl<S: ConsumerEnvironment> Subscriber<'_, S> {
    /// Processes the partitions that the feed has at the time, and those that no process moves on. Returns when the consumer is retired.
    pub async fn run(&self, subscription: &mut Subscription) {
        let feed = subscription.feed();
        select(pin!(self.process_assigned(subscription)), pin!(self.adopt_orphans(&feed))).await;
    }

    /// Processes the partitions that the feed has at the time. What a change of the assignment cuts off is not committed. Returns when
    /// the consumer is retired.
    async fn process_assigned(&self, subscription: &mut Subscription) {
        let mut backoff = Backoff::new();
        loop {
            let attached = subscription.attach();
            let work = async {
                match attached {
                    Some(attached) => self.process(attached).await,
                    None => std::future::pending().await,
                }
            };
            let error = match select(pin!(work), pin!(subscription.changed())).await {
                Either::Left((error, _)) => error,
                Either::Right(_) => {
                    backoff.reset();
                    continue;
                }
            };
            match &error {
                ConsumerError::Effect(EffectError::Retired) => return,
                ConsumerError::Stalled { topic, partition } => {
                    subscription.nothing_comes(Partition { topic: topic.clone(), nr: *partition });
                }
                _ => {}
            }
            tracing::warn!(consumer = self.name, %error, "the consumer begins again");
            self.environment.back_off(backoff.time()).await;
        }
    }

    /// Processes what it was given. Ends only with an error that waiting does not mend.
    async fn process(&self, attached: Attached) -> ConsumerError {
        match self.begin(attached).await {
            Ok(worker) => worker.run().await,
            Err(error) => error,
        }
    }

    /// Processes partitions that no process moves on, now and then, from the book. Returns when the consumer is retired.
    ///
    /// The member of the group that has such a partition may run another program, which does not know this consumer or leaves it alone.
    async fn adopt_orphans(&self, feed: &Feed) {
        let (mut orphans, mut has_begun) = (Orphans::default(), false);
        loop {
            self.take_up_waiting().await;
            self.environment.sleep(LOOK_EVERY).await;
            let adopt = async {
                if !has_begun {
                    // Where no process that runs it has any partition, the consumer has no checkpoints yet.
                    self.environment.begin(&[], self.start).await?;
                    has_begun = true;
                }
                let behind = self.environment.behind().await?;
                self.adopt(orphans.find(behind, |partition| feed.has(partition))).await
            };
            match adopt.await {
                Ok(adopted) => orphans.note_adopted(adopted),
                Err(ConsumerError::Effect(EffectError::Retired)) => return,
                Err(ConsumerError::Fenced) => {
                    tracing::info!(consumer = self.name, "another process has taken adopted partitions over");
                }
                Err(error) => tracing::warn!(consumer = self.name, %error, "partitions that no process moves on wait"),
            }
        }
    }

    /// Goes on with streams that wait for this program. An older program that runs beside this one may set a stream to waiting at any time.
    async fn take_up_waiting(&self) {
        match self.environment.take_up_waiting().await {
            Ok(0) => {}
            Ok(events) => tracing::info!(consumer = self.name, events, "streams that waited for this program go on"),
            Err(error) => tracing::warn!(consumer = self.name, %error, "streams that wait for this program still wait"),
        }
    }

    /// Adopts partitions, except those that another process has taken over or moved meanwhile, and processes what was published to them.
    /// Returns how far they are then.
    async fn adopt(&self, orphans: Vec<AssignedPartition>) -> Result<Vec<AssignedPartition>, ConsumerError> {
        if orphans.is_empty() {
            return Ok(Vec::new());
        }
        let adopted = self.environment.adopt(&orphans).await?;
        if adopted.is_empty() {
            return Ok(adopted);
        }
        tracing::info!(
            consumer = self.name,
            partitions = adopted.len(),
            "partitions that no process moves on are filled"
        );
        metrics::counter!("daybook_consumer_adopted_total", "consumer" => self.name.to_owned())
            .increment(adopted.len() as u64);
        let inbox = Inbox::new(adopted.len(), InboxLimits::default());
        self.worker(inbox, adopted).await?.fill_from_book().await
    }

    /// Takes the partitions over.
    async fn begin(
        &self,
        Attached { inbox, partitions: attached }: Attached,
    ) -> Result<PartitionWorker<'_, S>, ConsumerError> {
        let wanted: Vec<Partition> = attached.iter().map(|attached| attached.partition.clone()).collect();
        let checkpoints = self.environment.begin(&wanted, self.start).await?;
        for (queue, (attached, checkpoint)) in attached.iter().zip(&checkpoints).enumerate() {
            if let Some(up_to) = attached.missed(checkpoint) {
                inbox.note_missed(queue, up_to);
            }
            if checkpoint.offset >= 0 {
                inbox.report(queue, checkpoint.offset);
            }
        }
        let assigned = wanted.into_iter().zip(checkpoints);
        let assigned = assigned.map(|(partition, checkpoint)| AssignedPartition { partition, checkpoint });
        self.worker(inbox, assigned.collect()).await
    }

    /// A worker for partitions that were taken over.
    async fn worker(
        &self,
        inbox: Inbox,
        partitions: Vec<AssignedPartition>,
    ) -> Result<PartitionWorker<'_, S>, ConsumerError> {
        let history = self.environment.head().await?.epoch;
        let Self { name, topology, environment, batch, .. } = *self;
        Ok(PartitionWorker { name, topology, environment, history, inbox, partitions, batch })
    }
}
