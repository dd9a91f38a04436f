//! Subscriptions to the book.

use async_graphql::{Context, Subscription};
use futures::{Stream, StreamExt};

use super::{names::filter, queries::plain_filter, types::Event};
use crate::{
    graphql::{error::coded, scalars::Long, viewer::staff_only},
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
        plain_filter(types.as_deref(), None)?;
        let Long(after) = after;
        let filter = filter(types, None);
        let Reader { book, tail, .. } = reader(context)?.clone();
        let head = book.head().await.map_err(|error| failed(&error))?.position;
        if after > head {
            // It was given in another history of the book: waiting for it would pass over what stands there now.
            return Err(coded("BAD_INPUT", format!("the book ends at position {head}, before {after}")));
        }
        let events = follow(book, tail, after, filter);
        Ok(events.map(|event| event.map(Event::from).map_err(|error| failed(&error))))
    }
}
