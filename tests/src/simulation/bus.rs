//! One run of the command bus: three buses on one book, with or without a seat, several clients, faults, and the judge.

use std::{sync::Arc, time::Duration};

use daybook_bus::{Bus, BusSettings, Clock, Runtime};
use futures::future::join_all;

use super::{
    network::{FaultRates, Network},
    scheduler::{Process, ProcessId, Scheduler, TaskHandle},
    seat::Seat,
    seeds::{Run, Verdict},
    shop::{Buses, NO_BUS, Shop},
    store::{MemoryBook, Tables},
};
use crate::nemesis::{
    book::{Book, Command, Event},
    check,
    history::{Answer, Call},
    random::Random,
};

const DATABASE: ProcessId = ProcessId(0);
const CLIENTS: ProcessId = ProcessId(1);
/// The processes of buses have ids above this one. A restarted bus is a new process.
const BUSES: u32 = 10;
/// The number of buses that run at a time.
pub(super) const PROCESSES: usize = 3;

/// The settings and faults of a seed.
struct Plan {
    fault_rates: FaultRates,
    settings: BusSettings,
    clients: u64,
    /// How many commands each client sends.
    commands: u64,
    /// How many times a bus is killed.
    kills: u64,
    /// Whether one bus decides for the others, where they find it.
    has_seat: bool,
}

impl Plan {
    fn draw(random: &mut Random) -> Self {
        let several = |random: &mut Random| usize::try_from(random.between(1, 9)).unwrap_or(1);
        let settings = BusSettings {
            queue: if random.percent(20) { several(random) } else { 100 },
            batch: if random.percent(50) { several(random) } else { 100 },
            cache_bytes: if random.percent(20) { 2_000 } else { 1 << 20 },
            attempts: if random.percent(10) { 2 } else { 100 },
            snapshot_after: if random.percent(50) { several(random) } else { 100 },
            check_beside: if random.percent(50) { 2 } else { 100 },
            ..BusSettings::default()
        };
        let fault_rates = if random.percent(15) { FaultRates::default() } else { FaultRates::draw(random) };
        let kills = if random.percent(50) { 0 } else { random.between(1, 5) };
        let (clients, commands, has_seat) = (random.between(2, 7), random.between(2, 7), random.percent(50));
        Self { fault_rates, settings, clients, commands, kills, has_seat }
    }
}

/// The processes with a bus.
struct Processes {
    book: MemoryBook,
    settings: BusSettings,
    buses: Buses,
    seat: Option<Arc<Seat>>,
    running: Vec<(Process, TaskHandle<()>)>,
    last_id: u32,
}

impl Processes {
    fn start(book: MemoryBook, process: &Process, plan: &Plan) -> Self {
        let (buses, settings): (Buses, _) = (Arc::default(), plan.settings.clone());
        let seat = plan.has_seat.then(|| Seat::new(Arc::clone(book.network()), PROCESSES));
        let mut all = Self { book, settings, buses, seat, running: Vec::new(), last_id: BUSES };
        for nr in 0..PROCESSES {
            let (bus, running) = all.start_one(nr, process);
            all.buses.lock().expect("no task has panicked with the lock").insert(nr, Some(bus));
            all.running.push(running);
        }
        all
    }

    /// Starts a process with an empty memory.
    fn start_one(&mut self, nr: usize, process: &Process) -> (Bus, (Process, TaskHandle<()>)) {
        self.last_id += 1;
        let process = process.other(ProcessId(self.last_id));
        let clock = {
            let process = process.clone();
            Clock::from_fn(move || process.now())
        };
        let (bus, work) = Bus::on(process.clone(), self.book.from(process.clone()), clock, &self.settings);
        let bus = match &self.seat {
            Some(seat) => seat.join(nr, &process, bus),
            None => bus,
        };
        let task = process.spawn(work);
        (bus, (process, task))
    }

    fn kill(&mut self, nr: usize) {
        let (process, _) = &self.running[nr];
        process.log(|| "is killed".to_owned());
        self.buses.lock().expect("no task has panicked with the lock")[nr] = None;
        if let Some(seat) = &self.seat {
            seat.leave(nr);
        }
        process.scheduler().kill(process.id());
        self.book.network().count_kill();
    }

    fn restart(&mut self, nr: usize, process: &Process) {
        let (bus, running) = self.start_one(nr, process);
        self.buses.lock().expect("no task has panicked with the lock")[nr] = Some(bus);
        self.running[nr] = running;
    }

    /// Drops the buses, and waits until their processes have ended. Returns whether each has ended by itself.
    async fn stop(self) -> bool {
        if let Some(seat) = &self.seat {
            seat.close();
        }
        self.buses.lock().expect("no task has panicked with the lock").clear();
        join_all(self.running.into_iter().map(|(_, task)| task)).await.iter().all(Option::is_some)
    }
}

/// Runs one seed.
#[must_use]
pub fn run(seed: u64, keeps_log: bool) -> Verdict {
    let mut random = Random::new(seed);
    let plan = Plan::draw(&mut random);
    let scheduler = Scheduler::new(random.next(), keeps_log);
    let clients = scheduler.process(CLIENTS);
    let network = Arc::new(Network::new(DATABASE, random.fork()));
    let book = MemoryBook::new(Arc::clone(&network), clients.clone());
    let processes = Processes::start(book.clone(), &clients, &plan);
    let shop = Shop::new(clients.clone(), Arc::clone(&processes.buses));
    let seat = processes.seat.clone();
    let main = drive(clients, shop.clone(), processes, plan, random);
    let ended = scheduler.run(CLIENTS, main).and_then(|stopped| {
        scheduler.drain()?;
        Ok(stopped)
    });
    let faults = network.faults();
    let run = Run { steps: scheduler.steps(), digest: scheduler.digest(), faults, log: scheduler.take_log() };
    match ended {
        Err(error) => Verdict::endless(error.to_string(), run),
        Ok(false) => Verdict::endless("a bus did not stop by itself".to_owned(), run),
        Ok(true) => {
            let mut verdict = judge(&book.tables(), &shop.history().taken().0, run);
            verdict.checks.extend(happened(&book.tables(), seat.as_deref()));
            verdict
        }
    }
}

/// Runs the clients, and kills and restarts buses meanwhile. Returns whether every bus has stopped by itself at the end.
async fn drive(process: Process, shop: Shop, mut processes: Processes, plan: Plan, mut random: Random) -> bool {
    shop.open(&mut random).await;
    let network = Arc::clone(processes.book.network());
    network.set_fault_rates(plan.fault_rates);
    let clients: Vec<_> =
        (0..plan.clients).map(|_| process.spawn(shop.clone().trade(random.fork(), plan.commands))).collect();
    for _ in 0..plan.kills {
        process.sleep(Duration::from_micros(random.between(0, 8_000))).await;
        let nr = usize::try_from(random.between(0, PROCESSES as u64)).unwrap_or(0);
        processes.kill(nr);
        if let Some(seat) = &processes.seat {
            // The seat is free for a while, or goes to any process, whether it runs or not.
            let next = usize::try_from(random.between(0, PROCESSES as u64 + 1)).unwrap_or(0);
            seat.give((next < PROCESSES).then_some(next), &process, &mut random);
        }
        // The new process may start while the database still executes requests of the killed one.
        process.sleep(Duration::from_micros(random.between(0, 3_000))).await;
        processes.restart(nr, &process);
    }
    join_all(clients).await;
    drop(shop);
    network.set_fault_rates(FaultRates::default());
    processes.stop().await
}

fn judge(tables: &Tables, calls: &[Call], run: Run) -> Verdict {
    let book = read(tables);
    let mut checks = check::checks_of(&book, calls, &[]);
    checks.push(turned_away(&book, calls));
    let attempts = calls.iter().flat_map(|call| &call.attempts);
    let mut verdict = Verdict { run, checks, ..Verdict::default() };
    for attempt in attempts {
        match attempt.answer {
            Answer::Accepted(_) | Answer::Shown(_) => verdict.accepted += 1,
            Answer::Refused { .. } => verdict.refused += 1,
            Answer::Unknown(_) => verdict.open += 1,
        }
    }
    verdict
}

/// What has to happen in some of the runs, as checks that never fail. A check that no run makes fails the test.
fn happened(tables: &Tables, seat: Option<&Seat>) -> [check::Check; 3] {
    let (answered, unanswered) = seat.map(Seat::counts).unwrap_or_default();
    [
        ("batches written under the lock of the head", tables.written_locked()),
        ("commands that another bus has answered", answered),
        ("commands that another bus has got and not answered", unanswered),
    ]
    .map(|(name, checked)| check::Check { checked, ..check::Check::new(name) })
}

/// The book in the form that the judge reads.
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

/// Checks the commands that were turned away at each attempt: the answer says that nothing was written.
fn turned_away(book: &Book, calls: &[Call]) -> check::Check {
    const NOT_WRITTEN: [&str; 4] = [
        "others kept changing what this command rests on",
        "too many commands are waiting",
        "the command bus has stopped",
        NO_BUS,
    ];
    let mut check = check::Check::new("a command that was turned away at each attempt is not in the book");
    let not_written = |answer: &Answer| matches!(answer, Answer::Unknown(why) if NOT_WRITTEN.contains(&why.as_str()));
    for call in calls.iter().filter(|call| call.attempts.iter().all(|attempt| not_written(&attempt.answer))) {
        let recorded = book.commands.contains_key(&call.key);
        check.holds(!recorded, || format!("{} {} was turned away and is in the book", call.name, call.key));
    }
    check
}
