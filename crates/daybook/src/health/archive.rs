//! Whether the write-ahead log is archived, where an archive was begun.

use std::time::{Duration, Instant};

use daybook_event_store::Daybook;

use super::checks::Check;

/// For how long nothing may receive the log. An archive is started again after a short pause.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// Since when nothing receives the log.
#[derive(Default)]
pub(super) struct Archive {
    idle_since: Option<Instant>,
}

impl Archive {
    /// Whether the log is received. None where no archive was begun, or where the database does not say.
    pub(super) async fn check(&mut self, book: &Daybook) -> Option<Check> {
        let received = async {
            let client = book.pool().get().await.ok()?;
            daybook_backup::received(&client).await.ok()?
        };
        let received = tokio::time::timeout(STALLED_AFTER, received).await.ok().flatten()?;
        #[expect(clippy::cast_precision_loss, reason = "a metric is a float; exact up to 2^53 bytes")]
        metrics::gauge!("daybook_archive_lag_bytes").set(received.behind as f64);
        Some(self.observe(received.is_running, received.behind, Instant::now()))
    }

    fn observe(&mut self, is_running: bool, behind: i64, now: Instant) -> Check {
        self.idle_since = if is_running { None } else { Some(self.idle_since.unwrap_or(now)) };
        let idle = self.idle_since.map(|since| now - since).filter(|idle| *idle >= STALLED_AFTER);
        let detail = match idle {
            None => format!("{behind} bytes of the log are not archived yet"),
            Some(idle) => {
                format!("nothing has archived the log for {} s; {behind} bytes are missing", idle.as_secs())
            }
        };
        Check::new("archive", idle.is_none(), detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_nobody_runs_is_named_after_a_while() {
        let (mut archive, begin) = (Archive::default(), Instant::now());
        let mut ok = |is_running, seconds| archive.observe(is_running, 7, begin + Duration::from_secs(seconds)).ok;
        assert_eq!(
            [ok(true, 0), ok(false, 5), ok(false, 34), ok(false, 35), ok(true, 40)],
            [true, true, true, false, true]
        );
        assert!(ok(false, 45), "it counts anew");
    }
}
