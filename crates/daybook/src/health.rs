//! Health of a process. `/livez` says that the process runs, without any check. `/readyz` checks what its roles need: the database and
//! its schema, and the broker, the views and the reactors where a role uses them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use chrono::{DateTime, Utc};
use daybook_bus::Clock;
use daybook_event_store::{Daybook, Holder, error_chain};
use daybook_event_stream::{
    KafkaSettings,
    progress::{self, ConsumerProgress},
    relay::{self, SetAside},
};
use daybook_projectors::{
    registry::{self, ViewStatus},
    views,
};
use daybook_reactors::{
    OVERDUE_AFTER,
    engine::queue::{self, Upcoming},
};
use serde::Serialize;
use tokio::sync::{Mutex, watch};

use crate::role::Role;

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the result of the broker's check is reused, so that many requests cause one check.
const FRESH: Duration = Duration::from_secs(2);
/// How long a view or a reactor that is behind may stay at one position. It is longer than a rebalance takes.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How many events that the relay has set aside are named.
const NAMED: usize = 5;
/// The tables of applied migrations.
const MIGRATIONS: [&str; 4] =
    ["daybook_migrations", "daybook_stream_migrations", "daybook_projector_migrations", "daybook_reactor_migrations"];

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// The finding, in words.
    detail: String,
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

/// Checks what the roles of this process need.
pub(crate) struct Health {
    roles: BTreeSet<Role>,
    book: Daybook,
    kafka: KafkaSettings,
    /// Who holds the seat, in a process with a bus.
    seat: Option<watch::Receiver<Holder>>,
    /// The migrations of the schema when the process started.
    schema: Vec<i64>,
    broker: Mutex<Option<(Instant, Check)>>,
    views: Mutex<Progress>,
    reactors: Mutex<Progress>,
    reactions: Mutex<Progress>,
}

impl Health {
    /// Begins. The schema must be up to date.
    ///
    /// # Errors
    /// When the database is out of reach.
    pub(crate) async fn begin(
        roles: BTreeSet<Role>,
        book: Daybook,
        kafka: KafkaSettings,
        seat: Option<watch::Receiver<Holder>>,
    ) -> anyhow::Result<Self> {
        let schema = schema(&book).await?;
        let (broker, views) = (Mutex::default(), Mutex::default());
        let (reactors, reactions) = (Mutex::default(), Mutex::default());
        Ok(Self { roles, book, kafka, seat, schema, broker, views, reactors, reactions })
    }

    /// The routes `/livez` and `/readyz`.
    pub(crate) fn router(self) -> Router {
        let health = Arc::new(self);
        let ready = move || {
            let health = Arc::clone(&health);
            async move { health.answer().await }
        };
        Router::new().route("/livez", get(|| async { "alive\n" })).route("/readyz", get(ready))
    }

    async fn answer(&self) -> impl IntoResponse + use<> {
        let of_broker = [Role::Relay, Role::Projectors, Role::Reactors];
        let needs_broker = of_broker.iter().any(|role| self.roles.contains(role));
        let needs_views = self.roles.contains(&Role::QueryApi) || self.roles.contains(&Role::Projectors);
        let needs_reactors = self.roles.contains(&Role::Reactors);
        let (database, schema, broker, views, reactors) = tokio::join!(
            within("database", self.database()),
            within("schema", self.schema()),
            async { if needs_broker { Some(self.broker().await) } else { None } },
            async { if needs_views { Some(within("views", self.views()).await) } else { None } },
            async { if needs_reactors { Some(within("reactors", self.reactors()).await) } else { None } },
        );
        let seat = self.seat.as_ref().map(|holder| seated(&holder.borrow()));
        let checks = [Some(database), Some(schema), broker, views, reactors, seat].into_iter();
        let checks: Vec<_> = checks.flatten().collect();
        let ready = checks.iter().all(|check| check.ok);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(Readiness { ready, checks }))
    }

    async fn database(&self) -> anyhow::Result<(bool, String)> {
        let head = self.book.head().await?;
        Ok((true, format!("the book is at position {}", head.position)))
    }

    /// A database that was restored from a back-up may have an older schema than this process needs.
    async fn schema(&self) -> anyhow::Result<(bool, String)> {
        let now = schema(&self.book).await?;
        let ok = now.iter().zip(&self.schema).all(|(now, needed)| now >= needed);
        let newest = now.iter().max().copied().unwrap_or(0);
        Ok((ok, format!("the newest migration is {newest}{}", if ok { "" } else { ", which is too old" })))
    }

    async fn broker(&self) -> Check {
        let mut last = self.broker.lock().await;
        if let Some((at, check)) = &*last
            && at.elapsed() < FRESH
        {
            return check.clone();
        }
        let answers = async {
            self.kafka.answers(PATIENCE).await?;
            Ok((true, format!("{} answers{}", self.kafka.brokers, self.set_aside().await?)))
        };
        let check = within("broker", answers).await;
        *last = Some((Instant::now(), check.clone()));
        check
    }

    /// Names the events that the relay has set aside. They keep no process from being ready: the views have them from the book.
    async fn set_aside(&self) -> anyhow::Result<String> {
        let set_aside = relay::list_set_aside(&self.book).await?;
        let named =
            set_aside.iter().filter(|event| !event.skipped).map(|SetAside { position, stream_id, reason, .. }| {
                format!("; the relay has set aside position {position} of {stream_id}: {reason}")
            });
        Ok(named.take(NAMED).collect())
    }

    async fn views(&self) -> anyhow::Result<(bool, String)> {
        let status = registry::status(&self.book, &views::ALL).await?;
        let followers = status.iter().map(Follower::from);
        if let Some(stalled) = self.views.lock().await.update(followers, Instant::now()) {
            return Ok((false, format!("the view {stalled}")));
        }
        let missing = views::ALL.iter().find(|view| status.iter().all(|status| status.name != view.name));
        if let Some(view) = missing {
            return Ok((false, format!("the view {} was not built yet", view.name)));
        }
        let lag = status.iter().map(|view| view.lag).max().unwrap_or(0);
        Ok((true, format!("at most {lag} positions behind")))
    }

    async fn reactors(&self) -> anyhow::Result<(bool, String)> {
        let consumers = daybook_reactors::ALL.map(daybook_reactors::Reactor::consumer);
        let progress: Vec<_> = progress::list(&self.book).await?;
        let progress: Vec<_> = progress.into_iter().filter(|one| consumers.contains(&one.consumer)).collect();
        let followers = progress.iter().map(Follower::from);
        if let Some(stalled) = self.reactors.lock().await.update(followers, Instant::now()) {
            return Ok((false, format!("the consumer {stalled}")));
        }
        let upcoming = queue::upcoming(&self.book, &daybook_reactors::ALL.map(|reactor| reactor.name)).await?;
        let now = Clock::system().now();
        let followers = upcoming.iter().filter_map(|reactor| Follower::sending(reactor, now));
        if let Some(Stalled { name, .. }) = self.reactions.lock().await.update(followers, Instant::now()) {
            return Ok((false, overdue(name, &upcoming)));
        }
        let lag = progress.iter().map(|reactor| reactor.lag).max().unwrap_or(0);
        Ok((true, format!("at most {lag} positions behind")))
    }
}

/// Which process decides commands. Without a holder each process decides its own, so this changes no readiness.
fn seated(holder: &Holder) -> Check {
    let detail = match holder {
        Holder::This => "this process decides commands".to_owned(),
        Holder::Other(place) => format!("{} decides commands", place.address),
        Holder::Nobody { .. } => "nobody holds the seat, so this process decides its own commands".to_owned(),
    };
    Check { name: "seat", ok: true, detail }
}

/// What is wrong with a reactor that does not send its reactions.
fn overdue(name: &str, upcoming: &[Upcoming]) -> String {
    let planned = upcoming.iter().find(|reactor| reactor.reactor == name).and_then(|reactor| reactor.planned);
    let since = planned.map(|planned| planned.to_rfc3339()).unwrap_or_default();
    format!(
        "the reactor {name} has not sent a reaction that was planned for {since}; `daybook reactors list` shows failures"
    )
}

/// A check with a time limit.
async fn within(name: &'static str, check: impl Future<Output = anyhow::Result<(bool, String)>>) -> Check {
    let (ok, detail) = match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => (false, error_chain(error.as_ref())),
        Err(_) => (false, format!("no answer in {} s", PATIENCE.as_secs())),
    };
    Check { name, ok, detail }
}

/// The last migration of each set.
async fn schema(book: &Daybook) -> anyhow::Result<Vec<i64>> {
    let client = book.pool().get().await?;
    let mut versions = Vec::new();
    for table in MIGRATIONS {
        let newest = format!("SELECT coalesce(max(version), 0)::bigint FROM {table}");
        versions.push(client.query_one(&newest, &[]).await?.try_get(0)?);
    }
    Ok(versions)
}

/// A view, or a reactor as a consumer or as a sender of reactions.
struct Follower<'a> {
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
    fn sending(reactor: &'a Upcoming, now: DateTime<Utc>) -> Option<Self> {
        let planned = reactor.planned?;
        let is_behind = (now - planned).to_std().is_ok_and(|due| due > OVERDUE_AFTER);
        Some(Self { name: &reactor.reactor, position: planned.timestamp_micros(), is_behind })
    }
}

/// What is behind: each with its position and the time since when it has not moved.
#[derive(Debug, Default)]
struct Progress(BTreeMap<String, (i64, Instant)>);

/// Something that is behind and has not moved for too long.
#[derive(Debug, PartialEq, Eq)]
struct Stalled<'a> {
    name: &'a str,
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
    fn update<'f>(&mut self, followers: impl IntoIterator<Item = Follower<'f>>, now: Instant) -> Option<Stalled<'_>> {
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

    #[test]
    fn the_message_names_the_reactor_and_the_time() {
        let (reactor, planned) = ("cart_expiry".to_owned(), Some(DateTime::UNIX_EPOCH));
        let said = overdue("cart_expiry", &[Upcoming { reactor, next: None, planned }]);
        assert!(
            said.starts_with("the reactor cart_expiry has not sent a reaction that was planned for 1970-01-01"),
            "{said}"
        );
    }
}
