//! Whether a process does what it is there for. `/livez` says that it runs, and asks nobody; `/readyz` looks at what its roles
//! need: the database and its schema, and beside it the broker and the views where a role works with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use daybook_event_store::{Daybook, error_chain};
use daybook_event_stream::KafkaSettings;
use daybook_projectors::registry::{self, ViewStatus};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::role::Role;

/// How long what is looked at may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// For how long the broker's answer holds, so that many who ask are one who asks.
const FRESH: Duration = Duration::from_secs(2);
/// How long a view may be behind the book without moving: longer than partitions take to find another process.
const STANDS_STILL: Duration = Duration::from_secs(30);
/// The tables that remember which migrations were run.
const MIGRATIONS: [&str; 3] = ["daybook_migrations", "daybook_stream_migrations", "daybook_projector_migrations"];

/// What came of looking at one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// What was found, in words.
    detail: String,
}

/// What `/readyz` answers.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

/// Looks at what the roles of this process need.
pub(crate) struct Health {
    roles: BTreeSet<Role>,
    book: Daybook,
    kafka: KafkaSettings,
    /// What the schema was brought up to when the process started.
    schema: Vec<i64>,
    broker: Mutex<Option<(Instant, Check)>>,
    views: Mutex<Standing>,
}

impl Health {
    /// Begins, once the schema is up to date.
    ///
    /// # Errors
    /// When the database is out of reach.
    pub(crate) async fn begin(roles: BTreeSet<Role>, book: Daybook, kafka: KafkaSettings) -> anyhow::Result<Self> {
        let schema = schema(&book).await?;
        Ok(Self { roles, book, kafka, schema, broker: Mutex::default(), views: Mutex::default() })
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
        let needs_broker = self.roles.contains(&Role::Relay) || self.roles.contains(&Role::Projectors);
        let needs_views = self.roles.contains(&Role::QueryApi) || self.roles.contains(&Role::Projectors);
        let (database, schema, broker, views) = tokio::join!(
            within("database", self.database()),
            within("schema", self.schema()),
            async { if needs_broker { Some(self.broker().await) } else { None } },
            async { if needs_views { Some(within("views", self.views()).await) } else { None } },
        );
        let checks: Vec<_> = [Some(database), Some(schema), broker, views].into_iter().flatten().collect();
        let ready = checks.iter().all(|check| check.ok);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(Readiness { ready, checks }))
    }

    async fn database(&self) -> anyhow::Result<(bool, String)> {
        let head = self.book.head().await?;
        Ok((true, format!("the book is at position {}", head.position)))
    }

    /// A database that was restored from a back-up may have an older schema than this process has brought it up to.
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
        let asked = async {
            self.kafka.answers(PATIENCE).await?;
            Ok((true, format!("{} answers", self.kafka.brokers)))
        };
        let check = within("broker", asked).await;
        *last = Some((Instant::now(), check.clone()));
        check
    }

    async fn views(&self) -> anyhow::Result<(bool, String)> {
        let status = registry::status(&self.book).await?;
        let still = self.views.lock().await.look(&status, Instant::now());
        if let Some(still) = still {
            return Ok((false, still));
        }
        let missing =
            daybook_projectors::views::ALL.iter().find(|view| status.iter().all(|status| status.name != view.name));
        if let Some(view) = missing {
            return Ok((false, format!("the view {} was not built yet", view.name)));
        }
        let lag = status.iter().map(|view| view.lag).max().unwrap_or(0);
        Ok((true, format!("at most {lag} positions behind")))
    }
}

/// A check whose answer has to come in time.
async fn within(name: &'static str, look: impl Future<Output = anyhow::Result<(bool, String)>>) -> Check {
    let (ok, detail) = match tokio::time::timeout(PATIENCE, look).await {
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

/// Since when views are where they are, of those that are behind the book.
#[derive(Debug, Default)]
struct Standing(BTreeMap<String, (i64, Instant)>);

impl Standing {
    /// Notes where the views are now, and names one that is behind and has stood there for too long.
    fn look(&mut self, status: &[ViewStatus], now: Instant) -> Option<String> {
        let behind = status.iter().filter(|view| view.lag > 0).map(|view| {
            let seen = self.0.get(&view.name).filter(|(position, _)| *position == view.position);
            (view.name.clone(), (view.position, seen.map_or(now, |(_, since)| *since)))
        });
        self.0 = behind.collect();
        let mut still = self.0.iter().filter(|(_, (_, since))| now.duration_since(*since) > STANDS_STILL);
        still.next().map(|(view, (position, since))| {
            let seconds = now.duration_since(*since).as_secs();
            format!("the view {view} has stood at position {position} for {seconds} s, and the book goes on")
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
    fn a_view_stands_still_when_it_is_behind_and_stays_where_it_is() {
        let (mut standing, begin) = (Standing::default(), Instant::now());
        let mut at =
            |seconds: u64, position, lag| standing.look(&[stock(position, lag)], begin + Duration::from_secs(seconds));
        assert_eq!(at(0, 5, 3), None, "it may just have fallen behind");
        assert_eq!(at(25, 5, 9), None);
        let still = at(31, 5, 9).expect("it is behind and has not moved");
        assert!(still.contains("the view stock has stood at position 5 for 31 s"), "{still}");
        assert_eq!(at(32, 6, 8), None, "it moves");
        assert_eq!(at(60, 14, 0), None, "it is up to date");
        assert_eq!(at(1_000, 14, 1), None, "one that was up to date may stay where it was until there is more");
        assert!(at(1_031, 14, 1).is_some());
    }
}
