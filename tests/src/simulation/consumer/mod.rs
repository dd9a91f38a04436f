//! One run of a consumer of the stream: two or three processes that share a topic, a book that grows, a relay that publishes it at
//! least once, and everything that can go wrong.
//!
//! Real is [`Share`](daybook_event_stream::consumer::Share): what to do with a message given a checkpoint, filling gaps from the book,
//! parking, what to do after a failure, noticing that nothing comes. Not real are SQL, librdkafka, and the relay.

mod member;
mod topic;
mod views;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::DateTime;
use daybook_bus::Host;
use daybook_event_store::RecordedEvent;
use daybook_event_stream::{
    SliceTopic, Topology,
    consumer::contract::{Partition, Published},
    envelope::{Delivery, EnvelopeError},
};
use uuid::Uuid;

use self::{member::Around, topic::Topic, views::Views};
use super::{
    network::{Network, Weather},
    scheduler::{Group, Place, Scheduler},
    seeds::{Told, Verdict},
    server::Server,
};
use crate::nemesis::{check::Check, random::Random};

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

/// What a seed has in store.
struct Plan {
    weather: Weather,
    partitions: usize,
    members: u64,
    batch: usize,
    events: u64,
    /// Of a hundred rounds of the world, how many bring trouble.
    trouble: u64,
    /// Of a hundred events, how many are poisoned.
    poison: u64,
}

impl Plan {
    fn of(random: &mut Random) -> Self {
        let some = |random: &mut Random, high| usize::try_from(random.between(1, high)).unwrap_or(1);
        Self {
            weather: if random.percent(20) { Weather::default() } else { Weather::any(random) },
            partitions: some(random, 5),
            members: random.between(1, 4),
            batch: if random.percent(50) { some(random, 7) } else { 1_000 },
            events: random.between(5, 40),
            trouble: if random.percent(20) { 0 } else { random.between(5, 60) },
            poison: if random.percent(70) { 0 } else { random.between(1, 20) },
        }
    }
}

/// The world around the members.
struct World {
    place: Place,
    server: Server<Views>,
    topology: Arc<Topology>,
    topic: Topic,
    group: topic::Group,
    random: Random,
    plan: Plan,
    /// By partition: the last event that the relay knows to be in the log.
    published: BTreeMap<i32, i64>,
    /// The lives of the members.
    lives: Vec<Group>,
    last_life: u32,
    killed: u64,
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
    let partitions = i32::try_from(plan.partitions).unwrap_or(1);
    let slices = vec![slice("order"), slice("cart")];
    let topology = Arc::new(Topology { prefix: "daybook".to_owned(), partitions, slices });
    let topic = Topic::new(topology.topic("order"), plan.partitions);
    let world = World {
        place,
        server: server.clone(),
        topology,
        group: topic::Group::new(topic.partitions()),
        topic,
        random,
        plan,
        published: BTreeMap::new(),
        lives: Vec::new(),
        last_life: MEMBERS,
        killed: 0,
    };
    let ended = scheduler.run(WORLD, world.story()).and_then(|caught_up| {
        // What was on its way when everybody died is done now, or never.
        scheduler.drain()?;
        Ok(caught_up)
    });
    let told =
        Told { steps: scheduler.steps(), trace: scheduler.trace(), harm: network.harm(), story: scheduler.story() };
    match ended {
        Err(stuck) => Verdict::broken(stuck.to_string(), told),
        Ok(caught_up) => judge(&mut server.tables(), &caught_up, told),
    }
}

impl World {
    async fn story(mut self) -> Result<(), String> {
        self.server.network().set(self.plan.weather);
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
        let caught_up = self.heal().await;
        for life in &self.lives {
            self.place.scheduler().kill(*life);
        }
        caught_up
    }

    /// Nothing goes wrong any more, and all there is was published: everybody has to come to the end of the book.
    async fn heal(&mut self) -> Result<(), String> {
        self.place.tell(|| "from here on nothing goes wrong".to_owned());
        self.server.network().set(Weather::default());
        for _ in 0..PATIENCE {
            self.look_at_ends();
            self.publish();
            self.place.sleep(Duration::from_millis(100)).await;
            if self.behind().is_empty() {
                return Ok(());
            }
        }
        Err(self.behind().join(", "))
    }

    /// The partitions whose checkpoints are before the end of the book.
    fn behind(&self) -> Vec<String> {
        let views = self.server.tables();
        let lag = |partition: &Partition| {
            let position = views.checkpoints.get(partition).map_or(0, |checkpoint| checkpoint.position);
            let last = self.of(&views.book, partition.nr).last().map_or(0, |event| event.position);
            (position < last).then(|| format!("{partition:?} is at {position} of {last}"))
        };
        self.topic.partitions().iter().filter_map(lag).collect()
    }

    /// The events of the book that are in a partition.
    fn of<'b>(&self, book: &'b [RecordedEvent], nr: i32) -> Vec<&'b RecordedEvent> {
        let topic = self.topology.topic("order");
        book.iter().filter(|event| self.topology.is_in(event, &topic, nr)).collect()
    }

    /// An event more in the book; some are nobody's business here.
    fn write(&mut self) {
        let slice = if self.random.percent(75) { "order" } else { "cart" };
        let stream_id = format!("{slice}-{}", self.random.between(0, 6));
        let poisoned = self.random.percent(self.plan.poison);
        let mut views = self.server.tables();
        let position = i64::try_from(views.book.len()).unwrap_or(0) + 1;
        let before = views.book.iter().filter(|event| event.stream_id == stream_id).count();
        if poisoned {
            views.poison.insert(position);
        }
        views.book.push(event(position, stream_id, i32::try_from(before).unwrap_or(0) + 1));
    }

    /// What the relay does: each partition gets what is after its last event, each with the position before it, and then it is
    /// written down what was published.
    fn publish(&mut self) {
        for partition in self.topic.partitions() {
            let mut views = self.server.tables();
            let mut last = self.published.get(&partition.nr).copied().unwrap_or(0);
            for event in self.of(&views.book, partition.nr) {
                if event.position > last {
                    let delivery = Delivery { event: event.clone(), prev_sequence: last, history: HISTORY };
                    self.topic.produce(partition.nr, Ok(delivery));
                    last = event.position;
                }
            }
            self.published.insert(partition.nr, last);
            let ever = views.published.get(&partition).map_or(0, |published| published.last).max(last);
            views.published.insert(partition, Published { last: ever, log_end: last });
        }
    }

    /// The relay compares the ends of the logs with what it knows, and goes back where something is lost.
    fn look_at_ends(&mut self) {
        for partition in self.topic.partitions() {
            let end = self.topic.end(partition.nr);
            let known = self.published.entry(partition.nr).or_insert(0);
            if end < *known {
                *known = end;
            }
        }
    }

    async fn harm(&mut self) {
        let nr = i32::try_from(self.random.between(0, self.plan.partitions as u64)).unwrap_or(0);
        let some = usize::try_from(self.random.between(1, 6)).unwrap_or(1);
        match self.random.between(0, 10) {
            0 => self.told("the oldest messages expire", || self.topic.expire(nr, some)),
            1 => self.told("the newest messages are lost", || self.topic.cut(nr, some)),
            2 => {
                self.told("a log is lost", || self.topic.lose(nr));
                if self.random.percent(50) {
                    self.look_at_ends();
                }
            }
            3 => self.told("a foreign message", || self.topic.produce(nr, Err(EnvelopeError::Value))),
            4 => self.repeat(nr),
            5 => self.look_at_ends(),
            6 => {
                let member = self.random.between(0, self.plan.members);
                self.kill(member);
                self.place.sleep(Duration::from_micros(self.random.between(0, 2_000_000))).await;
                self.start(member);
            }
            7 => self.forge(nr),
            _ => self.rebalance(),
        }
    }

    /// A message that looks like one of the relay, from beyond the book or of another history of it.
    fn forge(&mut self, nr: i32) {
        self.place.tell(|| format!("a forged message in partition {nr}"));
        let published = self.published.get(&nr).copied().unwrap_or(0);
        let beyond = BEYOND + i64::try_from(self.random.between(0, 3)).unwrap_or(0);
        let (position, prev_sequence, history) = match self.random.between(0, 3) {
            0 => (beyond, published, HISTORY),
            1 => (beyond, beyond - 1, HISTORY),
            _ => (published + 1, published, Uuid::from_u128(2)),
        };
        let event = event(position, format!("order-{}", self.random.between(0, 6)), 1);
        self.topic.forge(nr, Delivery { event, prev_sequence, history });
    }

    fn told(&self, what: &str, harm: impl FnOnce()) {
        self.place.tell(|| what.to_owned());
        harm();
    }

    /// The relay was killed before it could write down what it had published: it is published once more.
    fn repeat(&mut self, nr: i32) {
        self.place.tell(|| format!("the relay repeats itself in partition {nr}"));
        let views = self.server.tables();
        let own: Vec<i64> = self.of(&views.book, nr).iter().map(|event| event.position).collect();
        drop(views);
        let known = self.published.get(&nr).copied().unwrap_or(0);
        let before: Vec<i64> = std::iter::once(0).chain(own).filter(|position| *position < known).collect();
        if let Some(back) = self.random.pick(&before).copied() {
            self.published.insert(nr, back);
            self.publish();
        }
    }

    fn rebalance(&self) {
        self.place.tell(|| "the partitions are dealt anew".to_owned());
        self.group.rebalance();
    }

    fn kill(&mut self, member: u64) {
        self.killed += 1;
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
        let place = self.place.elsewhere(life);
        let around = Around {
            server: self.server.from(place.clone()),
            topology: Arc::clone(&self.topology),
            random: Mutex::new(self.random.fork()),
            batch: self.plan.batch,
        };
        self.lives[usize::try_from(member).unwrap_or(0)] = life;
        drop(place.spawn(member::live(around, self.topic.clone(), self.group.clone(), member)));
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

fn judge(views: &mut Views, caught_up: &Result<(), String>, told: Told) -> Verdict {
    let mut end = Check::new("everybody comes to the end of the book when nothing goes wrong any more");
    end.holds(caught_up.is_ok(), || caught_up.clone().err().unwrap_or_default());
    let mut commits =
        Check::new("after every commit the view is a fold of the book up to the checkpoint, and no further");
    commits.checked = views.commits;
    for wrong in views.wrong.drain(..) {
        commits.violates(|| wrong);
    }
    let mut parked = Check::new("what cannot be taken in is parked, and what comes after it in its stream");
    parked.checked = views.parkings;
    let mut fenced = Check::new("whoever has lost a partition cannot commit");
    fenced.checked = views.fenced;
    let mut beyond = Check::new("a checkpoint goes no further than the book");
    beyond.checked = views.refused;
    for (partition, checkpoint) in &views.checkpoints {
        beyond.holds(checkpoint.position < BEYOND, || format!("{partition:?} is at {}", checkpoint.position));
    }
    let mut asked = Check::new("how far the book goes is asked only when partitions are taken over, not for a batch");
    asked.checked = views.commits;
    let (measured, takings) = (views.measured, views.takings);
    asked.holds(measured <= takings, || format!("{measured} questions, and partitions were taken {takings} times"));
    views.unpark();
    let mut fold = Check::new("in the end the view is a fold of the book, also of what was parked");
    let mut expected: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for event in views.book.iter().filter(|event| event.stream_id.starts_with("order-")) {
        expected.entry(&event.stream_id).or_default().push(event.position);
    }
    for (stream, positions) in &expected {
        let shown = views.view.get(*stream);
        fold.holds(shown == Some(positions), || format!("{stream} shows {shown:?}, not {positions:?}"));
    }
    fold.holds(views.view.len() == expected.len(), || "the view shows streams that are not its own".to_owned());
    Verdict {
        told,
        checks: vec![end, commits, parked, fenced, beyond, asked, fold],
        accepted: views.commits,
        ..Verdict::default()
    }
}
