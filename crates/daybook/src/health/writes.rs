//! Whether commands can be written, and whether the bus moves: from what the bus has done, and from a probe where it has done nothing.

use std::time::{Duration, Instant};

use daybook_bus::BusVitals;

use super::checks::Check;

/// For how long an outcome says something.
const VALID: Duration = Duration::from_secs(10);
/// After how long without a commit a probe shows whether one would work.
const PROBE_AFTER: Duration = Duration::from_secs(5);
/// For how long a bus may have work without a commit, a load or an error.
const MOVES_WITHIN: Duration = Duration::from_secs(30);

/// What is known of the writes of a bus.
#[derive(Debug, Default)]
pub(super) struct Writes {
    commits: u64,
    failures: u64,
    last: Option<Outcome>,
}

/// The outcome of a commit or of a probe.
#[derive(Debug)]
struct Outcome {
    at: Instant,
    ok: bool,
    detail: String,
}

impl Writes {
    /// Takes in what the bus has done. Returns whether a probe is needed: after a failure, and when nothing was written for a while.
    pub(super) fn observe(&mut self, vitals: &BusVitals, now: Instant) -> bool {
        if vitals.failing && vitals.failures != self.failures {
            self.note(false, "the last commit has failed".to_owned(), now);
        } else if vitals.commits != self.commits {
            self.note(true, "the last commit has worked".to_owned(), now);
        }
        (self.commits, self.failures) = (vitals.commits, vitals.failures);
        self.last.as_ref().is_none_or(|last| !last.ok || now.duration_since(last.at) >= PROBE_AFTER)
    }

    /// Notes the outcome of a probe.
    pub(super) fn note(&mut self, ok: bool, detail: String, at: Instant) {
        self.last = Some(Outcome { at, ok, detail });
    }

    /// Whether commands are welcome: the queue has room, and a commit or a probe has worked just now.
    pub(super) fn check(&self, vitals: &BusVitals, now: Instant) -> Check {
        let BusVitals { waiting, capacity, .. } = *vitals;
        if waiting.saturating_mul(10) >= capacity.saturating_mul(9) {
            return Check::new("commands", false, format!("{waiting} of at most {capacity} commands wait"));
        }
        match &self.last {
            Some(Outcome { at, ok, detail }) if now.duration_since(*at) <= VALID => {
                Check::new("commands", *ok, detail.clone())
            }
            _ => Check::new("commands", false, "nothing was written for a while"),
        }
    }
}

/// Whether a bus that has work moves.
#[derive(Debug, Default)]
pub(super) struct Moves {
    steps: u64,
    /// Since when it has had work and has not moved.
    still: Option<Instant>,
}

impl Moves {
    /// Takes in what the bus has done. Returns why it does not live, if that is so.
    pub(super) fn observe(&mut self, vitals: &BusVitals, now: Instant) -> Option<String> {
        if !vitals.busy || vitals.steps != self.steps {
            self.still = None;
        }
        self.steps = vitals.steps;
        if !vitals.busy {
            return None;
        }
        let since = *self.still.get_or_insert(now);
        let still = now.duration_since(since);
        (still >= MOVES_WITHIN).then(|| format!("the bus has had work for {} s and has not moved", still.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: BusVitals =
        BusVitals { waiting: 0, capacity: 100, busy: false, steps: 0, commits: 0, failures: 0, failing: false };

    fn seconds(begun: Instant, seconds: u64) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    #[test]
    fn an_idle_bus_is_probed_and_a_busy_one_is_not() {
        let (mut writes, begun) = (Writes::default(), Instant::now());
        assert!(writes.observe(&IDLE, begun), "nothing is known yet");
        assert!(!writes.check(&IDLE, begun).ok);
        writes.note(true, "a probe has written".to_owned(), begun);
        assert!(!writes.observe(&IDLE, seconds(begun, 4)) && writes.check(&IDLE, seconds(begun, 4)).ok);
        assert!(writes.observe(&IDLE, seconds(begun, 5)), "it is time for another one");
        let busy = BusVitals { commits: 9, ..IDLE };
        assert!(!writes.observe(&busy, seconds(begun, 6)), "commits work");
        assert!(writes.check(&busy, seconds(begun, 16)).ok);
        assert!(!writes.check(&busy, seconds(begun, 17)).ok, "an outcome is valid for ten seconds");
    }

    #[test]
    fn after_a_failed_commit_a_probe_or_another_commit_decides() {
        let (mut writes, begun) = (Writes::default(), Instant::now());
        let full = BusVitals { commits: 5, failures: 1, failing: true, ..IDLE };
        assert!(writes.observe(&full, begun) && !writes.check(&full, begun).ok);
        writes.note(false, "53100: no room".to_owned(), begun);
        assert!(writes.observe(&full, begun), "probes go on");
        assert_eq!(writes.check(&full, begun).detail, "53100: no room");
        writes.note(true, "a probe has written".to_owned(), begun);
        assert!(!writes.observe(&full, begun) && writes.check(&full, begun).ok, "the failure is an old one");
        let again = BusVitals { failures: 2, ..full };
        assert!(writes.observe(&again, begun) && !writes.check(&again, begun).ok);
        let works = BusVitals { commits: 6, failing: false, ..again };
        assert!(!writes.observe(&works, begun) && writes.check(&works, begun).ok);
    }

    #[test]
    fn a_queue_that_is_nearly_full_takes_no_more() {
        let (mut writes, now) = (Writes::default(), Instant::now());
        let check = |waiting| BusVitals { waiting, commits: 1, busy: true, ..IDLE };
        writes.observe(&check(89), now);
        assert!(writes.check(&check(89), now).ok && !writes.check(&check(90), now).ok);
    }

    #[test]
    fn a_bus_with_work_has_to_move() {
        let (mut moves, begun) = (Moves::default(), Instant::now());
        let mut at = |when, busy, steps| moves.observe(&BusVitals { busy, steps, ..IDLE }, seconds(begun, when));
        assert_eq!(at(0, true, 1), None);
        assert_eq!(at(29, true, 1), None);
        assert!(at(30, true, 1).is_some_and(|dead| dead.contains("30 s")));
        assert_eq!(at(31, true, 2), None, "it moves");
        assert_eq!(at(60, true, 2), None);
        assert_eq!(at(61, false, 2), None, "it has no work");
        assert_eq!(at(200, true, 2), None, "it has got work just now");
        assert!(at(230, true, 2).is_some());
    }
}
