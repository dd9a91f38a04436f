//! The scheduler: one thread, a clock of its own, and a seed that decides which of the tasks that could go on does.
//!
//! Time passes only when nobody can go on (and by a microsecond a step, so that no two things happen at the same time). Tasks
//! belong to a [`Group`], which is what a process is: killing it drops its tasks where they stand, between any two steps.

use std::{
    any::Any,
    collections::BTreeMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use daybook_bus::Runtime;
use futures::{FutureExt, future::Map};
use tokio::sync::oneshot;

use crate::nemesis::random::Random;

/// A process: tasks that live and die together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub u32);

/// After so many steps a run is taken to go on for ever.
const MOST_STEPS: u64 = 500_000;

/// Why a run came to no end.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// Everybody waits for somebody else.
    #[error("everybody waits, and nothing will happen any more")]
    Deadlock,
    /// It goes on and on.
    #[error("there was no end after {MOST_STEPS} steps")]
    Endless,
    /// A task panicked.
    #[error("a task panicked: {0}")]
    Panic(String),
}

/// Where a task is run: a group of a scheduler.
#[derive(Clone)]
pub struct Place {
    scheduler: Arc<Scheduler>,
    group: Group,
}

/// Tasks, timers and chance.
pub struct Scheduler {
    ready: Arc<Mutex<Vec<u64>>>,
    state: Mutex<State>,
}

struct State {
    random: Random,
    /// Microseconds since the beginning.
    now: u64,
    steps: u64,
    tasks: BTreeMap<u64, Task>,
    timers: BTreeMap<(u64, u64), Waker>,
    last_id: u64,
    /// A digest of all choices.
    trace: u64,
    /// What was told, if anybody wants to know.
    story: Option<Vec<String>>,
}

struct Task {
    group: Group,
    /// Gone while it is being polled.
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    alarm: Arc<Alarm>,
}

/// Makes a task ready, once until it is polled.
struct Alarm {
    task: u64,
    is_set: AtomicBool,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if !self.is_set.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(self.task);
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scheduler {
    /// A scheduler that has nothing to do. With `tells` it keeps what it is [told](Place::tell).
    #[must_use]
    pub fn new(seed: u64, tells: bool) -> Arc<Self> {
        let state = State {
            random: Random::new(seed),
            now: 0,
            steps: 0,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            last_id: 0,
            trace: 0,
            story: tells.then(Vec::new),
        };
        Arc::new(Self { ready: Arc::default(), state: Mutex::new(state) })
    }

    /// A place to run tasks in.
    #[must_use]
    pub fn place(self: &Arc<Self>, group: Group) -> Place {
        Place { scheduler: Arc::clone(self), group }
    }

    /// Runs everything until `main` has ended.
    ///
    /// # Errors
    /// [`Stuck`], when it does not end.
    pub fn run<T: Send + 'static>(
        self: &Arc<Self>,
        group: Group,
        main: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Stuck> {
        let mut main = self.place(group).spawn(main);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(ended) = main.poll_unpin(&mut context) {
                return ended.ok_or(Stuck::Deadlock);
            }
            if !self.step()? {
                return Err(Stuck::Deadlock);
            }
        }
    }

    /// Runs everything until nothing is going to happen any more.
    ///
    /// # Errors
    /// [`Stuck`], when it goes on for ever.
    pub fn drain(&self) -> Result<(), Stuck> {
        while self.step()? {}
        Ok(())
    }

    /// Polls one of the tasks that can go on, or lets time pass; says whether there was anything to do.
    fn step(&self) -> Result<bool, Stuck> {
        let chosen = {
            let (mut state, mut ready) = (lock(&self.state), lock(&self.ready));
            if ready.is_empty() {
                let Some(((at, _), waker)) = state.timers.pop_first() else { return Ok(false) };
                state.now = state.now.max(at);
                drop((state, ready));
                waker.wake();
                return Ok(true);
            }
            let nr = state.random.between(0, ready.len() as u64);
            let id = ready.swap_remove(usize::try_from(nr).unwrap_or(0));
            state.now += 1;
            state.steps += 1;
            state.trace = (state.trace ^ id ^ (state.now << 20)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
            if state.steps > MOST_STEPS {
                return Err(Stuck::Endless);
            }
            // Whoever was killed meanwhile is not there any more.
            state.tasks.get_mut(&id).and_then(|task| Some((id, task.work.take()?, Arc::clone(&task.alarm))))
        };
        let Some((id, mut work, alarm)) = chosen else { return Ok(true) };
        alarm.is_set.store(false, Ordering::Relaxed);
        let waker = Waker::from(alarm);
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(&waker))));
        let mut state = lock(&self.state);
        let over = match polled {
            Ok(Poll::Pending) => match state.tasks.get_mut(&id) {
                Some(task) => {
                    task.work = Some(work);
                    return Ok(true);
                }
                // It has killed its own process.
                None => Ok(true),
            },
            Ok(Poll::Ready(())) => Ok(true),
            Err(panic) => Err(Stuck::Panic(message(&*panic))),
        };
        state.tasks.remove(&id);
        drop(state);
        // What it held may wake others.
        drop(work);
        over
    }

    /// Drops all tasks of a group where they stand.
    pub fn kill(&self, group: Group) {
        let mut state = lock(&self.state);
        let (dead, alive) = std::mem::take(&mut state.tasks).into_iter().partition(|(_, task)| task.group == group);
        state.tasks = alive;
        drop(state);
        let dead: BTreeMap<u64, Task> = dead;
        drop(dead);
    }

    /// How many steps there were.
    #[must_use]
    pub fn steps(&self) -> u64 {
        lock(&self.state).steps
    }

    /// A digest of all choices so far: two runs of the same seed have the same.
    #[must_use]
    pub fn trace(&self) -> u64 {
        lock(&self.state).trace
    }

    /// What was told.
    #[must_use]
    pub fn story(&self) -> Vec<String> {
        lock(&self.state).story.take().unwrap_or_default()
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word").to_owned()
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}", self.group.0)
    }
}

impl Place {
    /// Which process it is.
    #[must_use]
    pub const fn group(&self) -> Group {
        self.group
    }

    /// The same scheduler, another process.
    #[must_use]
    pub fn elsewhere(&self, group: Group) -> Self {
        self.scheduler.place(group)
    }

    /// The scheduler.
    #[must_use]
    pub const fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = lock(&self.scheduler.state).now;
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::microseconds(i64::try_from(micros).unwrap_or(0))
    }

    /// Tells what happens, for whoever looks at one seed.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        let mut state = lock(&self.scheduler.state);
        let (now, group) = (state.now, self.group.0);
        if let Some(story) = &mut state.story {
            story.push(format!("{now:>9} µs  process {group}  {}", what()));
        }
    }

    /// What something comes to, unless the time is over before.
    pub async fn within<T>(&self, time: Duration, work: impl Future<Output = T> + Send) -> Option<T> {
        let work = std::pin::pin!(work);
        let timer = std::pin::pin!(self.sleep(time));
        match futures::future::select(work, timer).await {
            futures::future::Either::Left((done, _)) => Some(done),
            futures::future::Either::Right(_) => None,
        }
    }

    fn add(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let mut state = lock(&self.scheduler.state);
        state.last_id += 1;
        let task = state.last_id;
        let ready = Arc::clone(&self.scheduler.ready);
        let alarm = Arc::new(Alarm { task, is_set: AtomicBool::new(false), ready });
        state.tasks.insert(task, Task { group: self.group, work: Some(work), alarm: Arc::clone(&alarm) });
        drop(state);
        alarm.wake();
    }
}

/// A task that was started: gone when it was killed.
pub type Started<T> = Map<oneshot::Receiver<T>, fn(Result<T, oneshot::error::RecvError>) -> Option<T>>;

impl Runtime for Place {
    type Task<T: Send + 'static> = Started<T>;

    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Started<T> {
        let (sender, receiver) = oneshot::channel();
        self.add(Box::pin(async move {
            // Nobody may want to know.
            sender.send(work.await).ok();
        }));
        receiver.map(Result::ok)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        Sleep { scheduler: Arc::clone(&self.scheduler), time, key: None }
    }
}

/// A wait.
struct Sleep {
    scheduler: Arc<Scheduler>,
    time: Duration,
    /// When it ends, once it has begun.
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let scheduler = Arc::clone(&self.scheduler);
        let mut state = lock(&scheduler.state);
        let key = match self.key {
            Some(key) if state.now >= key.0 => return Poll::Ready(()),
            Some(key) => key,
            None => {
                state.last_id += 1;
                (state.now + u64::try_from(self.time.as_micros()).unwrap_or(u64::MAX / 2), state.last_id)
            }
        };
        self.key = Some(key);
        state.timers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            lock(&self.scheduler.state).timers.remove(&key);
        }
    }
}
