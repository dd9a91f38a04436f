//! The scheduler: one thread, virtual time, and a seed that decides which of the ready tasks is polled next.
//!
//! Time advances to the next timer when no task is ready. Each step takes a microsecond, so no two steps have the same time. Every task
//! belongs to a simulated [`Process`]. Killing the process drops its tasks, between any two steps.

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

/// The id of a simulated process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub u32);

/// The number of steps after which a run counts as endless.
const MAX_STEPS: u64 = 500_000;

/// Why a run did not end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Every task waits, and no timer is set.
    #[error("deadlock: every task waits, and no timer is set")]
    Deadlock,
    /// The run has taken too many steps.
    #[error("the run did not end within {MAX_STEPS} steps")]
    Endless,
    /// A task panicked.
    #[error("a task panicked: {0}")]
    Panic(String),
}

/// A simulated process: tasks that are killed together.
#[derive(Clone)]
pub struct Process {
    scheduler: Arc<Scheduler>,
    id: ProcessId,
}

/// Tasks, timers and random numbers.
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
    digest: u64,
    /// The log lines, if the run keeps a log.
    log: Option<Vec<String>>,
}

struct Task {
    process: ProcessId,
    /// None while the task is polled.
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    waker: Arc<TaskWaker>,
}

/// Makes a task ready, at most once until it is polled.
struct TaskWaker {
    task: u64,
    is_woken: AtomicBool,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(self.task);
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scheduler {
    /// A scheduler without tasks. With `keeps_log` it keeps the lines of [`Process::log`].
    #[must_use]
    pub fn new(seed: u64, keeps_log: bool) -> Arc<Self> {
        let state = State {
            random: Random::new(seed),
            now: 0,
            steps: 0,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            last_id: 0,
            digest: 0,
            log: keeps_log.then(Vec::new),
        };
        Arc::new(Self { ready: Arc::default(), state: Mutex::new(state) })
    }

    /// The process with an id.
    #[must_use]
    pub fn process(self: &Arc<Self>, id: ProcessId) -> Process {
        Process { scheduler: Arc::clone(self), id }
    }

    /// Runs all tasks until `main` has ended.
    ///
    /// # Errors
    /// [`RunError`] when `main` does not end.
    pub fn run<T: Send + 'static>(
        self: &Arc<Self>,
        process: ProcessId,
        main: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, RunError> {
        let mut main = self.process(process).spawn(main);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(ended) = main.poll_unpin(&mut context) {
                return ended.ok_or(RunError::Deadlock);
            }
            if !self.step()? {
                return Err(RunError::Deadlock);
            }
        }
    }

    /// Runs all tasks until no task is ready and no timer is set.
    ///
    /// # Errors
    /// [`RunError`] when the tasks do not end.
    pub fn drain(&self) -> Result<(), RunError> {
        while self.step()? {}
        Ok(())
    }

    /// Polls one of the ready tasks, or advances the time to the next timer. Returns false when neither exists.
    fn step(&self) -> Result<bool, RunError> {
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
            state.digest = (state.digest ^ id ^ (state.now << 20)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
            if state.steps > MAX_STEPS {
                return Err(RunError::Endless);
            }
            // A killed task is no longer in the map.
            state.tasks.get_mut(&id).and_then(|task| Some((id, task.work.take()?, Arc::clone(&task.waker))))
        };
        let Some((id, mut work, waker)) = chosen else { return Ok(true) };
        waker.is_woken.store(false, Ordering::Relaxed);
        let waker = Waker::from(waker);
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(&waker))));
        let mut state = lock(&self.state);
        let ended = match polled {
            Ok(Poll::Pending) => match state.tasks.get_mut(&id) {
                Some(task) => {
                    task.work = Some(work);
                    return Ok(true);
                }
                // The task has killed its own process.
                None => Ok(true),
            },
            Ok(Poll::Ready(())) => Ok(true),
            Err(panic) => Err(RunError::Panic(message(&*panic))),
        };
        state.tasks.remove(&id);
        drop(state);
        // Dropping the task may wake other tasks.
        drop(work);
        ended
    }

    /// Kills a process: drops all its tasks.
    pub fn kill(&self, process: ProcessId) {
        let mut state = lock(&self.state);
        let (dead, alive) = std::mem::take(&mut state.tasks).into_iter().partition(|(_, task)| task.process == process);
        state.tasks = alive;
        drop(state);
        let dead: BTreeMap<u64, Task> = dead;
        drop(dead);
    }

    /// The number of steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        lock(&self.state).steps
    }

    /// A digest of all choices so far. Two runs of the same seed have the same digest.
    #[must_use]
    pub fn digest(&self) -> u64 {
        lock(&self.state).digest
    }

    /// Takes the log lines.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        lock(&self.state).log.take().unwrap_or_default()
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message").to_owned()
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}", self.id.0)
    }
}

impl Process {
    /// The id of the process.
    #[must_use]
    pub const fn id(&self) -> ProcessId {
        self.id
    }

    /// Another process of the same scheduler.
    #[must_use]
    pub fn other(&self, id: ProcessId) -> Self {
        self.scheduler.process(id)
    }

    /// The scheduler.
    #[must_use]
    pub const fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = lock(&self.scheduler.state).now;
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::microseconds(i64::try_from(micros).unwrap_or(0))
    }

    /// Writes a line to the log, if the run keeps one.
    pub fn log(&self, what: impl FnOnce() -> String) {
        let mut state = lock(&self.scheduler.state);
        let (now, id) = (state.now, self.id.0);
        if let Some(log) = &mut state.log {
            log.push(format!("{now:>9} µs  process {id}  {}", what()));
        }
    }

    /// The output of a future, or none when the time is over first.
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
        let waker = Arc::new(TaskWaker { task, is_woken: AtomicBool::new(false), ready });
        state.tasks.insert(task, Task { process: self.id, work: Some(work), waker: Arc::clone(&waker) });
        drop(state);
        waker.wake();
    }
}

/// The handle of a task. It resolves to none when the task was killed.
pub type TaskHandle<T> = Map<oneshot::Receiver<T>, fn(Result<T, oneshot::error::RecvError>) -> Option<T>>;

impl Runtime for Process {
    type Task<T: Send + 'static> = TaskHandle<T>;

    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> TaskHandle<T> {
        let (sender, receiver) = oneshot::channel();
        self.add(Box::pin(async move {
            // The handle may be dropped.
            sender.send(work.await).ok();
        }));
        receiver.map(Result::ok)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        Sleep { scheduler: Arc::clone(&self.scheduler), time, key: None }
    }
}

/// A timer.
struct Sleep {
    scheduler: Arc<Scheduler>,
    time: Duration,
    /// The end of the timer, once it is set.
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
