//! A process of consumers is a member of the group. It has the real [`Feed`] and a real [`Subscriber`] for each consumer. Database and
//! broker are in memory.
//!
//! [`Member::receive`] replaces `feed/run.rs` and `feed/member.rs`: joining the group, receiving from librdkafka, and starting again after
//! an error. [`Environment`] replaces `consumer/postgres.rs`, the SQL.

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
    super::{scheduler::Process, server::Server},
    environment::Environment,
    group::Group,
    log::Logs,
    tables::Tables,
};
use crate::nemesis::random::Random;

/// A member of the group.
pub(super) struct Member {
    /// Its number in the group.
    pub(super) nr: u64,
    /// The process that it runs in.
    pub(super) process: Process,
    /// The database.
    pub(super) server: Server<Tables>,
    /// The broker.
    pub(super) logs: Logs,
    /// The group.
    pub(super) group: Group,
    /// Its feed.
    pub(super) feed: Feed,
    /// Random numbers.
    pub(super) random: Random,
    /// How many messages did not fit into an inbox.
    pub(super) dropped: Arc<AtomicU64>,
    /// How often a partition counted as stalled.
    pub(super) stalled: Arc<AtomicU64>,
}

impl Member {
    fn random(&mut self, high: u64) -> u64 {
        self.random.between(0, high.max(1))
    }

    /// Receives messages until it is killed.
    pub(super) async fn receive(mut self) {
        loop {
            let failure = self.attempt().await;
            self.feed.revoke();
            self.process.log(|| format!("joins the group again: {failure}"));
            self.group.leave(self.nr);
            let time = 200_000 + self.random(200_000);
            self.process.sleep(Duration::from_micros(time)).await;
        }
    }

    /// Hands messages of the assigned partitions to the feed, until a failure. Returns the failure.
    async fn attempt(&mut self) -> String {
        let mut assigned = self.group.join(self.nr);
        let mut partitions: Vec<Partition> = Vec::new();
        let feed = self.feed.clone();
        loop {
            // A member learns late of its new assignment. Until then it may receive from partitions that others have already.
            let late = if self.random(4) == 0 { 8_000_000 } else { 2_000 };
            let (late, process) = (Duration::from_micros(self.random(late)), self.process.clone());
            let stalled = Arc::clone(&self.stalled);
            let reassigned = async {
                let changed = assigned.changed().await;
                process.sleep(late).await;
                changed
            };
            let stops = select(Box::pin(reassigned), Box::pin(feed.stalled()));
            match select(Box::pin(self.hand_over(&partitions)), Box::pin(stops)).await {
                Either::Left((failed, _)) => return failed,
                Either::Right((Either::Left((Ok(()), _)), _)) => {}
                Either::Right((Either::Left((Err(_), _)), _)) => return "the group counts it as dead".to_owned(),
                Either::Right((Either::Right((partition, _)), _)) => {
                    stalled.fetch_add(1, Ordering::Relaxed);
                    return format!("no message comes from {partition:?}");
                }
            }
            feed.revoke();
            partitions.clone_from(&assigned.borrow_and_update());
        }
    }

    /// Hands messages of partitions to the feed. Ends only when the database fails.
    async fn hand_over(&mut self, partitions: &[Partition]) -> String {
        if partitions.is_empty() {
            return std::future::pending().await;
        }
        let ask = |tables: &mut Tables, _| {
            let checkpoints = tables.consumers.iter().map(|(name, view)| (*name, view.checkpoints.clone()));
            (checkpoints.collect::<BTreeMap<_, _>>(), tables.published.clone())
        };
        let (known, published) = match self.server.ask("read the checkpoints", ask).await {
            Ok(answer) => answer,
            Err(error) => return error.to_string(),
        };
        let log_of = |partition: &Partition| {
            let of = |consumer: &str| -> Option<Checkpoint> { known.get(consumer)?.get(partition).copied() };
            let log = self.feed.log(partition, self.logs.ends(partition), of, published.get(partition));
            (partition.clone(), log)
        };
        let logs: Vec<(Partition, feed::Log)> = partitions.iter().map(log_of).collect();
        self.feed.assign(logs.iter().cloned());
        let mut reader = self.logs.read(&logs);
        loop {
            let (Partition { topic, nr }, message) = reader.next().await;
            // The delay of the broker.
            let time = self.random(200);
            self.process.sleep(Duration::from_micros(time)).await;
            let dropped = self.feed.hand_over(&topic, nr, &message);
            self.dropped.fetch_add(u64::try_from(dropped).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// A consumer that runs in a process.
pub(super) struct RunningConsumer {
    pub(super) feed: Feed,
    pub(super) topics: Vec<String>,
    pub(super) start: Start,
    pub(super) environment: Environment,
    pub(super) batch: usize,
    pub(super) random: Random,
    /// How many of a hundred subscriptions end soon. Then the consumer subscribes again.
    pub(super) resubscribe_percent: u64,
    /// How often a consumer has subscribed.
    pub(super) subscribed: Arc<AtomicU64>,
}

impl RunningConsumer {
    /// Subscribes until the process is killed. Some subscriptions end earlier, and the consumer subscribes again.
    pub(super) async fn run(mut self) {
        let Environment { consumer: name, topology, server, .. } = &self.environment;
        let process = server.process();
        loop {
            let pause = if self.random.percent(self.resubscribe_percent) { 500_000 } else { 1_000 };
            process.sleep(Duration::from_micros(self.random.between(0, pause))).await;
            let mut subscription = self.feed.subscribe(name, &self.topics, self.start);
            self.subscribed.fetch_add(1, Ordering::Relaxed);
            let (environment, start, batch) = (&self.environment, self.start, self.batch);
            let subscriber = Subscriber { name, topology, environment, start, batch };
            let running = subscriber.run(&mut subscription);
            if self.random.percent(self.resubscribe_percent) {
                let time = Duration::from_micros(self.random.between(0, 2_000_000));
                process.within(time, running).await;
                process.log(|| format!("{name} ends its subscription"));
            } else {
                running.await;
            }
        }
    }
}
