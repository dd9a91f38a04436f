//! Reads the read tables by SQL, and waits until they show what the caller has written.

pub(crate) mod follow;
mod required;
pub(crate) mod share;
mod statement;
pub(crate) mod tail;
mod turns;

use std::{pin::pin, sync::Arc, time::Duration};

use async_graphql::{Context, Error};
use daybook_domain::text::stored;
use daybook_event_store::{Daybook, error_chain, is_unavailable};
use deadpool_postgres::ClientWrapper;
use futures::TryStreamExt;
use serde::{Deserialize, de::DeserializeOwned};
use tokio_postgres::{
    RowStream,
    error::SqlState,
    types::{Json, ToSql, WrongType},
};

pub(crate) use self::statement::{Statement, View};
use self::{
    required::{Missing, Required},
    share::Share,
    tail::Tail,
};
use crate::graphql::error::{UNAVAILABLE, coded};

/// How long a query waits for the read models by default. They restart in less time.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The code of a query whose views have not reached its position in time.
pub(crate) const CONSISTENCY_TIMEOUT: &str = "CONSISTENCY_TIMEOUT";
/// The code of a query that reads a view which was never built yet.
const VIEW_BUILDING: &str = "VIEW_BUILDING";
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
    /// The position that the operation must see.
    required: Required,
    /// What the operation may take of the process.
    share: Arc<Share>,
}

/// The end of the book, and the views that have reached a position.
#[derive(Deserialize)]
struct Progress {
    head: i64,
    shown_by: Vec<String>,
}

/// Parameters of a statement.
pub(crate) type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

/// The reader of a request.
pub(crate) fn reader<'c>(context: &Context<'c>) -> async_graphql::Result<&'c Reader> {
    context.data::<Reader>()
}

impl Reader {
    /// A reader for the process itself. It makes the readers of operations.
    pub(crate) fn new(book: Daybook, tail: Tail, patience: Duration, share: Arc<Share>) -> Self {
        Self { book, tail, patience, required: Required::default(), share }
    }

    /// A reader for one operation, with a required position of its own.
    pub(crate) fn of_operation(&self, share: Arc<Share>) -> Self {
        Self { required: Required::default(), share, ..self.clone() }
    }

    /// What the operation may take of the process.
    pub(crate) const fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// From now on the operation sees this position of the book. Each statement waits for the views that it reads, and for no others.
    pub(crate) fn require(&self, position: i64) {
        self.required.raise(position);
    }

    /// Requires a position that the caller has named. A position beyond the end of the book is refused.
    pub(crate) async fn require_named(&self, position: i64) -> Result<(), Error> {
        if position < 0 {
            return Err(coded("BAD_INPUT", format!("a position of the book is 0 or more, and {position} is not")));
        }
        if self.required.includes(position) {
            return Ok(());
        }
        let Progress { head, shown_by } = self.progress(position, None).await?;
        if position > head {
            return Err(coded("BAD_INPUT", format!("the book ends at position {head}, before {position}")));
        }
        self.required.raise(position);
        self.required.is_shown_by(position, shown_by);
        Ok(())
    }

    /// Waits until these views show the position that the operation must see. Once a view shows it, no statement asks again.
    async fn catch_up(&self, views: &[View]) -> Result<(), Error> {
        let mut pauses = PAUSES.into_iter();
        while let Some(Missing { position, since, views }) = self.required.missing(views) {
            let Progress { shown_by, .. } = self.progress(position, Some(&views)).await?;
            let behind = views.iter().find(|view| !shown_by.iter().any(|shown| shown == *view));
            self.required.is_shown_by(position, shown_by);
            let Some(view) = behind else { continue };
            if since.elapsed() > self.patience {
                return Err(self.late(view, position).await);
            }
            tokio::time::sleep(pauses.next().unwrap_or(Duration::from_millis(50))).await;
        }
        Ok(())
    }

    /// The error of a query whose view has not reached a position in time.
    async fn late(&self, view: &'static str, position: i64) -> Error {
        match self.progress(0, Some(&[view])).await {
            Ok(Progress { shown_by, .. }) if shown_by.is_empty() => building(view),
            Ok(_) => {
                let message = format!("the view {view} has not passed position {position} yet; try again");
                coded(CONSISTENCY_TIMEOUT, message)
            }
            Err(error) => error,
        }
    }

    /// The end of the book, and which of these views, or of all views, have reached a position.
    async fn progress(&self, position: i64, views: Option<&[&str]>) -> Result<Progress, Error> {
        const PROGRESS: Statement = Statement::new(
            &[],
            "SELECT json_build_object('head', h.position, 'shown_by', ARRAY(
                 SELECT name FROM read.view_status
                 WHERE ($2::text[] IS NULL OR name = ANY ($2)) AND position >= $1))
             FROM head h",
        );
        let rows: Vec<Progress> = self.select(&PROGRESS, &[&position, &views]).await?;
        rows.into_iter().next().ok_or_else(|| coded("INTERNAL", "the book has no head"))
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
        loop {
            if let Some(rows) = self.select_within_share(statement, parameters).await? {
                return Ok(rows);
            }
            // No place is free. The operation waits for one without a connection and without these rows.
            self.share.take_place().await?;
        }
    }

    /// The rows of a statement. `None` when the operation becomes large by them, and has no place yet.
    async fn select_within_share<T: DeserializeOwned>(
        &self,
        statement: &Statement,
        parameters: Parameters<'_>,
    ) -> Result<Option<Vec<T>>, Error> {
        let _permit = self.share.statement().await?;
        // A caller who goes away leaves no statement behind.
        let guard = self.book.cancelled_on_drop().await.map_err(|error| failed(&error))?;
        let client = guard.client();
        let rows = match query(client, statement.sql(), parameters).await {
            Err(error) if is_stale(&error) => {
                client.statement_cache.remove(statement.sql(), &[]);
                query(client, statement.sql(), parameters).await
            }
            answer => answer,
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                guard.done();
                return Err(missing_view(statement, &error).map_or_else(|| failed(&error), building));
            }
        };
        let mut rows = pin!(rows);
        let (mut read, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(|error| failed(&error))? {
            // The text of the row, and what is made of it.
            let size = row.raw_size_bytes() * 2;
            bytes += size;
            match self.share.count(size) {
                Ok(false) => {}
                Ok(true) if self.share.try_take_place() => {}
                ended => {
                    // The rest of the rows is cancelled with the guard.
                    self.share.give_back(bytes);
                    return ended.map(|_| None);
                }
            }
            let Json(row) = stored(|| row.try_get(0)).map_err(|error| failed(&error))?;
            read.push(row);
        }
        guard.done();
        Ok(Some(read))
    }

    /// The first row of a statement.
    pub(crate) async fn row<T: DeserializeOwned>(
        &self,
        statement: &Statement,
        parameters: Parameters<'_>,
    ) -> Result<Option<T>, Error> {
        Ok(self.rows(statement, parameters).await?.into_iter().next())
    }
}

async fn query(
    client: &ClientWrapper,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<RowStream, tokio_postgres::Error> {
    let statement = client.prepare_cached(sql).await?;
    client.query_raw(&statement, parameters.iter().copied()).await
}

/// Whether a statement may have failed because it was prepared before a rebuilt view was put in place, whose columns have other types.
fn is_stale(error: &tokio_postgres::Error) -> bool {
    let of_a_parameter = || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<WrongType>);
    error.code().map_or_else(of_a_parameter, |state| {
        *state == SqlState::FEATURE_NOT_SUPPORTED || state.code().starts_with("42")
    })
}

/// The view that a statement reads and that does not exist, if it has failed for that reason. A view comes into being with its first
/// version, and is only replaced after that.
fn missing_view(statement: &Statement, error: &tokio_postgres::Error) -> Option<&'static str> {
    let refused = error.as_db_error().filter(|refused| *refused.code() == SqlState::UNDEFINED_TABLE)?;
    let is_named = |view: &&View| view.tables.iter().any(|table| refused.message().contains(&format!("read.{table}")));
    let views = statement.views();
    views.iter().find(is_named).or(views.first()).map(|view| view.name)
}

/// The error of a query that reads a view which was never built yet.
fn building(view: &str) -> Error {
    coded(VIEW_BUILDING, format!("the view {view} is being built for the first time; try again later"))
}

/// The error of a failed query. Internal errors are logged and not shown to the caller. A value that the database refuses came from the
/// caller.
pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    if is_bad_value(error) {
        return coded("BAD_INPUT", "an argument is not a value that can be searched for");
    }
    if is_unavailable(error) {
        tracing::warn!(error = error_chain(error), "the database cannot be asked at the moment");
        return coded(UNAVAILABLE, "the database cannot be asked at the moment; try again");
    }
    tracing::error!(error = error_chain(error), "a query failed");
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
