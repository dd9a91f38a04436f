//! Queries of the book.

use async_graphql::{Context, Object};

use super::{
    names::filter,
    types::{Event, View},
};
use crate::{
    graphql::{
        connection::{page_size, rows_up_to},
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
    /// The events after a position, in order.
    #[graphql(complexity = "rows_up_to(MAX_EVENTS, first)? * child_complexity")]
    async fn events(
        &self,
        context: &Context<'_>,
        #[graphql(default_with = "Long(0)")] after: Long,
        types: Option<Vec<String>>,
        stream: Option<String>,
        #[graphql(default = 20)] first: i32,
    ) -> async_graphql::Result<Vec<Event>> {
        staff_only(context)?;
        plain_filter(types.as_deref(), stream.as_deref())?;
        let first = usize::from(page_size(first, MAX_EVENTS)?);
        let book = &reader(context)?.book;
        let events = book.read_after(after.0, first, &filter(types, stream)).await.map_err(|error| failed(&error))?;
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

/// Refuses a filter that PostgreSQL cannot hold.
pub(super) fn plain_filter(types: Option<&[String]>, stream: Option<&str>) -> async_graphql::Result<()> {
    types.into_iter().flatten().try_for_each(|text| plain("types", Some(text)))?;
    plain("stream", stream)
}
