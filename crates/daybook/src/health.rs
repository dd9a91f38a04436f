//! Health of a process. `/livez` says that the process runs, without any check. `/readyz` checks what its roles need: the database and
//! its schema, and the broker, the views and the reactors where a role uses them.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use daybook_event_store::{Daybook, error_chain};
use daybook_event_stream::{
    KafkaSettings,
    progress::{self, ConsumerProgress},
};
use daybook_projectors::{
    registry::{self, ViewStatus},
    views,
};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::role::Role;

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the result of the broker's check is reused, so that many requests cause one check.
const FRESH: Duration = Duration::from_secs(2);
/// How long a view or a reactor behind the book may stand still. It is longer than a rebalance takes.
const STALLED_AFTER: Duration = Duration::from_secs(30);
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
    /// The migrations of the schema when the process started.
    schema: Vec<i64>,
    broker: Mutex<Option<(Instant, Check)>>,
    views: Mutex<Progress>,
    reactors: Mutex<Progress>,
}

impl Health {
    /// Begins. The schema must be up to date.
    ///
    /// # Errors
    /// When the database is out of reach.
    pub(crate) async fn begin(roles: BTreeSet<Role>, book: Daybook, kafka: KafkaSettings) -> anyhow::Result<Self> {
        let schema = schema(&book).await?;
        let (broker, views, reactors) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { roles, book, kafka, schema, broker, views, reactors })
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
        let checks = [Some(database), Some(schema), broker, views, reactors].into_iter();
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
            Ok((true, format!("{} answers", self.kafka.brokers)))
        };
        let check = within("broker", answers).await;
        *last = Some((Instant::now(), check.clone()));
        check
    }

    async fn views(&self) -> anyhow::Result<(bool, String)> {
        let status = registry::status(&self.book, &views::ALL).await?;
        let stalled = self.views.lock().await.update(&status, Instant::now());
        if let Some(stalled) = stalled {
            return Ok((false, stalled));
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
        if let Some(stalled) = self.reactors.lock().await.update(&progress, Instant::now()) {
            return Ok((false, stalled));
        }
        let lag = progress.iter().map(|reactor| reactor.lag).max().unwrap_or(0);
        Ok((true, format!("at most {lag} positions behind")))
    }
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

/// A view or a consumer, which follows the book.
trait Following {
    /// The kind, in words.
    const KIND: &str;

    /// Its name, its position, and how many positions it is behind.
    fn standing(&self) -> (&str, i64, i64);
}

impl Following for ViewStatus {
    const KIND: &str = "view";

    fn standing(&self) -> (&str, i64, i64) {
        (&self.name, self.position, self.lag)
    }
}

impl Following for ConsumerProgress {
    const KIND: &str = "consumer";

    fn standing(&self) -> (&str, i64, i64) {
        (&self.consumer, self.position, self.lag)
    }
}

/// The views or consumers that are behind the book, each with its position and the time since when it has not moved.
#[derive(Debug, Default)]
struct Progress(BTreeMap<String, (i64, Instant)>);

impl Progress {
    /// Updates the positions, and names one that is behind and has not moved for too long.
    fn update<F: Following>(&mut self, status: &[F], now: Instant) -> Option<String> {
        let behind = status.iter().map(Following::standing).filter(|(.., lag)| *lag > 0).map(|(name, position, _)| {
            let seen = self.0.get(name).filter(|(last, _)| *last == position);
            (name.to_owned(), (position, seen.map_or(now, |(_, since)| *since)))
        });
        self.0 = behind.collect();
        let mut stalled = self.0.iter().filter(|(_, (_, since))| now.duration_since(*since) > STALLED_AFTER);
        stalled.next().map(|(name, (position, since))| {
            let (kind, seconds) = (F::KIND, now.duration_since(*since).as_secs());
            format!("the {kind} {name} has stood at position {position} for {seconds} s and is behind the book")
        })
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
            progress.update(&[stock(position, lag)], begin + Duration::from_secs(seconds))
        };
        assert_eq!(at(0, 5, 3), None, "the view may just have fallen behind");
        assert_eq!(at(25, 5, 9), None);
        let stalled = at(31, 5, 9).expect("the view is behind and has not moved");
        assert!(stalled.contains("the view stock has stood at position 5 for 31 s"), "{stalled}");
        assert_eq!(at(32, 6, 8), None, "the view moves");
        assert_eq!(at(60, 14, 0), None, "the view is up to date");
        assert_eq!(
            at(1_000, 14, 1),
            None,
            "a view that was up to date may keep its position until there are new events"
        );
        assert!(at(1_031, 14, 1).is_some());
    }
}
