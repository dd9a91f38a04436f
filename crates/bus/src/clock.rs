//! Time and new ids: the one place of this crate that reads the ambient ones.

use std::{fmt, sync::Arc};

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// A clock; a test may hand in its own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The clock of the machine, in the microseconds that PostgreSQL keeps: a state that is folded from the book has the same
    /// times as one that was folded as it was decided.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the edge reads the time")]
    pub fn system() -> Self {
        Self(Arc::new(|| Utc::now().trunc_subsecs(6)))
    }

    /// A clock that reads its time from a function.
    #[must_use]
    pub fn from_fn(read: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time.
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
