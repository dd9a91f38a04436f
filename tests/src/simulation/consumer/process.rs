//! A process of consumers: a member of the group, with the real [`Feed`] and the real [`Subscriber`] for each consumer, on a database and
//! a broker in memory.
//!
//! [`receive`] stands for `feed/run.rs` and `feed/member.rs` (joining the group, receiving from librdkafka, beginning again after an error),
//! and [`Environment`] for `consumer/postgres.rs` (SQL).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use daybook_bus::Runtime;
use daybook_event_stream::{
    Feed, Start,
    consumer::{
        Subscriber,
        contract::{Checkpoint, Partition},
        feed,
    },
};
use futures::future::{Either, select};

use super::{
    super::{scheduler::Place, server::Server},
    environment::Environment,
    group::Group,
    log::Logs,
    tables::Tables,
};
use crate::nemesis::random::Random;

/// What a member of the group has.
pub(super) struct Member {
    /// Which one it is.
    pub(super) nr: u64,
    /// Where it runs.
    pub(super) place: Place,
    /// The database.
    pub(super) server: Server<Tables>,
    /// The broker.
    pub(super) logs: Logs,
    /// The members.
    pub(super) group: Group,
    /// Its feed.
    pub(super) feed: Feed,
    /// Chance.
    pub(super) random: Random,
    /// How many messages did not fit into an inbox.
    pub(super) dropped: Arc<AtomicU64>,
    /// How often a partition was taken for stalled.
    pub(super) stalled: Arc<AtomicU64>,
}

impl Member {
    fn any(&mut self, high: u64) -> u64 {
        self.random.between(0, high.max(1))
    }

    /// Receives messages until it is killed.
    pub(super) async fn receive(mut self) {
        loop {
            let ended = self.attempt().await;
            self.feed.revoke();
            self.place.tell(|| format!("joins the group again: {ended}"));
            self.group.leave(self.nr);
            let time = 200_000 + self.any(200_000);
            self.place.sleep(Duration::from_micros(time)).await;
        }
    }

    /// Hands over what comes of the partitions that it has at the time, until something fails. Returns what that was.
    async fn attempt(&mut self) -> String {
        let mut assigned = self.group.join(self.nr);
        let mut partitions: Vec<Partition> = Vec::new();
        let feed = self.feed.clone();
        loop {
            // News of the assignment comes when it comes; until then others may have what this one takes for its own.
            let late = if self.any(4) == 0 { 8_000_000 } else { 2_000 };
            let (late, place) = (Duration::from_micros(self.any(late)), self.place.clone());
            let stalled = Arc::clone(&self.stalled);
            let news = async {
                let changed = assigned.changed().await;
                place.sleep(late).await;
                changed
            };
            let stops = select(Box::pin(news), Box::pin(feed.stalled()));
            match select(Box::pin(self.hand_over(&partitions)), Box::pin(stops)).await {
                Either::Left((failed, _)) => return failed,
                Either::Right((Either::Left((Ok(()), _)), _)) => {}
                Either::Right((Either::Left((Err(_), _)), _)) => return "it was taken for dead".to_owned(),
                Either::Right((Either::Right((partition, _)), _)) => {
                    stalled.fetch_add(1, Ordering::Relaxed);
                    return format!("nothing comes from {partition:?}");
                }
            }
            feed.revoke();
            partitions.clone_from(&assigned.borrow_and_update());
        }
    }

    /// Hands over what comes of partitions. Ends only when the database fails.
    async fn hand_over(&mut self, partitions: &[Partition]) -> String {
        if partitions.is_empty() {
            return std::future::pending().await;
        }
        let ask = |tables: &mut Tables, _| {
            let checkpoints = tables.consumers.iter().map(|(name, view)| (*name, view.checkpoints.clone()));
            (checkpoints.collect::<BTreeMap<_, _>>(), tables.published.clone())
        };
        let (known, published) = match self.server.ask("ask where to begin", ask).await {
            Ok(answer) => answer,
            Err(error) => return error.to_string(),
        };
        let begin = |partition: &Partition| {
            let of = |consumer: &str| -> Option<Checkpoint> { known.get(consumer)?.get(partition).copied() };
            let log = self.feed.log(partition, self.logs.ends(partition), of, published.get(partition));
            (partition.clone(), log)
        };
        let logs: Vec<(Partition, feed::Log)> = partitions.iter().map(begin).collect();
        self.feed.assign(logs.iter().cloned());
        let mut reader = self.logs.read(&logs);
        loop {
            let (Partition { topic, nr }, message) = reader.next().await;
            // On its way from the broker.
            let time = self.any(200);
            self.place.sleep(Duration::from_micros(time)).await;
            let dropped = self.feed.hand_over(&topic, nr, &message);
            self.dropped.fetch_add(u64::try_from(dropped).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// A consumer in a process.
pub(super) struct Attendance {
    pub(super) feed: Feed,
    pub(super) topics: Vec<String>,
    pub(super) start: Start,
    pub(super) environment: Environment,
    pub(super) batch: usize,
    pub(super) random: Random,
    /// Of a hundred subscriptions, how many end soon: the consumer subscribes again then.
    pub(super) comes_and_goes: u64,
    /// How often a consumer has subscribed.
    pub(super) subscribed: Arc<AtomicU64>,
}

impl Attendance {
    /// Subscribes until the process is killed, now and then again.
    pub(super) async fn attend(mut self) {
        let Environment { consumer: name, topology, server, .. } = &self.environment;
        let place = server.place();
        loop {
            let absent = if self.random.percent(self.comes_and_goes) { 500_000 } else { 1_000 };
            place.sleep(Duration::from_micros(self.random.between(0, absent))).await;
            let mut subscription = self.feed.subscribe(name, &self.topics, self.start);
            self.subscribed.fetch_add(1, Ordering::Relaxed);
            let (environment, start, batch) = (&self.environment, self.start, self.batch);
            let subscriber = Subscriber { name, topology, environment, start, batch };
            let running = subscriber.run(&mut subscription);
            if self.random.percent(self.comes_and_goes) {
                let time = Duration::from_micros(self.random.between(0, 2_000_000));
                place.within(time, running).await;
                place.tell(|| format!("{name} ends its subscription"));
            } else {
                running.await;
            }
        }
    }
}
