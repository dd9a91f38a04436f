//! What one operation may take of the process: statements at once, and bytes of memory. So a caller whose operations are large waits for
//! the own ones, and not the others for it.
//!
//! Every operation has a share. It counts the bytes of the rows that it reads and of the values that it answers with, while it resolves.
//! Most operations stay small. A large one needs one of a few places. Places are few for each caller, so one caller cannot take all.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_graphql::Error;
use daybook_edge::callers::{Caller, Counted, Counts};
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::timeout,
};

use super::turns::Turns;
use crate::graphql::{
    error::{RATE_LIMITED, UNAVAILABLE, coded},
    viewer::Viewer,
};

/// The code of an operation whose answer would be too large.
const ANSWER_TOO_LARGE: &str = "ANSWER_TOO_LARGE";

/// How much of the process queries may take.
#[derive(Debug, Clone, Copy)]
pub struct QueryLimits {
    /// The operations that run at once.
    pub operations: usize,
    /// The operations of one buyer or of one address that run at once.
    pub operations_per_caller: usize,
    /// The statements that run at once.
    pub statements: usize,
    /// The statements of one operation that run at once.
    pub statements_per_operation: usize,
    /// The statements of one buyer or of one address that run at once, over all operations.
    pub statements_per_caller: usize,
    /// The bytes of an operation that needs no place among the large ones.
    pub small: usize,
    /// The bytes of the largest operation, with all rows that it reads.
    pub largest: usize,
    /// The large operations of buyers that run at once, and as many of staff.
    pub large: usize,
    /// The large operations of one buyer or of one address, until their answers are sent.
    pub large_per_caller: usize,
    /// The bytes of large answers that are being sent.
    pub sending: usize,
    /// How long an operation waits for a place or for a statement.
    pub patience: Duration,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            operations: 256,
            operations_per_caller: 16,
            statements: 24,
            statements_per_operation: 4,
            statements_per_caller: 4,
            small: 1 << 20,
            largest: 16 << 20,
            large: 6,
            large_per_caller: 2,
            sending: 128 << 20,
            patience: Duration::from_secs(5),
        }
    }
}

/// How many operations may wait for a place among the large ones.
const MAX_WAITING: usize = 32;
/// The bytes of values that an operation resolves before others of its thread have their turn.
const TURN: usize = 64 << 10;
/// The unit in which the bytes of answers are counted that are being sent.
const UNIT: usize = 1 << 10;

/// What the operations of this process share.
pub(crate) struct Capacity {
    limits: QueryLimits,
    operations: Arc<Semaphore>,
    statements: Semaphore,
    statements_by: Turns<Caller>,
    /// Places of buyers.
    large: Arc<Semaphore>,
    large_of_staff: Arc<Semaphore>,
    waiting: AtomicUsize,
    operations_by: Counts<Caller>,
    large_by: Counts<Caller>,
    sending: Arc<Semaphore>,
}

impl Capacity {
    pub(crate) fn new(limits: QueryLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            operations: Arc::new(Semaphore::new(limits.operations)),
            statements: Semaphore::new(limits.statements),
            statements_by: Turns::new(limits.statements_per_caller),
            large: Arc::new(Semaphore::new(limits.large)),
            large_of_staff: Arc::new(Semaphore::new(limits.large)),
            waiting: AtomicUsize::new(0),
            operations_by: Counts::default(),
            large_by: Counts::default(),
            sending: Arc::new(Semaphore::new(limits.sending / UNIT)),
        })
    }

    /// What is awaited, unless it takes too long.
    async fn in_time<T>(&self, permit: impl Future<Output = Result<T, AcquireError>>) -> Result<T, Error> {
        match timeout(self.limits.patience, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(coded(UNAVAILABLE, "too many queries are running; try again")),
        }
    }
}

/// What one operation holds.
pub(crate) struct Share {
    capacity: Arc<Capacity>,
    callers: Vec<Caller>,
    staff: bool,
    /// The statements that the operation may run at once.
    statements: Semaphore,
    /// Those that its callers may run at once.
    statements_of_callers: Vec<Arc<Semaphore>>,
    /// The bytes that it holds.
    bytes: AtomicUsize,
    /// The bytes that it had when its turn began.
    turn: AtomicUsize,
    /// Why it was ended.
    failure: OnceLock<Error>,
    place: Mutex<Option<Place>>,
    /// Its holder asks for the place of the operation.
    asking: tokio::sync::Mutex<()>,
    /// The counts of the operation itself.
    _running: Option<Running>,
}

/// The place of a large operation, and then of its answer.
struct Place {
    /// Among the operations that run, and then the bytes among the answers that are being sent.
    _permit: OwnedSemaphorePermit,
    /// Among those of its callers, until the answer is sent.
    _counted: Vec<Counted<Caller>>,
}

/// An operation that runs.
struct Running {
    _permit: OwnedSemaphorePermit,
    _counted: Vec<Counted<Caller>>,
}

impl Share {
    /// The share of an operation that begins. An operation waits while too many run, and is refused where its caller has too many.
    pub(crate) async fn begin(capacity: &Arc<Capacity>, viewer: &Viewer) -> Result<Arc<Self>, Error> {
        let limits = capacity.limits;
        let callers = buyers(viewer);
        let counted = capacity.operations_by.add_all(callers.iter().cloned(), limits.operations_per_caller);
        let counted = counted.ok_or_else(|| {
            let most = limits.operations_per_caller;
            coded(RATE_LIMITED, format!("more than {most} operations at once; wait for an answer before the next one"))
        })?;
        let permit = capacity.in_time(Arc::clone(&capacity.operations).acquire_owned()).await?;
        Ok(Self::new(capacity, viewer, Some(Running { _permit: permit, _counted: counted })))
    }

    /// The share of a subscription. It needs a permit for streams instead of a count among the operations.
    pub(crate) fn of_subscription(capacity: &Arc<Capacity>, viewer: &Viewer) -> Arc<Self> {
        Self::new(capacity, viewer, None)
    }

    /// The share of the process itself, for what it reads for many.
    pub(crate) fn of_process(capacity: &Arc<Capacity>) -> Arc<Self> {
        Self::build(capacity, Vec::new(), true, None)
    }

    fn new(capacity: &Arc<Capacity>, viewer: &Viewer, running: Option<Running>) -> Arc<Self> {
        Self::build(capacity, buyers(viewer), viewer.is_staff(), running)
    }

    fn build(capacity: &Arc<Capacity>, callers: Vec<Caller>, staff: bool, running: Option<Running>) -> Arc<Self> {
        Arc::new(Self {
            capacity: Arc::clone(capacity),
            statements_of_callers: callers.iter().map(|caller| capacity.statements_by.of(caller.clone())).collect(),
            callers,
            staff,
            statements: Semaphore::new(capacity.limits.statements_per_operation),
            bytes: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            failure: OnceLock::new(),
            place: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            _running: running,
        })
    }

    pub(crate) const fn capacity(&self) -> &Arc<Capacity> {
        &self.capacity
    }

    /// Counts bytes. `Ok(true)` means that the operation is large now, and has to take a place before it goes on.
    pub(crate) fn count(&self, bytes: usize) -> Result<bool, Error> {
        let QueryLimits { small, largest, .. } = self.capacity.limits;
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if held <= small {
            return Ok(false);
        }
        if held > largest {
            return Err(self.end(coded(
                ANSWER_TOO_LARGE,
                format!("the answer takes more than {} MiB; ask for smaller pages or fewer fields", largest >> 20),
            )));
        }
        Ok(self.place.lock().unwrap_or_else(PoisonError::into_inner).is_none())
    }

    /// A turn of the operation begins. The runtime has run other tasks since the last one.
    pub(crate) fn begin_turn(&self) {
        self.turn.store(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Waits for the next turn when this one has resolved much. A large list would keep its thread for long otherwise.
    pub(crate) async fn in_turn(&self) {
        poll_fn(|context| {
            let resolved = self.bytes.load(Ordering::Relaxed).saturating_sub(self.turn.load(Ordering::Relaxed));
            if resolved < TURN {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Gives bytes back that were counted and are not held any more.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes a place among the large operations.
    pub(crate) async fn take_place(&self) -> Result<(), Error> {
        let _asking = self.asking.lock().await;
        if let Some(failure) = self.failure.get() {
            return Err(failure.clone());
        }
        if self.place.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let place = self.find_place().await.map_err(|error| self.end(error))?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        Ok(())
    }

    /// Takes a place if one is free. Returns whether the operation has one.
    pub(crate) fn try_take_place(&self) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            let counted = self.count_large();
            let permit = Arc::clone(self.places()).try_acquire_owned().ok();
            *place = counted.zip(permit).map(|(counted, permit)| Place { _permit: permit, _counted: counted });
        }
        place.is_some()
    }

    fn count_large(&self) -> Option<Vec<Counted<Caller>>> {
        self.capacity.large_by.add_all(self.callers.iter().cloned(), self.capacity.limits.large_per_caller)
    }

    fn places(&self) -> &Arc<Semaphore> {
        if self.staff { &self.capacity.large_of_staff } else { &self.capacity.large }
    }

    async fn find_place(&self) -> Result<Place, Error> {
        let counted = self.count_large().ok_or_else(|| {
            let most = self.capacity.limits.large_per_caller;
            coded(RATE_LIMITED, format!("more than {most} large answers at once; wait for one before the next one"))
        })?;
        let waiting = Waiting::begin(&self.capacity.waiting)
            .ok_or_else(|| coded(UNAVAILABLE, "too many large queries are waiting; try again"))?;
        let permit = self.capacity.in_time(Arc::clone(self.places()).acquire_owned()).await?;
        drop(waiting);
        Ok(Place { _permit: permit, _counted: counted })
    }

    /// Ends the operation. What is resolved from now on is dropped, so it takes no more memory.
    fn end(&self, error: Error) -> Error {
        drop(self.failure.set(error.clone()));
        error
    }

    /// Why the operation was ended.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    /// The next result of a subscription begins without bytes and without a place.
    pub(crate) fn begin_result(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The answer is made. A large one counts among those that are being sent, as long as this share is held.
    pub(crate) async fn answered(&self) -> Result<(), Error> {
        if self.place.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Ok(());
        }
        let Capacity { limits, sending, .. } = &*self.capacity;
        let bytes = self.bytes.load(Ordering::Relaxed).min(limits.sending);
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        let permit = self.capacity.in_time(Arc::clone(sending).acquire_many_owned(units)).await;
        let permit = permit.map_err(|error| self.end(error))?;
        if let Some(place) = self.place.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            place._permit = permit;
        }
        Ok(())
    }

    /// A permit for a statement.
    pub(crate) async fn statement(&self) -> Result<StatementPermit<'_>, Error> {
        let own = self.capacity.in_time(self.statements.acquire()).await?;
        let mut of_callers = Vec::with_capacity(self.statements_of_callers.len());
        for permits in &self.statements_of_callers {
            of_callers.push(self.capacity.in_time(permits.acquire()).await?);
        }
        let of_process = self.capacity.in_time(self.capacity.statements.acquire()).await?;
        Ok(StatementPermit { _of_process: of_process, _of_callers: of_callers, _own: own })
    }
}

/// Permits for one statement, of the operation, of its callers and of the process.
pub(crate) struct StatementPermit<'s> {
    _of_process: SemaphorePermit<'s>,
    _of_callers: Vec<SemaphorePermit<'s>>,
    _own: SemaphorePermit<'s>,
}

/// One of those that wait for a place, until this is dropped.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    /// One more that waits. `None` when too many do.
    fn begin(waiting: &'w AtomicUsize) -> Option<Self> {
        let one = Self(waiting);
        (waiting.fetch_add(1, Ordering::AcqRel) < MAX_WAITING).then_some(one)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The callers of a buyer. Staff is not limited by caller.
fn buyers(viewer: &Viewer) -> Vec<Caller> {
    if viewer.is_staff() { Vec::new() } else { Caller::of(&viewer.actor, viewer.address) }
}
