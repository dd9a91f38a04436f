//! Subscriptions to the book.

use async_graphql::{Context, Subscription};
use futures::{Stream, StreamExt};

use super::{
    names::Wanted,
    queries::{filter, within_book},
    types::Event,
};
use crate::{
    graphql::{scalars::Long, viewer::staff_only},
    reader::{Reader, failed, follow::follow, reader},
};

#[derive(Default)]
pub(crate) struct BookSubscription;

#[Subscription]
impl BookSubscription {
    /// Every event after a position, without a gap: first those of the past, then each when it is written.
    async fn event_appended(
        &self,
        context: &Context<'_>,
        #[graphql(default_with = "Long(0)")] after: Long,
        types: Option<Vec<String>>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<Event>>> {
        staff_only(context)?;
        let Long(after) = after;
        let filter = filter(Wanted { types, ..Wanted::default() })?;
        let Reader { book, tail, .. } = reader(context)?.clone();
        within_book(&book, after).await?;
        let events = follow(book, tail, after, filter);
        Ok(events.map(|event| event.map(Event::from).map_err(|error| failed(&error))))
    }
}
