//! One run of the consumers of the stream: one to three processes, each a member of one group with a feed for one to three consumers, a
//! book that grows, a relay that publishes it at least once, and everything that can go wrong.
//!
//! Real are [`Feed`](daybook_event_stream::Feed), which decides who gets which message, and
//! [`Subscriber`](daybook_event_stream::consumer::Subscriber) with its worker: what to do with a message given a checkpoint, filling gaps
//! from the book, parking, what to do after a failure, noticing that nothing comes. Not real are SQL, librdkafka, and the relay.

mod adopters;
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
    judge::End,
    log::Logs,
    plan::{ConsumerPlan, Plan},
    process::{Attendance, Member},
    tables::Tables,
};
use super::{
    network::{Network, Weather},
    scheduler::{Group, Place, Scheduler},
    seeds::{Told, Verdict},
    server::Server,
};
use crate::nemesis::random::Random;

const DATABASE: Group = Group(0);
const WORLD: Group = Group(1);
/// Each life of a member is a group of its own, from this one on.
const MEMBERS: u32 = 10;
/// The history of the book; no book is restored here.
const HISTORY: Uuid = Uuid::from_u128(1);
/// A position that no book here comes to.
const BEYOND: i64 = 1_000;
/// How long everybody has at the end, when nothing goes wrong any more.
const PATIENCE: u64 = 3_000;

/// The world around the members.
struct World {
    place: Place,
    server: Server<Tables>,
    topology: Arc<Topology>,
    logs: Logs,
    group: group::Group,
    random: Random,
    plan: Plan,
    /// By partition: the last event that the relay knows to be in the log.
    published: BTreeMap<Partition, i64>,
    /// The lives of the members.
    lives: Vec<Group>,
    last_life: u32,
    dropped: Arc<AtomicU64>,
    stalled: Arc<AtomicU64>,
    subscribed: Arc<AtomicU64>,
}

/// Runs one seed.
#[must_use]
pub fn run(seed: u64, tells: bool) -> Verdict {
    let mut random = Random::new(seed);
    let plan = Plan::of(&mut random);
    let scheduler = Scheduler::new(random.next(), tells);
    let place = scheduler.place(WORLD);
    let network = Arc::new(Network::new(DATABASE, random.fork()));
    let server = Server::new(Arc::clone(&network), place.clone());
    let slice = |name: &str| SliceTopic { slice: name.to_owned(), stream_prefixes: vec![name.to_owned()] };
    let slices = vec![slice("order"), slice("cart")];
    let partitions = i32::try_from(plan.partitions).unwrap_or(1);
    let topology = Arc::new(Topology { prefix: "daybook".to_owned(), partitions, slices });
    let logs = Logs::new(partitions_of(&topology, &["order", "cart"]));
    let world = World {
        place,
        server: server.clone(),
        topology: Arc::clone(&topology),
        group: group::Group::new(logs.partitions()),
        logs,
        random,
        plan,
        published: BTreeMap::new(),
        lives: Vec::new(),
        last_life: MEMBERS,
        dropped: Arc::default(),
        stalled: Arc::default(),
        subscribed: Arc::default(),
    };
    let ended = scheduler.run(WORLD, world.story()).and_then(|end| {
        // What was on its way when everybody died is done now, or never.
        scheduler.drain()?;
        Ok(end)
    });
    let told =
        Told { steps: scheduler.steps(), trace: scheduler.trace(), harm: network.harm(), story: scheduler.story() };
    match ended {
        Err(stuck) => Verdict::broken(stuck.to_string(), told),
        Ok(end) => judge::judge(&mut server.tables(), &topology, &end, told),
    }
}

/// The partitions of slices.
fn partitions_of(topology: &Topology, slices: &[&str]) -> Vec<Partition> {
    let topics = slices.iter().map(|slice| topology.topic(slice));
    topics.flat_map(|topic| (0..topology.partitions).map(move |nr| Partition { topic: topic.clone(), nr })).collect()
}

impl World {
    async fn story(mut self) -> End {
        self.server.network().set(self.plan.weather);
        self.server.tables().locked = self.plan.locked;
        for member in 0..self.plan.members {
            self.lives.push(Group(0));
            self.start(member);
        }
        let mut written = 0;
        while written < self.plan.events {
            self.place.sleep(Duration::from_micros(self.random.between(0, 60_000))).await;
            let burst = self.random.between(0, 5);
            (0..burst).for_each(|_| self.write());
            written += burst;
            if self.random.percent(80) {
                self.publish();
            }
            if self.random.percent(self.plan.trouble) {
                self.harm().await;
            }
        }
        self.place.tell(|| "from here on nothing goes wrong".to_owned());
        self.server.network().set(Weather::default());
        let held_up = match self.plan.locked {
            Some(locked) => {
                let held_up = self.heal(Some(locked)).await;
                self.place.tell(|| format!("{locked} can commit"));
                self.server.tables().locked = None;
                Some(held_up)
            }
            None => None,
        };
        let caught_up = self.heal(None).await;
        for life in &self.lives {
            self.place.scheduler().kill(*life);
        }
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let (dropped, stalled, subscribed) = (count(&self.dropped), count(&self.stalled), count(&self.subscribed));
        let calm_stalled = self.plan.is_calm().then_some(stalled);
        End { caught_up, held_up, dropped, calm_stalled, subscribed, absent: self.plan.absent }
    }

    /// All there is was published: every consumer but one has to come to the end of the book.
    async fn heal(&mut self, but: Option<&str>) -> Result<(), String> {
        for _ in 0..PATIENCE {
            self.look_at_ends();
            self.publish();
            self.place.sleep(Duration::from_millis(100)).await;
            self.plan.notes_late = 0;
            if self.behind(but).is_empty() {
                return Ok(());
            }
        }
        Err(self.behind(but).join(", "))
    }

    /// The consumers, but one, whose checkpoints are before the end of the book.
    fn behind(&self, but: Option<&str>) -> Vec<String> {
        let mut tables = self.server.tables();
        let mut behind = Vec::new();
        for ConsumerPlan { name, slices, .. } in self.plan.consumers.iter().filter(|plan| Some(plan.name) != but) {
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

    /// An event more in the book; some are in no topic.
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
            if self.random.percent(self.plan.poison) {
                tables.view(name).poison.insert(position);
            }
        }
        tables.book.push(event(position, stream_id, i32::try_from(before).unwrap_or(0) + 1));
    }

    /// What the relay does: each partition gets what is after its last event, each with the position before it, and then it is
    /// written down what was published.
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
            // The relay notes after the acknowledgement what it has published, which consumers may have received by then.
            if self.random.percent(self.plan.notes_late) {
                continue;
            }
            let ever = tables.published.get(&partition).map_or(0, |published| published.last).max(last);
            tables.published.insert(partition, Published { last: ever, log_end: last });
        }
    }

    /// The relay compares the ends of the logs with what it knows, and goes back where something is lost.
    fn look_at_ends(&mut self) {
        for partition in self.logs.partitions() {
            let end = self.logs.end(&partition);
            let known = self.published.entry(partition).or_insert(0);
            if end < *known {
                *known = end;
            }
        }
    }

    async fn harm(&mut self) {
        let partitions = self.logs.partitions();
        let Some(partition) = self.random.pick(&partitions) else { return };
        let some = usize::try_from(self.random.between(1, 6)).unwrap_or(1);
        match self.random.between(0, 10) {
            0 => self.told("the oldest messages expire", || self.logs.expire(partition, some)),
            1 => self.told("the newest messages are lost", || self.logs.cut(partition, some)),
            2 => {
                self.told("a log is lost", || self.logs.lose(partition));
                if self.random.percent(50) {
                    self.look_at_ends();
                }
            }
            3 => self.told("a foreign message", || self.logs.produce(partition, Err(EnvelopeError::Value))),
            4 => self.repeat(partition),
            5 => self.look_at_ends(),
            6 => {
                let member = self.random.between(0, self.plan.members);
                self.kill(member);
                self.place.sleep(Duration::from_micros(self.random.between(0, 2_000_000))).await;
                self.start(member);
            }
            7 => self.forge(partition),
            _ => {
                self.place.tell(|| "the partitions are dealt again".to_owned());
                self.group.rebalance();
            }
        }
    }

    /// A message that looks like one of the relay, from beyond the book or of another history of it.
    fn forge(&mut self, partition: &Partition) {
        self.place.tell(|| format!("a forged message in {partition:?}"));
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

    fn told(&self, what: &str, harm: impl FnOnce()) {
        self.place.tell(|| what.to_owned());
        harm();
    }

    /// The relay was killed before it could write down what it had published: it is published once more.
    fn repeat(&mut self, partition: &Partition) {
        self.place.tell(|| format!("the relay repeats itself in {partition:?}"));
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
        self.server.network().killed();
        self.place.tell(|| format!("member {member} is killed"));
        self.place.scheduler().kill(self.lives[usize::try_from(member).unwrap_or(0)]);
        // Its partitions go to the others at once, or only when it is back.
        if self.random.percent(50) {
            self.group.leave(member);
        }
    }

    fn start(&mut self, member: u64) {
        self.last_life += 1;
        let life = Group(self.last_life);
        let (place, feed) = (self.place.elsewhere(life), Feed::new(self.plan.inbox));
        let server = self.server.from(place.clone());
        self.lives[usize::try_from(member).unwrap_or(0)] = life;
        let mut random = self.random.fork();
        let all = self.plan.consumers.len();
        let runs = if self.plan.absent && member == 0 { all - 1 } else { all };
        for ConsumerPlan { name, slices, start, slow } in self.plan.consumers.iter().take(runs) {
            let attendance = Attendance {
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
                comes_and_goes: self.plan.comes_and_goes,
                subscribed: Arc::clone(&self.subscribed),
            };
            drop(place.spawn(attendance.attend()));
        }
        let (logs, group) = (self.logs.clone(), self.group.clone());
        let (dropped, stalled) = (Arc::clone(&self.dropped), Arc::clone(&self.stalled));
        let member = Member { nr: member, place: place.clone(), server, logs, group, feed, random, dropped, stalled };
        drop(place.spawn(member.receive()));
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
