//! What is behind and does not move: views, and reactors as consumers and as senders of reactions.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use daybook_event_stream::progress::ConsumerProgress;
use daybook_projectors::registry::ViewStatus;
use daybook_reactors::{OVERDUE_AFTER, engine::queue::Upcoming};

/// How long a view or a reactor that is behind may stay at one position. It is longer than a rebalance takes.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// A view, or a reactor as a consumer or as a sender of reactions.
pub(super) struct Follower<'a> {
    name: &'a str,
    /// How far it is, by a number that grows.
    position: i64,
    is_behind: bool,
}

impl<'a> From<&'a ViewStatus> for Follower<'a> {
    fn from(view: &'a ViewStatus) -> Self {
        Self { name: &view.name, position: view.position, is_behind: view.lag > 0 }
    }
}

impl<'a> From<&'a ConsumerProgress> for Follower<'a> {
    fn from(consumer: &'a ConsumerProgress) -> Self {
        Self { name: &consumer.consumer, position: consumer.position, is_behind: consumer.lag > 0 }
    }
}

impl<'a> Follower<'a> {
    /// A reactor by the first reaction that it has not sent, if it has one. It is behind when that was planned for too long ago.
    pub(super) fn sending(reactor: &'a Upcoming, now: DateTime<Utc>) -> Option<Self> {
        let planned = reactor.planned?;
        let is_behind = (now - planned).to_std().is_ok_and(|due| due > OVERDUE_AFTER);
        Some(Self { name: &reactor.reactor, position: planned.timestamp_micros(), is_behind })
    }
}

/// What is behind: each with its position and the time since when it has not moved.
#[derive(Debug, Default)]
pub(super) struct Progress(BTreeMap<String, (i64, Instant)>);

/// Something that is behind and has not moved for too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stalled<'a> {
    pub(super) name: &'a str,
    position: i64,
    still: Duration,
}

impl fmt::Display for Stalled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, position, still } = self;
        write!(f, "{name} has stood at position {position} for {} s and is behind the book", still.as_secs())
    }
}

impl Progress {
    /// Updates the positions, and returns the first one that is behind and has not moved for too long.
    pub(super) fn update<'f>(
        &mut self,
        followers: impl IntoIterator<Item = Follower<'f>>,
        now: Instant,
    ) -> Option<Stalled<'_>> {
        let behind =
            followers.into_iter().filter(|follower| follower.is_behind).map(|Follower { name, position, .. }| {
                let seen = self.0.get(name).filter(|(last, _)| *last == position);
                (name.to_owned(), (position, seen.map_or(now, |(_, since)| *since)))
            });
        self.0 = behind.collect();
        let mut all = self.0.iter().map(|(name, (position, since))| {
            let still = now.duration_since(*since);
            Stalled { name, position: *position, still }
        });
        all.find(|stalled| stalled.still > STALLED_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(position: i64, lag: i64) -> ViewStatus {
        ViewStatus { name: "stock".to_owned(), version: 1, position, lag, parked: 0 }
    }

    #[test]
    fn a_view_is_stalled_when_it_is_behind_and_does_not_move() {
        let (mut progress, begin) = (Progress::default(), Instant::now());
        let mut at = |seconds: u64, position, lag| {
            let stalled =
                progress.update([Follower::from(&stock(position, lag))], begin + Duration::from_secs(seconds));
            stalled.map(|stalled| stalled.to_string())
        };
        assert_eq!(at(0, 5, 3), None, "the view may just have fallen behind");
        assert_eq!(at(25, 5, 9), None);
        let stalled = at(31, 5, 9).expect("the view is behind and has not moved");
        assert!(stalled.contains("stock has stood at position 5 for 31 s"), "{stalled}");
        assert_eq!(at(32, 6, 8), None, "the view moves");
        assert_eq!(at(60, 14, 0), None, "the view is up to date");
        assert_eq!(
            at(1_000, 14, 1),
            None,
            "a view that was up to date may keep its position until there are new events"
        );
        assert!(at(1_031, 14, 1).is_some());
    }

    #[test]
    fn a_reactor_is_stalled_when_it_does_not_send_what_was_planned_long_ago() {
        let (mut progress, begin, planned) = (Progress::default(), Instant::now(), DateTime::UNIX_EPOCH);
        // The time of the engine, and what was planned, in seconds.
        let mut at = |seconds: u64, first: Option<u64>| {
            let later = |seconds| planned + Duration::from_secs(seconds);
            let (reactor, next) = ("cart_expiry".to_owned(), None);
            let upcoming = Upcoming { reactor, next, planned: first.map(later) };
            let follower = Follower::sending(&upcoming, later(seconds));
            progress.update(follower, begin + Duration::from_secs(seconds)).map(|stalled| stalled.name.to_owned())
        };
        assert_eq!(at(1, None), None, "it has none");
        assert_eq!(at(100, Some(0)), None, "it may wait for a lease, or after a failure");
        assert_eq!(at(121, Some(0)), None, "the engine may have just started");
        assert_eq!(at(152, Some(0)), Some("cart_expiry".to_owned()));
        assert_eq!(at(153, Some(1)), None, "the first one was sent");
        assert_eq!(at(153, Some(500)), None, "it sends in time");
        assert_eq!(at(500, Some(900)), None, "the next one is planned for later");
    }
}
