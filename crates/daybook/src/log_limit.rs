//! Bounds what a fault writes into the log: of equal warnings and errors, five in ten seconds, and then one line with the number of the
//! others.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

/// How many equal lines are written within [`EVERY`].
const MOST: u32 = 5;
/// The time after which equal lines are written again.
const EVERY: Duration = Duration::from_secs(10);
/// How many different lines are distinguished at once. Beyond that, lines of one place in the code count as equal.
const DIFFERENT: usize = 1_000;

/// Whether lines are bounded. They are in processes that report what was left out.
static BOUNDED: AtomicBool = AtomicBool::new(false);
static RECENT: Mutex<Option<Recent>> = Mutex::new(None);

/// The layer of the log that bounds it.
pub(crate) struct LogLimit;

impl<S: Subscriber> Layer<S> for LogLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::WARN || !BOUNDED.load(Ordering::Relaxed) {
            return true;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get_or_insert_default().admit(event.metadata().callsite(), line, Instant::now())
    }
}

/// Writes how many lines were left out, and bounds the log from now on. It is called again and again.
pub(crate) fn report() {
    BOUNDED.store(true, Ordering::Relaxed);
    let left_out = {
        let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get_or_insert_default().end(Instant::now())
    };
    for (line, lines) in left_out {
        metrics::counter!("daybook_log_lines_suppressed_total").increment(lines.into());
        tracing::warn!(lines, line, "equal lines were left out");
    }
}

/// The fields of an event as text.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let begin = if self.0.is_empty() { "" } else { " " };
        // A text takes everything that is written to it.
        let _written = write!(self.0, "{begin}{}={value:?}", field.name());
    }
}

/// The lines of the last ten seconds.
#[derive(Default)]
struct Recent(HashMap<u64, Seen>);

struct Seen {
    line: String,
    since: Instant,
    count: u32,
}

impl Recent {
    /// Whether a line is written.
    fn admit(&mut self, place: impl Hash, Line(line): Line, now: Instant) -> bool {
        let key = if self.0.len() < DIFFERENT { hash(&(&place, &line)) } else { hash(&place) };
        let seen = self.0.entry(key).or_insert_with(|| Seen { line, since: now, count: 0 });
        seen.count = seen.count.saturating_add(1);
        seen.count <= MOST
    }

    /// Forgets the lines whose time is over. Returns those of which some were left out, with the number of these.
    fn end(&mut self, now: Instant) -> Vec<(String, u32)> {
        let mut left_out = Vec::new();
        self.0.retain(|_, seen| {
            let stays = now.duration_since(seen.since) < EVERY;
            if !stays && seen.count > MOST {
                left_out.push((std::mem::take(&mut seen.line), seen.count - MOST));
            }
            stays
        });
        left_out
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_are_counted_after_the_fifth() {
        let (mut recent, begun) = (Recent::default(), Instant::now());
        let mut admitted = |line: &str, seconds| {
            recent.admit(1, Line(line.to_owned()), begun + Duration::from_secs(seconds)).then_some(())
        };
        let full: Vec<_> = (0..2_494).filter_map(|_| admitted("the disk is full", 1)).collect();
        assert_eq!(full.len(), 5);
        assert!(admitted("another fault", 1).is_some());
        assert!(recent.end(begun + Duration::from_secs(10)).is_empty(), "their time is not over");
        assert_eq!(recent.end(begun + Duration::from_secs(11)), [("the disk is full".to_owned(), 2_489)]);
        assert!(recent.admit(1, Line("the disk is full".to_owned()), begun + Duration::from_secs(12)));
    }

    #[test]
    fn many_different_lines_take_no_more_memory() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        let admitted = (0..5_000).filter(|nr| recent.admit(1, Line(nr.to_string()), now)).count();
        assert_eq!((admitted, recent.0.len()), (DIFFERENT + usize::try_from(MOST).expect("it fits"), DIFFERENT + 1));
    }
}
