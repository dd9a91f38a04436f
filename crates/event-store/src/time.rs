//! The clock of the database.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::{Daybook, StoreError};

/// What the database says of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseTime {
    /// Its time when it answered.
    pub time: DateTime<Utc>,
    /// The recorded time of the last event. Recorded times never run backwards, so it is later than `time` where the clock of the
    /// database was once ahead.
    pub recorded_at: Option<DateTime<Utc>>,
    /// When the question was sent, on this machine.
    pub asked: Instant,
    /// How long the question and its answer took.
    pub round_trip: Duration,
}

impl Daybook {
    /// Asks the database for its time.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn time(&self) -> Result<DatabaseTime, StoreError> {
        let client = self.pool().get().await?;
        // Only the statement itself is in the round trip, and no connection and no preparation.
        let sql = "SELECT clock_timestamp(), nullif(recorded_at, '-infinity') FROM head";
        let statement = client.prepare_cached(sql).await?;
        let asked = Instant::now();
        let row = client.query_one(&statement, &[]).await?;
        let round_trip = asked.elapsed();
        Ok(DatabaseTime { time: row.try_get(0)?, recorded_at: row.try_get(1)?, asked, round_trip })
    }
}
