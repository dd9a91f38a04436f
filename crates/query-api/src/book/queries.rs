//! Queries of the book.

use async_graphql::{Context, Object};
use daybook_event_store::{Daybook, Filter};
use uuid::Uuid;

use super::{
    names::Wanted,
    types::{Event, View},
};
use crate::{
    graphql::{
        connection::{page_size, rows_up_to},
        error::coded,
        scalars::Long,
        viewer::staff_only,
        weight,
    },
    reader::{Statement, failed, plain, reader},
};

/// The most events of a page.
const MAX_EVENTS: u16 = 1_000;

#[derive(Default)]
pub(crate) struct BookQuery;

#[Object]
impl BookQuery {
    /// The events after a position, in order: the first ones of the book by default. With `last`, the last ones before a position, in
    /// the same order. A type that does not exist is `BAD_INPUT`.
    #[graphql(complexity = "rows_up_to(MAX_EVENTS, last.unwrap_or(first))? * child_complexity")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of a field of GraphQL")]
    async fn events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A position of the book. A position beyond its end is `BAD_INPUT`.")] after: Option<Long>,
        #[graphql(desc = "A position. It needs `last`.")] before: Option<Long>,
        types: Option<Vec<String>>,
        stream: Option<String>,
        #[graphql(desc = "The actor, such as `admin:ada`.")] actor: Option<String>,
        #[graphql(desc = "The id of a causal chain.")] correlation_id: Option<Uuid>,
        #[graphql(default = 20)] first: i32,
        last: Option<i32>,
    ) -> async_graphql::Result<Vec<Event>> {
        staff_only(context)?;
        let filter = filter(Wanted { types, stream, actor, correlation_id })?;
        let book = &reader(context)?.book;
        let events = match (last, after, before) {
            (Some(_), Some(_), _) => return Err(coded("BAD_INPUT", "last and after exclude each other")),
            (None, _, Some(_)) => return Err(coded("BAD_INPUT", "before needs last")),
            (Some(last), None, before) => {
                let last = usize::from(page_size(last, MAX_EVENTS)?);
                book.read_before(before.map_or(i64::MAX, |Long(before)| before), last, &filter).await
            }
            (None, after, None) => {
                let (first, after) = (usize::from(page_size(first, MAX_EVENTS)?), after.map_or(0, |Long(after)| after));
                within_book(book, after).await?;
                book.read_after(after, first, &filter).await
            }
        };
        let events = events.map_err(|error| failed(&error))?;
        Ok(events.into_iter().map(Event::from).collect())
    }

    /// The progress of the read models.
    #[graphql(complexity = "weight::list(weight::VIEWS, child_complexity)")]
    async fn views(&self, context: &Context<'_>) -> async_graphql::Result<Vec<View>> {
        const STATUS: Statement = Statement::new(
            &[],
            "SELECT json_build_object('name', name, 'version', version, 'position', position,
                    'lag', greatest(head - position, 0)) FROM read.view_status ORDER BY name",
        );
        staff_only(context)?;
        reader(context)?.rows(&STATUS, &[]).await
    }
}

/// A filter of events, which is checked.
pub(super) fn filter(wanted: Wanted) -> async_graphql::Result<Filter> {
    wanted.types.iter().flatten().try_for_each(|text| plain("types", Some(text)))?;
    plain("stream", wanted.stream.as_deref())?;
    plain("actor", wanted.actor.as_deref())?;
    Filter::try_from(wanted).map_err(|error| coded("BAD_INPUT", error.to_string()))
}

/// Refuses a position beyond the end of the book. It was given in another history of the book, whose events are not those that will
/// get these positions.
pub(super) async fn within_book(book: &Daybook, after: i64) -> async_graphql::Result<()> {
    if after < 0 {
        return Err(coded("BAD_INPUT", "after is a position of the book, from 0"));
    }
    let head = book.head().await.map_err(|error| failed(&error))?.position;
    if after > head {
        return Err(coded("BAD_INPUT", format!("the book ends at position {head}, before {after}")));
    }
    Ok(())
}
