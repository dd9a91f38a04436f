//! A consumer process: member of a group, with the real [`Share`] for what it has, on a database and a broker in memory.
//!
//! What stands here stands for `consumer/runner.rs` (joining, and beginning anew after an error), `consumer/here.rs` (SQL) and
//! `consumer/group.rs` (librdkafka).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daybook_bus::Host;
use daybook_event_store::{Head, RecordedEvent};
use daybook_event_stream::{
    Topology,
    consumer::{
        ConsumerError, Part, Share,
        contract::{Checkpoint, Partition, Published, Step, Surroundings},
        parked::Poisoned,
    },
};
use futures::future::{Either, select};
use uuid::Uuid;

use super::{
    super::{scheduler::Place, server::Server},
    topic::{Group, Topic},
    views::{OwnedStep, Views},
};
use crate::nemesis::random::Random;

/// What a member finds around it.
pub(super) struct Around {
    /// The database.
    pub(super) server: Server<Views>,
    /// Where events go.
    pub(super) topology: Arc<Topology>,
    /// Chance, for waiting.
    pub(super) random: Mutex<Random>,
    /// How many messages are taken in at once.
    pub(super) batch: usize,
}

impl Around {
    fn place(&self) -> &Place {
        self.server.place()
    }

    fn any(&self, high: u64) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).between(0, high.max(1))
    }
}

impl Surroundings for Around {
    async fn take(&self, partitions: &[Partition]) -> Result<Vec<Checkpoint>, ConsumerError> {
        let partitions = partitions.to_vec();
        Ok(self.server.ask("take over", move |views, _| views.take(&partitions)).await?)
    }

    async fn head(&self) -> Result<Head, ConsumerError> {
        Ok(self.server.ask("ask how far the book goes", |views, _| views.measure()).await?)
    }

    async fn published(&self) -> Result<HashMap<Partition, Published>, ConsumerError> {
        Ok(self.server.ask("ask what was published", |views, _| views.published.clone()).await?)
    }

    async fn read_after(&self, after: i64, limit: usize) -> Result<Vec<RecordedEvent>, ConsumerError> {
        let after = usize::try_from(after).unwrap_or(0);
        let read = move |views: &mut Views, _| views.book.iter().skip(after).take(limit).cloned().collect();
        Ok(self.server.ask("read", read).await?)
    }

    async fn transact(
        &self,
        history: Uuid,
        events: &[RecordedEvent],
        poisoned: &Poisoned,
        steps: &[Step<'_>],
    ) -> Result<Vec<Checkpoint>, ConsumerError> {
        let (topology, events, poisoned) = (Arc::clone(&self.topology), events.to_vec(), poisoned.clone());
        let own = |(partition, from, to): &Step<'_>| ((*partition).clone(), *from, *to);
        let steps: Vec<OwnedStep> = steps.iter().map(own).collect();
        let said = format!("{:?} to {steps:?}", events.iter().map(|event| event.position).collect::<Vec<_>>());
        let place = self.place().clone();
        place.tell(|| format!("takes in {said}"));
        let transact = move |views: &mut Views, _| {
            views.look(history, &steps)?;
            views.transact(&topology, &events, &poisoned, &steps)
        };
        self.server.ask("take in", transact).await?
    }

    async fn blame(
        &self,
        _: &[RecordedEvent],
        _: &Poisoned,
        failure: ConsumerError,
    ) -> Result<ConsumerError, ConsumerError> {
        Ok(failure)
    }

    fn now(&self) -> Duration {
        (self.place().now() - chrono::DateTime::UNIX_EPOCH).to_std().unwrap_or_default()
    }

    async fn sleep(&self, time: Duration) {
        self.place().sleep(time).await;
    }

    async fn back_off(&self, time: Duration) {
        let half = u64::try_from(time.as_micros() / 2).unwrap_or(0);
        self.place().sleep(Duration::from_micros(half + self.any(half))).await;
    }
}

/// Is a member until it is killed.
pub(super) async fn live(around: Around, topic: Topic, group: Group, member: u64) {
    loop {
        let ended = serve(&around, &topic, &group, member).await;
        around.place().tell(|| format!("starts anew: {ended}"));
        group.leave(member);
        around.back_off(Duration::from_millis(400)).await;
    }
}

/// Takes in the partitions that it has at the time, until something fails.
async fn serve(around: &Around, topic: &Topic, group: &Group, member: u64) -> ConsumerError {
    let mut assigned = group.join(member);
    let mut partitions: Vec<Partition> = Vec::new();
    loop {
        let running = async {
            if partitions.is_empty() {
                return std::future::pending().await;
            }
            match begin(around, topic, &partitions).await {
                Ok((history, parts)) => {
                    let (topology, batch) = (&*around.topology, around.batch);
                    Share { name: "view", topology, around, history, parts, batch }.run().await
                }
                Err(error) => error,
            }
        };
        // News of the assignment comes when it comes; until then others may have what this one takes for its own.
        let news = async {
            let changed = assigned.changed().await;
            let late = if around.any(4) == 0 { 8_000_000 } else { 2_000 };
            around.place().sleep(Duration::from_micros(around.any(late))).await;
            changed
        };
        let ended = match select(Box::pin(running), Box::pin(news)).await {
            Either::Left((error, _)) => Some(error),
            Either::Right((Ok(()), _)) => None,
            // It was taken for dead: it has to join again.
            Either::Right((Err(_), _)) => Some(ConsumerError::Fenced),
        };
        if let Some(error) = ended {
            return error;
        }
        partitions.clone_from(&assigned.borrow_and_update());
    }
}

async fn begin(
    around: &Around,
    topic: &Topic,
    partitions: &[Partition],
) -> Result<(Uuid, Vec<Part<super::topic::Queue>>), ConsumerError> {
    let checkpoints = around.take(partitions).await?;
    let part = |(partition, checkpoint): (&Partition, Checkpoint)| {
        let start = |low, high| checkpoint.start(low, high);
        Part { queue: topic.read(around.place().clone(), partition.clone(), start), checkpoint }
    };
    let parts = partitions.iter().zip(checkpoints).map(part).collect();
    Ok((around.head().await?.epoch, parts))
}
