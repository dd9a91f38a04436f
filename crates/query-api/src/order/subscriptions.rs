//! Subscriptions to orders.

use async_graphql::{Context, ID, Subscription};
use daybook_domain::{Fold, ids::OrderId, order::Order as Folded};
use daybook_event_store::{Filter, RecordedEvent, StoreError};
use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use uuid::Uuid;

use super::{
    queries::{by_id, row},
    types::Order,
};
use crate::{
    graphql::error::coded,
    reader::{Reader, failed, follow::follow, reader},
};

#[derive(Default)]
pub(crate) struct OrderSubscription;

#[Subscription]
impl OrderSubscription {
    /// The order of this id, now and after each change. Changes in quick succession may be sent as one.
    async fn order_updated(
        &self,
        context: &Context<'_>,
        id: ID,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<Order>>> {
        let id: Uuid = id.parse().map_err(|_| coded("BAD_INPUT", "id is not the id of an order"))?;
        let found = by_id(context, id).await?;
        let found = found.ok_or_else(|| coded("NOT_FOUND", "there is no such order"))?;
        let watch = Watch::begin(reader(context)?.clone(), &found);
        // An error ends the subscription. The client may subscribe again.
        let changes = stream::try_unfold(watch, |mut watch| async move {
            let changed = watch.changed().await?;
            Ok::<_, async_graphql::Error>(changed.map(|order| (order, watch)))
        });
        Ok(stream::iter([Ok(found)]).chain(changes))
    }
}

/// An order that a subscription watches, and the version that it has sent.
struct Watch {
    reader: Reader,
    order_id: Uuid,
    sent: i32,
    /// The events of the order after the version that was found.
    events: BoxStream<'static, Result<RecordedEvent, StoreError>>,
}

impl Watch {
    fn begin(reader: Reader, found: &Order) -> Self {
        let stream = Folded::stream(&OrderId(found.order_id)).as_str().to_owned();
        let filter = Filter { stream: Some(stream), ..Filter::default() };
        let events = follow(reader.book.clone(), reader.tail.clone(), found.position, filter).boxed();
        Self { reader, order_id: found.order_id, sent: found.version, events }
    }

    /// The order after its next change.
    async fn changed(&mut self) -> async_graphql::Result<Option<Order>> {
        while let Some(event) = self.events.try_next().await.map_err(|error| failed(&error))? {
            // The view may have been ahead of an earlier event, so that this change was sent already.
            if event.version <= self.sent {
                continue;
            }
            self.reader.require(event.position);
            let order = row(&self.reader, self.order_id).await?;
            self.sent = order.as_ref().map_or(self.sent, |order| order.version);
            return Ok(order);
        }
        Ok(None)
    }
}
