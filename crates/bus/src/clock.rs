//! Time and new ids. No other module of this crate reads the clock or makes an id.

use std::{fmt, sync::Arc};

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// A clock. A test may provide its own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The clock of the machine, in microseconds as PostgreSQL keeps them. So a state has the same times whether it was folded from
    /// the book or at its decision.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the edge reads the time")]
    pub fn system() -> Self {
        Self(Arc::new(|| Utc::now().trunc_subsecs(6)))
    }

    /// A clock that calls a function for the time.
    #[must_use]
    pub fn from_fn(read: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
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
