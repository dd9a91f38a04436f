//! The checks of what a process depends on: database, schema, broker, views and reactors.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use daybook_bus::Clock;
use daybook_event_store::{Daybook, Holder, SchemaError, error_chain};
use daybook_event_stream::{
    KafkaSettings, progress,
    relay::{self, SetAside},
};
use daybook_projectors::{
    registry::{self, ViewStatus},
    views,
};
use daybook_reactors::engine::queue::{self, Upcoming};
use serde::Serialize;

use super::progress::{Follower, Progress, Stalled};

/// How long a check may take that decides nothing.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the database may take to give a connection and an answer.
const CONNECTION: Duration = Duration::from_secs(1);
/// How many events that are set aside a check names.
const NAMED: usize = 5;
/// What shows that the book can be written, without writing to it: one transaction, which needs room on the disk of the database for a
/// temporary file of about a megabyte, and at its end takes the lock that every commit takes.
const PROBE: &str = "SET LOCAL work_mem = '64kB'; SELECT count(*) FROM generate_series(1, 50000);
                     UPDATE head SET position = position";

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(super) name: &'static str,
    pub(super) ok: bool,
    /// The finding, in words.
    pub(super) detail: String,
}

impl Check {
    pub(super) fn new(name: &'static str, ok: bool, detail: impl Into<String>) -> Self {
        Self { name, ok, detail: detail.into() }
    }
}

/// How far a view is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ViewLag {
    #[serde(flatten)]
    status: ViewStatus,
    /// How many seconds ago the first event was written that the view does not show; 0 when it shows all.
    lag_seconds: f64,
}

/// Whether the database gives a connection and an answer in time.
pub(super) async fn database(book: &Daybook) -> Check {
    let answers = async {
        book.pool().get().await?.batch_execute("SELECT").await?;
        Ok((true, "it answers".to_owned()))
    };
    within(CONNECTION, "database", answers).await
}

/// Whether the book can be written.
pub(super) async fn probe(book: &Daybook) -> Check {
    let written = async {
        book.pool().get().await?.batch_execute(PROBE).await?;
        Ok((true, "a probe has written".to_owned()))
    };
    within(PATIENCE, "commands", written).await
}

/// Whether the schema still fits the program. A database that was restored from a back-up may have an older one. None when the database
/// does not say.
pub(super) async fn schema(book: &Daybook) -> Option<Check> {
    match tokio::time::timeout(PATIENCE, daybook_operations::schema().check(book)).await.ok()? {
        Ok(version) => Some(Check::new("schema", true, format!("the newest migration is {version}"))),
        Err(SchemaError::Store(_)) => None,
        Err(error) => Some(Check::new("schema", false, error.to_string())),
    }
}

/// Whether the broker answers.
pub(super) async fn broker(book: &Daybook, kafka: &KafkaSettings) -> Check {
    let answers = async {
        kafka.answers(PATIENCE).await?;
        Ok((true, format!("{} answers{}", kafka.brokers, set_aside(book).await?)))
    };
    within(PATIENCE * 2, "broker", answers).await
}

/// Names the events that the relay has set aside. They keep no process from being ready: the views have them from the book.
async fn set_aside(book: &Daybook) -> anyhow::Result<String> {
    let set_aside = relay::list_set_aside(book).await?;
    let named =
        set_aside.iter().filter(|event| !event.skipped).map(|SetAside { position, stream_id, reason, .. }| {
            format!("; the relay has set aside position {position} of {stream_id}: {reason}")
        });
    Ok(named.take(NAMED).collect())
}

/// Whether the clock of this process agrees with the database's. A process with another clock decides nothing.
pub(super) fn clock(clock: &Clock) -> Check {
    match clock.trusted() {
        Err(wrong) => Check::new("clock", false, wrong.to_string()),
        Ok(_) => {
            let ahead = clock.ahead().unwrap_or_default().as_seconds_f64();
            Check::new("clock", true, format!("{ahead:+.3} s from the clock of the database"))
        }
    }
}

/// Whether new events get times of their own. They do not while the last recorded time is in the future, because the clock of the database
/// was once ahead. This changes no readiness: another process could do nothing about it.
pub(super) fn recorded(clock: &Clock) -> Check {
    let until = clock.recorded_until();
    let ahead = until.map_or(0.0, |until| (until - clock.database_now()).as_seconds_f64());
    metrics::gauge!("daybook_recorded_time_ahead_seconds").set(ahead);
    let detail = match until {
        Some(until) => format!("the clock of the database was ahead: all events are recorded at {until} until then"),
        None => "recorded times follow the clock of the database".to_owned(),
    };
    Check::new("recorded_time", until.is_none(), detail)
}

/// Which process decides commands. Without a holder each process decides its own, so this changes no readiness.
pub(super) fn seated(holder: &Holder) -> Check {
    let detail = match holder {
        Holder::This => "this process decides commands".to_owned(),
        Holder::Other(place) => format!("{} decides commands", place.address),
        Holder::Nobody { .. } => "nobody holds the seat, so this process decides its own commands".to_owned(),
    };
    Check::new("seat", true, detail)
}

/// What is known of views and reactors: how far they are, and since when they have not moved.
#[derive(Default)]
pub(super) struct Lags {
    views: Progress,
    reactors: Progress,
    reactions: Progress,
}

impl Lags {
    /// How far the views are, and whether they move.
    pub(super) async fn views(&mut self, book: &Daybook) -> (Check, Vec<ViewLag>) {
        let mut lags = Vec::new();
        let check = async {
            let status = registry::status(book, &views::ALL).await?;
            lags = lag_seconds(book, &status).await?;
            if let Some(stalled) = self.views.update(status.iter().map(Follower::from), Instant::now()) {
                return Ok((false, format!("the view {stalled}")));
            }
            let missing = views::ALL.iter().find(|view| status.iter().all(|status| status.name != view.name));
            if let Some(view) = missing {
                return Ok((false, format!("the view {} was not built yet", view.name)));
            }
            Ok((true, behind(status.iter().map(|view| view.lag))))
        };
        let check = within(PATIENCE, "views", check).await;
        (check, lags)
    }

    /// Whether the reactors move, and send what is due.
    pub(super) async fn reactors(&mut self, book: &Daybook, clock: &Clock) -> Check {
        within(PATIENCE, "reactors", self.check_reactors(book, clock)).await
    }

    async fn check_reactors(&mut self, book: &Daybook, clock: &Clock) -> anyhow::Result<(bool, String)> {
        let consumers = daybook_reactors::ALL.map(daybook_reactors::Reactor::consumer);
        let progress: Vec<_> = progress::list(book).await?;
        let progress: Vec<_> = progress.into_iter().filter(|one| consumers.contains(&one.consumer)).collect();
        if let Some(stalled) = self.reactors.update(progress.iter().map(Follower::from), Instant::now()) {
            return Ok((false, format!("the consumer {stalled}")));
        }
        let upcoming = queue::upcoming(book, &daybook_reactors::ALL.map(|reactor| reactor.name)).await?;
        let now = clock.database_now();
        let followers = upcoming.iter().filter_map(|reactor| Follower::sending(reactor, now));
        if let Some(Stalled { name, .. }) = self.reactions.update(followers, Instant::now()) {
            return Ok((false, overdue(name, &upcoming)));
        }
        Ok((true, behind(progress.iter().map(|reactor| reactor.lag))))
    }
}

fn behind(lags: impl Iterator<Item = i64>) -> String {
    format!("at most {} positions behind", lags.max().unwrap_or(0))
}

/// How far views are in time.
#[expect(clippy::cast_precision_loss, reason = "a metric is a float; exact up to 2^53 events")]
async fn lag_seconds(book: &Daybook, status: &[ViewStatus]) -> anyhow::Result<Vec<ViewLag>> {
    let client = book.pool().get().await?;
    let first = client
        .prepare_cached(
            "SELECT greatest(extract(epoch FROM clock_timestamp() - recorded_at), 0)::float8
             FROM events WHERE position > $1 ORDER BY position LIMIT 1",
        )
        .await?;
    let mut lags = Vec::with_capacity(status.len());
    for view in status {
        let missing = if view.lag > 0 { client.query_opt(&first, &[&view.position]).await? } else { None };
        let lag_seconds = missing.map_or(Ok(0.0), |row| row.try_get(0))?;
        metrics::gauge!("daybook_view_lag_events", "view" => view.name.clone()).set(view.lag as f64);
        metrics::gauge!("daybook_view_lag_seconds", "view" => view.name.clone()).set(lag_seconds);
        lags.push(ViewLag { status: view.clone(), lag_seconds });
    }
    Ok(lags)
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
async fn within(
    patience: Duration,
    name: &'static str,
    check: impl Future<Output = anyhow::Result<(bool, String)>>,
) -> Check {
    let (ok, detail) = match tokio::time::timeout(patience, check).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => (false, error_chain(error.as_ref())),
        Err(_) => (false, format!("no answer in {} s", patience.as_secs())),
    };
    Check { name, ok, detail }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

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
