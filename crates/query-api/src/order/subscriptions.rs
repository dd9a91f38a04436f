//! Subscriptions to orders.

use async_graphql::{Context, ID, Subscription};
use daybook_event_store::Filter;
use futures::{Stream, StreamExt};
use uuid::Uuid;

use super::{ORDER, queries::by_id, types::Order};
use crate::{
    graphql::error::coded,
    reader::{Statement, failed, follow::follow, reader},
};

#[derive(Default)]
pub(crate) struct OrderSubscription;

#[Subscription]
impl OrderSubscription {
    /// The order of this id, now and after each change.
    async fn order_updated(
        &self,
        context: &Context<'_>,
        id: ID,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<Order>>> {
        const AT_VERSION: Statement =
            Statement::new(&[ORDER], "SELECT to_json(o) FROM read.orders o WHERE order_id = $1 AND version = $2");
        let id: Uuid = id.parse().map_err(|_| coded("BAD_INPUT", "id is not the id of an order"))?;
        let found = by_id(context, id).await?;
        found.ok_or_else(|| coded("NOT_FOUND", "there is no such order"))?;
        let reader = reader(context)?.clone();
        let filter = Filter { types: None, stream: Some(format!("order-{id}")) };
        let changes = follow(reader.book.clone(), reader.tail.clone(), 0, filter);
        Ok(changes.filter_map(move |event| {
            let reader = reader.clone();
            async move {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => return Some(Err(failed(&error))),
                };
                if let Err(error) = reader.wait_until_shown(event.position).await {
                    return Some(Err(error));
                }
                reader.row(&AT_VERSION, &[&id, &event.version]).await.transpose()
            }
        }))
    }
}
