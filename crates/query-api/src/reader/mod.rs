//! Reads the read tables by SQL, and waits until they show what the caller has written.

pub(crate) mod follow;
mod statement;
pub(crate) mod tail;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_graphql::{Context, Error};
use daybook_event_store::Daybook;
use serde::de::DeserializeOwned;
use tokio_postgres::types::{Json, ToSql};

pub(crate) use self::statement::{Statement, View};
use self::tail::Tail;
use crate::graphql::error::coded;

/// How long a query waits for the read models by default. They restart in less time.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The pauses between the first checks of the views.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(15),
    Duration::from_millis(30),
];

/// Reads the read tables.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) book: Daybook,
    /// The end of the book.
    pub(crate) tail: Tail,
    /// How long it waits for the views to reach a position.
    patience: Duration,
    /// What the operation has written.
    written: Arc<Mutex<Written>>,
}

/// What an operation has written. The operation must see this in everything that it reads afterwards.
#[derive(Default)]
struct Written {
    /// The position of its last event; 0 when it has written nothing.
    position: i64,
    /// The views that have reached that position.
    shown_by: BTreeSet<View>,
}

/// Parameters of a statement.
pub(crate) type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

/// The reader of a request.
pub(crate) fn reader<'c>(context: &Context<'c>) -> async_graphql::Result<&'c Reader> {
    context.data::<Reader>()
}

impl Reader {
    pub(crate) fn new(book: Daybook, tail: Tail, patience: Duration) -> Self {
        Self { book, tail, patience, written: Arc::default() }
    }

    /// A reader for one operation, which sees what that operation writes.
    pub(crate) fn of_operation(&self) -> Self {
        Self { written: Arc::default(), ..self.clone() }
    }

    /// From now on the operation sees this position. It waits only for the views that it reads, and only when it reads them.
    pub(crate) fn has_written(&self, position: i64) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if position > written.position {
            *written = Written { position, shown_by: BTreeSet::new() };
        }
    }

    /// Waits until these views show what this operation has written.
    async fn catch_up(&self, views: &[View]) -> Result<(), Error> {
        let (position, awaited) = {
            let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            if written.position == 0 {
                return Ok(());
            }
            let awaited: Vec<View> = views.iter().filter(|view| !written.shown_by.contains(view)).copied().collect();
            (written.position, awaited)
        };
        if awaited.is_empty() {
            return Ok(());
        }
        self.wait(position, Some(&awaited)).await?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.position == position {
            written.shown_by.extend(awaited);
        }
        Ok(())
    }

    /// The rows of a statement.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        statement: &Statement,
        parameters: Parameters<'_>,
    ) -> Result<Vec<T>, Error> {
        self.catch_up(statement.views()).await?;
        self.select(statement, parameters).await
    }

    async fn select<T: DeserializeOwned>(
        &self,
        statement: &Statement,
        parameters: Parameters<'_>,
    ) -> Result<Vec<T>, Error> {
        let client = self.book.pool().get().await.map_err(|error| failed(&error))?;
        let statement = client.prepare_cached(statement.sql()).await.map_err(|error| failed(&error))?;
        let rows = client.query(&statement, parameters).await.map_err(|error| failed(&error))?;
        let rows = rows.iter().map(|row| row.try_get(0).map(|Json(row)| row));
        rows.collect::<Result<_, _>>().map_err(|error| failed(&error))
    }

    /// The first row of a statement.
    pub(crate) async fn row<T: DeserializeOwned>(
        &self,
        statement: &Statement,
        parameters: Parameters<'_>,
    ) -> Result<Option<T>, Error> {
        Ok(self.rows(statement, parameters).await?.into_iter().next())
    }

    /// Waits until every view shows a position that the caller must see. A position beyond the end of the book is refused.
    pub(crate) async fn show(&self, position: i64) -> Result<(), Error> {
        let head = self.book.head().await.map_err(|error| failed(&error))?.position;
        if position > head {
            return Err(coded("BAD_INPUT", format!("the book ends at position {head}, before {position}")));
        }
        self.wait_until_shown(position).await
    }

    /// Waits until every view has reached a position.
    pub(crate) async fn wait_until_shown(&self, position: i64) -> Result<(), Error> {
        self.wait(position, None).await
    }

    /// Waits until these views, or all views, have reached a position.
    async fn wait(&self, position: i64, views: Option<&[View]>) -> Result<(), Error> {
        const BEHIND: Statement = Statement::new(
            &[],
            "SELECT to_json(name) FROM read.view_status
             WHERE position < $1 AND ($2::text[] IS NULL OR name = ANY ($2)) LIMIT 1",
        );
        let views: Option<Vec<&str>> = views.map(|views| views.iter().map(|view| view.name).collect());
        let begin = Instant::now();
        let mut pauses = PAUSES.into_iter();
        loop {
            let behind: Vec<String> = self.select(&BEHIND, &[&position, &views]).await?;
            let Some(view) = behind.first() else { return Ok(()) };
            if begin.elapsed() > self.patience {
                let message = format!("the view {view} has not passed position {position} yet; try again");
                return Err(coded("CONSISTENCY_TIMEOUT", message));
            }
            tokio::time::sleep(pauses.next().unwrap_or(Duration::from_millis(50))).await;
        }
    }
}

/// The error of a failed query. Internal errors are logged and not shown to the caller. A value that the database refuses came from the
/// caller.
pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    if is_bad_value(error) {
        return coded("BAD_INPUT", "an argument is not a value that can be searched for");
    }
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    tracing::error!(%error, cause, "a query failed");
    coded("INTERNAL", "the query failed")
}

/// Whether an error, or one of its causes, is that PostgreSQL refused a value.
pub(crate) fn is_bad_value(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    chain.any(|error| error.downcast_ref().is_some_and(daybook_event_store::is_data_error))
}

/// Refuses a text that PostgreSQL cannot hold: one with a NUL.
pub(crate) fn plain(name: &str, text: Option<&str>) -> Result<(), Error> {
    match text {
        Some(text) if text.contains('\0') => Err(coded("BAD_INPUT", format!("{name} must not contain NUL"))),
        _ => Ok(()),
    }
}
