//! One run of the command bus: two of them on one book, several clients, everything that can go wrong, and the judge.

use std::{sync::Arc, time::Duration};

use daybook_bus::{Bus, BusSettings, Clock, Runtime};
use futures::future::join_all;

use super::{
    network::{Network, Weather},
    scheduler::{Group, Place, Scheduler, Started},
    seeds::{Told, Verdict},
    shop::{Buses, Shop},
    store::{MemoryBook, Tables},
};
use crate::nemesis::{
    book::{Book, Command, Event},
    check,
    history::{Answer, Call},
    random::Random,
};

const DATABASE: Group = Group(0);
const CLIENTS: Group = Group(1);
/// Each life of a bus is a group of its own, from this one on.
const BUSES: u32 = 10;
/// How many buses there are.
const PROCESSES: usize = 2;

/// What a seed has in store.
struct Plan {
    weather: Weather,
    settings: BusSettings,
    clients: u64,
    deeds: u64,
    /// How many times a bus is killed.
    kills: u64,
}

impl Plan {
    fn of(random: &mut Random) -> Self {
        let several = |random: &mut Random| usize::try_from(random.between(1, 9)).unwrap_or(1);
        let settings = BusSettings {
            queue: if random.percent(20) { several(random) } else { 100 },
            batch: if random.percent(50) { several(random) } else { 100 },
            cache_bytes: if random.percent(20) { 2_000 } else { 1 << 20 },
            attempts: if random.percent(10) { 2 } else { 100 },
            snapshot_after: if random.percent(50) { several(random) } else { 100 },
            ..BusSettings::default()
        };
        let weather = if random.percent(15) { Weather::default() } else { Weather::any(random) };
        let kills = if random.percent(50) { 0 } else { random.between(1, 5) };
        Self { weather, settings, clients: random.between(2, 7), deeds: random.between(2, 7), kills }
    }
}

/// The two processes.
struct Processes {
    book: MemoryBook,
    settings: BusSettings,
    buses: Buses,
    lives: Vec<(Place, Started<()>)>,
    last: u32,
}

impl Processes {
    fn start(book: MemoryBook, place: &Place, settings: BusSettings) -> Self {
        let buses: Buses = Arc::default();
        let mut all = Self { book, settings, buses, lives: Vec::new(), last: BUSES };
        for nr in 0..PROCESSES {
            let (bus, life) = all.begin(place);
            all.buses.lock().expect("nobody panics with it").insert(nr, Some(bus));
            all.lives.push(life);
        }
        all
    }

    /// A process that has nothing in memory.
    fn begin(&mut self, place: &Place) -> (Bus, (Place, Started<()>)) {
        self.last += 1;
        let place = place.elsewhere(Group(self.last));
        let clock = {
            let place = place.clone();
            Clock::from_fn(move || place.now())
        };
        let (bus, work) = Bus::on(place.clone(), self.book.from(place.clone()), clock, &self.settings);
        let life = place.spawn(work);
        (bus, (place, life))
    }

    fn kill(&mut self, nr: usize) {
        let (place, _) = &self.lives[nr];
        place.tell(|| "is killed".to_owned());
        self.buses.lock().expect("nobody panics with it")[nr] = None;
        place.scheduler().kill(place.group());
        self.book.network().killed();
    }

    fn restart(&mut self, nr: usize, place: &Place) {
        let (bus, life) = self.begin(place);
        self.buses.lock().expect("nobody panics with it")[nr] = Some(bus);
        self.lives[nr] = life;
    }

    /// Tells them to stop, and waits until they have. True when each of them did so by itself.
    async fn stop(self) -> bool {
        self.buses.lock().expect("nobody panics with it").clear();
        join_all(self.lives.into_iter().map(|(_, life)| life)).await.iter().all(Option::is_some)
    }
}

/// Runs one seed.
#[must_use]
pub fn run(seed: u64, tells: bool) -> Verdict {
    let mut random = Random::new(seed);
    let plan = Plan::of(&mut random);
    let scheduler = Scheduler::new(random.next(), tells);
    let place = scheduler.place(CLIENTS);
    let network = Arc::new(Network::new(DATABASE, random.fork()));
    let book = MemoryBook::new(Arc::clone(&network), place.clone());
    let processes = Processes::start(book.clone(), &place, plan.settings.clone());
    let shop = Shop::new(place.clone(), Arc::clone(&processes.buses));
    let story = story(place, shop.clone(), processes, plan, random);
    let ended = scheduler.run(CLIENTS, story).and_then(|stopped| {
        scheduler.drain()?;
        Ok(stopped)
    });
    let harm = network.harm();
    let told = Told { steps: scheduler.steps(), trace: scheduler.trace(), harm, story: scheduler.story() };
    match ended {
        Err(stuck) => Verdict::broken(stuck.to_string(), told),
        Ok(false) => Verdict::broken("a bus did not stop by itself".to_owned(), told),
        Ok(true) => judge(&book.tables(), &shop.history().taken().0, told),
    }
}

async fn story(place: Place, shop: Shop, mut processes: Processes, plan: Plan, mut random: Random) -> bool {
    shop.open(&mut random).await;
    let network = Arc::clone(processes.book.network());
    network.set(plan.weather);
    let clients: Vec<_> =
        (0..plan.clients).map(|_| place.spawn(shop.clone().trade(random.fork(), plan.deeds))).collect();
    for _ in 0..plan.kills {
        place.sleep(Duration::from_micros(random.between(0, 8_000))).await;
        let nr = usize::from(random.percent(50));
        processes.kill(nr);
        // Its successor may be there at once, while what it has asked for is still being done.
        place.sleep(Duration::from_micros(random.between(0, 3_000))).await;
        processes.restart(nr, &place);
    }
    join_all(clients).await;
    drop(shop);
    network.set(Weather::default());
    processes.stop().await
}

fn judge(tables: &Tables, calls: &[Call], told: Told) -> Verdict {
    let book = read(tables);
    let mut checks = check::checks_of(&book, calls, &[]);
    checks.push(surely_not(&book, calls));
    let attempts = calls.iter().flat_map(|call| &call.attempts);
    let mut verdict = Verdict { told, checks, ..Verdict::default() };
    for attempt in attempts {
        match attempt.answer {
            Answer::Accepted(_) | Answer::Shown(_) => verdict.accepted += 1,
            Answer::Refused { .. } => verdict.refused += 1,
            Answer::Unknown(_) => verdict.open += 1,
        }
    }
    verdict
}

/// The book as the judge reads it.
fn read(tables: &Tables) -> Book {
    let event = |event: &daybook_event_store::RecordedEvent| Event {
        position: event.position,
        stream: event.stream_id.clone(),
        version: event.version,
        event_type: event.event_type.clone(),
        schema_version: event.schema_version,
        event_id: event.event_id,
        recorded_at: event.recorded_at,
        effective_at: event.effective_at,
        correlation_id: event.correlation_id,
        causation_id: event.causation_id,
        actor: event.actor.clone(),
        data: serde_json::from_str(&event.data).unwrap_or_default(),
    };
    let commands = tables.commands().values().map(|command| {
        let events = usize::try_from(command.events).unwrap_or(0);
        (command.command_id, Command { first: command.first_position, events })
    });
    Book { events: tables.events().iter().map(event).collect(), commands: commands.collect() }
}

/// Some answers say that nothing was written, and that it may be tried again.
fn surely_not(book: &Book, calls: &[Call]) -> check::Check {
    const NOT: [&str; 4] = [
        "others kept changing what this command rests on",
        "too many commands are waiting",
        "the command bus has stopped",
        "nobody is there",
    ];
    let mut check = check::Check::new("nothing is there of a command that was turned away each time");
    let not = |answer: &Answer| matches!(answer, Answer::Unknown(why) if NOT.contains(&why.as_str()));
    for call in calls.iter().filter(|call| call.attempts.iter().all(|attempt| not(&attempt.answer))) {
        let there = book.commands.contains_key(&call.key);
        check.holds(!there, || format!("{} {} was turned away and is there", call.name, call.key));
    }
    check
}
