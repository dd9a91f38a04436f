//! One run of the consumers of the stream. One to three processes are members of one group. Each has a feed for one to three consumers.
//! The book grows, a relay publishes it at least once, and faults are injected.
//!
//! Two parts are the real code. [`Feed`](daybook_event_stream::Feed) decides which consumer gets which message.
//! [`Subscriber`](daybook_event_stream::consumer::Subscriber) and its worker compare a message with the checkpoint and fill gaps from the
//! book. They park streams, begin again after a failure and detect a stall. Not real are SQL, librdkafka, and the relay.

mod adopters;
mod adopting;
mod environment;
mod group;
mod judge;
mod log;
mod plan;
mod process;
mod tables;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::DateTime;
use daybook_bus::Runtime;
use daybook_event_store::RecordedEvent;
use daybook_event_stream::{
    Feed, SliceTopic, Topology,
    consumer::contract::{Partition, Published},
    envelope::{EnvelopeError, EventMessage},
};
use uuid::Uuid;

use self::{
    adopters::Adopter,
    environment::Environment,
    judge::Outcome,
    log::Logs,
    plan::{ConsumerPlan, Plan},
    process::{Member, RunningConsumer},
    tables::Tables,
};
use super::{
    network::{FaultRates, Network},
    scheduler::{Process, ProcessId, Scheduler},
    seeds::{Run, Verdict},
    server::Server,
};
use crate::nemesis::random::Random;

const DATABASE: ProcessId = ProcessId(0);
const WORLD: ProcessId = ProcessId(1);
/// The processes of members have ids above this one. A restarted member is a new process.
const MEMBERS: u32 = 10;
/// The history of the book. No book is restored in a run.
const HISTORY: Uuid = Uuid::from_u128(1);
/// A position beyond the end of every book.
const BEYOND: i64 = 1_000;
/// The rounds of 100 ms in which the consumers must reach the end of the book after the last fault.
const MAX_ROUNDS: u64 = 3_000;

/// The book, the relay and the broker around the members. It starts and kills members, and injects faults.
struct World {
    process: Process,
    server: Server<Tables>,
    topology: Arc<Topology>,
    logs: Logs,
    group: group::Group,
    random: Random,
    plan: Plan,
    /// The last position of each partition that the relay has published.
    published: BTreeMap<Partition, i64>,
    /// The process of each member.
    members: Vec<ProcessId>,
    last_id: u32,
    dropped: Arc<AtomicU64>,
    stalled: Arc<AtomicU64>,
    subscribed: Arc<AtomicU64>,
}

/// Runs one seed.
#[must_use]
pub fn run(seed: u64, keeps_log: bool) -> Verdict {
    let mut random = Random::new(seed);
    let plan = Plan::draw(&mut random);
    let scheduler = Scheduler::new(random.next(), keeps_log);
    let process = scheduler.process(WORLD);
    let network = Arc::new(Network::new(DATABASE, random.fork()));
    let server = Server::new(Arc::clone(&network), process.clone());
    let slice = |name: &str| SliceTopic { slice: name.to_owned(), stream_prefixes: vec![name.to_owned()] };
    let slices = vec![slice("order"), slice("cart")];
    let partitions = i32::try_from(plan.partitions).unwrap_or(1);
    let topology = Arc::new(Topology { prefix: "daybook".to_owned(), partitions, slices });
    let logs = Logs::new(partitions_of(&topology, &["order", "cart"]));
    let world = World {
        process,
        server: server.clone(),
        topology: Arc::clone(&topology),
        group: group::Group::new(logs.partitions()),
        logs,
        random,
        plan,
        published: BTreeMap::new(),
        members: Vec::new(),
        last_id: MEMBERS,
        dropped: Arc::default(),
        stalled: Arc::default(),
        subscribed: Arc::default(),
    };
    let ended = scheduler.run(WORLD, world.run()).and_then(|outcome| {
        // Requests that were on their way when the members were killed are executed or lost.
        scheduler.drain()?;
        Ok(outcome)
    });
    let faults = network.faults();
    let run = Run { steps: scheduler.steps(), digest: scheduler.digest(), faults, log: scheduler.take_log() };
    match ended {
        Err(error) => Verdict::endless(error.to_string(), run),
        Ok(outcome) => judge::judge(&mut server.tables(), &topology, &outcome, run),
    }
}

/// The partitions of slices.
fn partitions_of(topology: &Topology, slices: &[&str]) -> Vec<Partition> {
    let topics = slices.iter().map(|slice| topology.topic(slice));
    topics.flat_map(|topic| (0..topology.partitions).map(move |nr| Partition { topic: topic.clone(), nr })).collect()
}

impl World {
    async fn run(mut self) -> Outcome {
        self.server.network().set_fault_rates(self.plan.fault_rates);
        self.server.tables().locked = self.plan.locked;
        for member in 0..self.plan.members {
            self.members.push(ProcessId(0));
            self.start(member);
        }
        let mut written = 0;
        while written < self.plan.events {
            self.process.sleep(Duration::from_micros(self.random.between(0, 60_000))).await;
            let burst = self.random.between(0, 5);
            (0..burst).for_each(|_| self.write());
            written += burst;
            if self.random.percent(80) {
                self.publish();
            }
            if self.random.percent(self.plan.fault_percent) {
                self.inject_fault().await;
            }
        }
        self.process.log(|| "no faults from here on".to_owned());
        self.server.network().set_fault_rates(FaultRates::default());
        let held_up = match self.plan.locked {
            Some(locked) => {
                let held_up = self.catch_up(Some(locked)).await;
                self.process.log(|| format!("{locked} can commit"));
                self.server.tables().locked = None;
                Some(held_up)
            }
            None => None,
        };
        let caught_up = self.catch_up(None).await;
        for id in &self.members {
            self.process.scheduler().kill(*id);
        }
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let (dropped, stalled, subscribed) = (count(&self.dropped), count(&self.stalled), count(&self.subscribed));
        let stalled_without_faults = self.plan.has_no_faults().then_some(stalled);
        Outcome { caught_up, held_up, dropped, stalled_without_faults, subscribed, absent: self.plan.absent }
    }

    /// Publishes the whole book, and waits until every consumer has reached its end, except perhaps one.
    async fn catch_up(&mut self, except: Option<&str>) -> Result<(), String> {
        for _ in 0..MAX_ROUNDS {
            self.compare_log_ends();
            self.publish();
            self.process.sleep(Duration::from_millis(100)).await;
            self.plan.late_record_percent = 0;
            if self.behind(except).is_empty() {
                return Ok(());
            }
        }
        Err(self.behind(except).join(", "))
    }

    /// The consumers whose checkpoints are before the end of the book, except perhaps one.
    fn behind(&self, except: Option<&str>) -> Vec<String> {
        let mut tables = self.server.tables();
        let mut behind = Vec::new();
        for ConsumerPlan { name, slices, .. } in self.plan.consumers.iter().filter(|plan| Some(plan.name) != except) {
            for partition in partitions_of(&self.topology, slices) {
                let position =
                    tables.view(name).checkpoints.get(&partition).map_or(0, |checkpoint| checkpoint.position);
                let last = self.of(&tables.book, &partition).last().map_or(0, |event| event.position);
                if position < last {
                    behind.push(format!("{name} is at {position} of {last} in {partition:?}"));
                }
            }
        }
        behind
    }

    /// The events of the book that are in a partition.
    fn of<'b>(&self, book: &'b [RecordedEvent], partition: &Partition) -> Vec<&'b RecordedEvent> {
        book.iter().filter(|event| self.topology.is_in(event, &partition.topic, partition.nr)).collect()
    }

    /// Appends an event to the book. Some events belong to no topic.
    fn write(&mut self) {
        let slice = match self.random.between(0, 10) {
            0..6 => "order",
            6..9 => "cart",
            _ => "stock",
        };
        let stream_id = format!("{slice}-{}", self.random.between(0, 6));
        let mut tables = self.server.tables();
        let position = i64::try_from(tables.book.len()).unwrap_or(0) + 1;
        let before = tables.book.iter().filter(|event| event.stream_id == stream_id).count();
        for ConsumerPlan { name, .. } in &self.plan.consumers {
            if self.random.percent(self.plan.poison_percent) {
                tables.view(name).poison.insert(position);
            }
        }
        tables.book.push(event(position, stream_id, i32::try_from(before).unwrap_or(0) + 1));
    }

    /// Does the work of the relay. Each partition gets the events after its last one, and each message names the position before it.
    /// Then the published positions are recorded.
    fn publish(&mut self) {
        for partition in self.logs.partitions() {
            let mut tables = self.server.tables();
            let mut last = self.published.get(&partition).copied().unwrap_or(0);
            for event in self.of(&tables.book, &partition) {
                if event.position > last {
                    let message = EventMessage { event: event.clone(), prev_sequence: last, history: HISTORY };
                    self.logs.produce(&partition, Ok(message));
                    last = event.position;
                }
            }
            self.published.insert(partition.clone(), last);
            // The relay records the published position after the acknowledgement. Consumers may have received the event before.
            if self.random.percent(self.plan.late_record_percent) {
                continue;
            }
            let highest = tables.published.get(&partition).map_or(0, |published| published.last).max(last);
            tables.published.insert(partition, Published { last: highest, log_end: last });
        }
    }

    /// Compares the ends of the logs with the published positions, as the relay does. It publishes lost events again.
    fn compare_log_ends(&mut self) {
        for partition in self.logs.partitions() {
            let end = self.logs.end(&partition);
            let known = self.published.entry(partition).or_insert(0);
            if end < *known {
                *known = end;
            }
        }
    }

    async fn inject_fault(&mut self) {
        let partitions = self.logs.partitions();
        let Some(partition) = self.random.pick(&partitions) else { return };
        let some = usize::try_from(self.random.between(1, 6)).unwrap_or(1);
        match self.random.between(0, 10) {
            0 => self.inject("the oldest messages expire", || self.logs.expire(partition, some)),
            1 => self.inject("the newest messages are lost", || self.logs.truncate(partition, some)),
            2 => {
                self.inject("a log is lost and created again", || self.logs.recreate(partition));
                if self.random.percent(50) {
                    self.compare_log_ends();
                }
            }
            3 => self.inject("a foreign message", || self.logs.produce(partition, Err(EnvelopeError::Value))),
            4 => self.repeat(partition),
            5 => self.compare_log_ends(),
            6 => {
                let member = self.random.between(0, self.plan.members);
                self.kill(member);
                self.process.sleep(Duration::from_micros(self.random.between(0, 2_000_000))).await;
                self.start(member);
            }
            7 => self.forge(partition),
            _ => {
                self.process.log(|| "the group rebalances".to_owned());
                self.group.rebalance();
            }
        }
    }

    /// Forges a message of the relay: from beyond the end of the book, or of another history of it.
    fn forge(&mut self, partition: &Partition) {
        self.process.log(|| format!("a forged message is produced to {partition:?}"));
        let published = self.published.get(partition).copied().unwrap_or(0);
        let beyond = BEYOND + i64::try_from(self.random.between(0, 3)).unwrap_or(0);
        let (position, prev_sequence, history) = match self.random.between(0, 3) {
            0 => (beyond, published, HISTORY),
            1 => (beyond, beyond - 1, HISTORY),
            _ => (published + 1, published, Uuid::from_u128(2)),
        };
        let event = event(position, format!("order-{}", self.random.between(0, 6)), 1);
        self.logs.forge(partition, EventMessage { event, prev_sequence, history });
    }

    fn inject(&self, what: &str, fault: impl FnOnce()) {
        self.process.log(|| what.to_owned());
        fault();
    }

    /// Publishes events again, as a relay that was killed before it recorded the published position.
    fn repeat(&mut self, partition: &Partition) {
        self.process.log(|| format!("the relay repeats events in {partition:?}"));
        let tables = self.server.tables();
        let own: Vec<i64> = self.of(&tables.book, partition).iter().map(|event| event.position).collect();
        drop(tables);
        let known = self.published.get(partition).copied().unwrap_or(0);
        let before: Vec<i64> = std::iter::once(0).chain(own).filter(|position| *position < known).collect();
        if let Some(back) = self.random.pick(&before).copied() {
            self.published.insert(partition.clone(), back);
            self.publish();
        }
    }

    fn kill(&mut self, member: u64) {
        self.server.network().count_kill();
        self.process.log(|| format!("member {member} is killed"));
        self.process.scheduler().kill(self.members[usize::try_from(member).unwrap_or(0)]);
        // The other members get its partitions at once, or only when it joins again.
        if self.random.percent(50) {
            self.group.leave(member);
        }
    }

    fn start(&mut self, member: u64) {
        self.last_id += 1;
        let id = ProcessId(self.last_id);
        let (process, feed) = (self.process.other(id), Feed::new(self.plan.inbox));
        let server = self.server.from(process.clone());
        self.members[usize::try_from(member).unwrap_or(0)] = id;
        let mut random = self.random.fork();
        let all = self.plan.consumers.len();
        let runs = if self.plan.absent && member == 0 { all - 1 } else { all };
        for ConsumerPlan { name, slices, start, slow } in self.plan.consumers.iter().take(runs) {
            let consumer = RunningConsumer {
                feed: feed.clone(),
                topics: slices.iter().map(|slice| self.topology.topic(slice)).collect(),
                start: *start,
                environment: Environment {
                    consumer: name,
                    partitions: partitions_of(&self.topology, slices),
                    server: server.clone(),
                    topology: Arc::clone(&self.topology),
                    random: Mutex::new(random.fork()),
                    slow: *slow,
                    adopter: Adopter::new(&mut random, &self.plan),
                },
                batch: self.plan.batch,
                random: random.fork(),
                resubscribe_percent: self.plan.resubscribe_percent,
                subscribed: Arc::clone(&self.subscribed),
            };
            drop(process.spawn(consumer.run()));
        }
        let (logs, group) = (self.logs.clone(), self.group.clone());
        let (dropped, stalled) = (Arc::clone(&self.dropped), Arc::clone(&self.stalled));
        let member =
            Member { nr: member, process: process.clone(), server, logs, group, feed, random, dropped, stalled };
        drop(process.spawn(member.receive()));
    }
}

fn event(position: i64, stream_id: String, version: i32) -> RecordedEvent {
    RecordedEvent {
        position,
        stream_id,
        version,
        event_type: "Happened".to_owned(),
        schema_version: 1,
        event_id: Uuid::nil(),
        recorded_at: DateTime::UNIX_EPOCH,
        effective_at: DateTime::UNIX_EPOCH,
        correlation_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        actor: "test".to_owned(),
        trace: None,
        key_id: None,
        data: "{}".to_owned(),
    }
}
