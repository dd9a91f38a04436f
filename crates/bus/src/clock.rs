//! Time and new ids. No other module of this crate reads the clock or makes an id.
//!
//! A decision compares stored times with the clock of its process: the end of a reservation, of a cart, the validity of a price. So a
//! process whose clock is wrong must not decide. It compares its clock with the database's now and then. In between, the time that has
//! passed shows whether the clock was set. The clock of the database is the one that all processes share.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use daybook_event_store::{DatabaseTime, Daybook, StoreError};
use tokio::sync::watch;
use uuid::Uuid;

/// How far the clock of a process may be from the database's by default.
pub const CLOCK_LIMIT: Duration = Duration::from_secs(5);
/// How often a process compares its clock.
const COMPARE_EVERY: Duration = Duration::from_secs(2);

/// A clock. A test may provide its own.
#[derive(Clone)]
pub struct Clock {
    read: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// The comparison with the clock of the database, in a process that compares.
    compared: Option<Arc<Compared>>,
}

/// What is known of the clock of the database.
struct Compared {
    limit: Duration,
    last: RwLock<Option<Comparison>>,
    /// Whether the clock was right at the last comparison.
    is_right: watch::Sender<bool>,
}

/// A comparison.
#[derive(Clone, Copy)]
struct Comparison {
    /// What the database said.
    answer: DatabaseTime,
    /// How far its time may be from the moment in the middle of the round trip: half of that.
    uncertainty: Duration,
}

/// The clock of a process differs too much from the database's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock of this process is {:.1} s {} the clock of the database; at most {} s are accepted",
    .ahead.as_seconds_f64().abs(), direction(*.ahead), .limit.as_secs()
)]
pub struct WrongClock {
    /// How far the clock of the process is ahead. Negative where it is behind.
    pub ahead: TimeDelta,
    /// How far it may be.
    pub limit: Duration,
}

/// In words, where a clock is that differs.
fn direction(ahead: TimeDelta) -> &'static str {
    if ahead < TimeDelta::zero() { "behind" } else { "ahead of" }
}

impl Clock {
    /// The clock of the machine, in microseconds as PostgreSQL keeps them. So a state has the same times whether it was folded from
    /// the book or at its decision.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the edge reads the time")]
    pub fn system() -> Self {
        Self::from_fn(|| Utc::now().trunc_subsecs(6))
    }

    /// A clock that calls a function for the time.
    #[must_use]
    pub fn from_fn(read: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), compared: None }
    }

    /// The same clock, which is to be compared with the database's, and may differ by a limit. Clones share the comparison.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        let compared = Compared { limit, last: RwLock::new(None), is_right: watch::Sender::new(true) };
        Self { compared: Some(Arc::new(compared)), ..self }
    }

    /// The present time of this process.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.read)()
    }

    /// The present time of this process, for a decision.
    ///
    /// # Errors
    /// [`WrongClock`] when it differs too much from the database's. It costs the reading of two clocks, and no question to the database.
    pub fn trusted(&self) -> Result<DateTime<Utc>, WrongClock> {
        let now = self.now();
        let Some((compared, comparison)) = self.comparison() else { return Ok(now) };
        let (ahead, limit) = (now - comparison.now(), compared.limit);
        let certain = ahead.abs().to_std().unwrap_or_default().saturating_sub(comparison.uncertainty);
        if certain > limit { Err(WrongClock { ahead, limit }) } else { Ok(now) }
    }

    /// How far this clock is ahead of the database's; negative where it is behind. None before the first comparison.
    #[must_use]
    pub fn ahead(&self) -> Option<TimeDelta> {
        self.comparison().map(|(_, comparison)| self.now() - comparison.now())
    }

    /// The present time of the database, as far as it is known: what several processes share is measured by it. Before the first
    /// comparison it is the time of this process.
    #[must_use]
    pub fn database_now(&self) -> DateTime<Utc> {
        self.comparison().map_or_else(|| self.now(), |(_, comparison)| comparison.now())
    }

    /// Until when all events are recorded at that one time, because the clock of the database was once ahead. None where recorded times
    /// follow the clock, as far as the last comparison shows.
    #[must_use]
    pub fn recorded_until(&self) -> Option<DateTime<Utc>> {
        let (_, comparison) = self.comparison()?;
        comparison.answer.recorded_at.filter(|until| *until > comparison.now())
    }

    /// Whether the clock was right at the last comparison, as it changes.
    #[must_use]
    pub fn is_right(&self) -> watch::Receiver<bool> {
        self.compared
            .as_ref()
            .map_or_else(|| watch::Sender::new(true).subscribe(), |compared| compared.is_right.subscribe())
    }

    /// Compares this clock with the database's.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed. What was known is still valid then.
    pub async fn compare(&self, book: &Daybook) -> Result<(), StoreError> {
        let answer = book.time().await?;
        if let Some(compared) = &self.compared {
            let comparison = Comparison { answer, uncertainty: answer.round_trip / 2 };
            *compared.last.write().unwrap_or_else(PoisonError::into_inner) = Some(comparison);
            compared.is_right.send_replace(self.trusted().is_ok());
        }
        if let Some(ahead) = self.ahead() {
            metrics::gauge!("daybook_clock_ahead_seconds").set(ahead.as_seconds_f64());
        }
        Ok(())
    }

    /// Compares again and again, without an end. It logs when the clock becomes wrong and when it is right again.
    pub async fn keep_compared(&self, book: &Daybook) {
        let mut was_wrong = false;
        loop {
            if let Err(error) = self.compare(book).await {
                tracing::debug!(%error, "the clock was not compared with the database's");
            }
            let trusted = self.trusted();
            match trusted {
                Err(wrong) if !was_wrong => tracing::error!("{wrong}; this process decides no commands"),
                Ok(_) if was_wrong => tracing::info!("the clock is right again"),
                _ => {}
            }
            was_wrong = trusted.is_err();
            tokio::time::sleep(COMPARE_EVERY).await;
        }
    }

    fn comparison(&self) -> Option<(&Compared, Comparison)> {
        let compared = self.compared.as_deref()?;
        let last = *compared.last.read().unwrap_or_else(PoisonError::into_inner);
        Some((compared, last?))
    }
}

impl Comparison {
    /// The time of the database at present.
    fn now(&self) -> DateTime<Utc> {
        let DatabaseTime { time, asked, .. } = self.answer;
        let passed = TimeDelta::from_std((asked + self.uncertainty).elapsed()).unwrap_or(TimeDelta::MAX);
        time.checked_add_signed(passed).unwrap_or(time).trunc_subsecs(6)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A new id (UUID version 7: ordered by time, so that indexes stay dense).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where the edge makes ids")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
