//! Reading: SQL on the read tables, and waiting until they show what the reader has written.

use std::time::{Duration, Instant};

use async_graphql::{Context, Error};
use daybook_event_store::Daybook;
use serde::de::DeserializeOwned;
use tokio_postgres::types::{Json, ToSql};

use crate::viewer::coded;

/// How long a query waits for the read models, unless told otherwise: longer than they take to start again.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The pauses between looks, from the first on.
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
    /// How long it waits for the views to pass a position.
    pub(crate) patience: Duration,
}

/// Parameters of a statement.
pub(crate) type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

/// The reader of a request.
pub(crate) fn reader<'c>(context: &Context<'c>) -> async_graphql::Result<&'c Reader> {
    context.data::<Reader>()
}

impl Reader {
    /// The rows of a statement that selects one JSON column.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<T>, Error> {
        let client = self.book.pool().get().await.map_err(|error| failed(&error))?;
        let statement = client.prepare_cached(sql).await.map_err(|error| failed(&error))?;
        let rows = client.query(&statement, parameters).await.map_err(|error| failed(&error))?;
        let rows = rows.iter().map(|row| row.try_get(0).map(|Json(row)| row));
        rows.collect::<Result<_, _>>().map_err(|error| failed(&error))
    }

    /// The first row of a statement that selects one JSON column.
    pub(crate) async fn row<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<T>, Error> {
        Ok(self.rows(sql, parameters).await?.into_iter().next())
    }

    /// Waits until every view shows a position that a reader asks to see. One that the book does not have is refused.
    pub(crate) async fn show(&self, position: i64) -> Result<(), Error> {
        let head = self.book.head().await.map_err(|error| failed(&error))?.position;
        if position > head {
            return Err(coded("BAD_INPUT", format!("the book ends at position {head}, before {position}")));
        }
        self.wait_until_passed(position).await
    }

    /// Waits until every view has passed a position, so that what was written up to it is shown.
    pub(crate) async fn wait_until_passed(&self, position: i64) -> Result<(), Error> {
        let begin = Instant::now();
        let mut pauses = PAUSES.into_iter();
        loop {
            let behind: Option<String> = self
                .row("SELECT to_json(name) FROM read.view_status WHERE position < $1 LIMIT 1", &[&position])
                .await?;
            let Some(view) = behind else { return Ok(()) };
            if begin.elapsed() > self.patience {
                let message = format!("the view {view} has not passed position {position} yet; try again");
                return Err(coded("CONSISTENCY_TIMEOUT", message));
            }
            tokio::time::sleep(pauses.next().unwrap_or(Duration::from_millis(50))).await;
        }
    }
}

/// What broke inside is for the log, not for the reader. What the database could not take as a value came from the reader.
pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    if is_bad_value(error) {
        return coded("BAD_INPUT", "an argument is not a value that can be looked for");
    }
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    tracing::error!(%error, cause, "a query failed");
    coded("INTERNAL", "the query failed")
}

/// Whether PostgreSQL refused a value: its errors of class 22, data exceptions.
pub(crate) fn is_bad_value(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    chain.any(|error| {
        let state = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
        state.is_some_and(|state| state.code().starts_with("22"))
    })
}

/// Refuses a text that PostgreSQL cannot hold: one with a NUL.
pub(crate) fn plain(name: &str, text: Option<&str>) -> Result<(), Error> {
    match text {
        Some(text) if text.contains('\0') => Err(coded("BAD_INPUT", format!("{name} must not contain NUL"))),
        _ => Ok(()),
    }
}
