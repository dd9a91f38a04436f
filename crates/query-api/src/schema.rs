//! The two schemas.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::{
    Context, ID, MergedObject, MergedSubscription, ObjectType, Schema, SchemaBuilder, Subscription, SubscriptionType,
};
use chrono::{DateTime, Utc};
use daybook_domain::ids::Sku;
use daybook_event_store::Filter;
use futures::{Stream, StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::{
    QuerySettings,
    book::{BookQuery, BookSubscription, follow},
    cart::{CartMutation, CartQuery},
    catalog::{CatalogMutation, CatalogQuery},
    commands::Commands,
    cost::MAX_DEPTH,
    finishing::Finishing,
    inventory::{self, InventoryMutation, InventoryQuery, StockLevel},
    mutation::idempotent,
    order::{self, BackOfficeOrderMutation, BackOfficeOrders, Order, OrderMutation, OrderQuery},
    position::AtPosition,
    read::{Reader, failed, reader},
    sales::SalesQuery,
    tail::Tail,
    viewer::coded,
};

/// How many directives a field may have.
const MAX_DIRECTIVES: usize = 20;
/// How many SKUs may be watched at once.
const MAX_WATCHED: usize = 100;

/// Tells the time.
pub(crate) struct Now(pub(crate) Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

/// Makes ids for mutations whose caller gave no key.
pub(crate) struct NewId(pub(crate) fn() -> Uuid);

/// What the storefront reads of the views.
#[derive(MergedObject, Default)]
pub(crate) struct StorefrontViews(CatalogQuery, CartQuery, OrderQuery);

#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub(crate) struct StorefrontQuery(AtPosition<StorefrontViews>);

/// What the back-office reads of the views.
#[derive(MergedObject, Default)]
pub(crate) struct AdminViews(CatalogQuery, CartQuery, OrderQuery, BackOfficeOrders, InventoryQuery, SalesQuery);

#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub(crate) struct AdminQuery(AtPosition<AdminViews>, BookQuery);

#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
pub(crate) struct ShopMutation(CartMutation, OrderMutation);

#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
pub(crate) struct AdminMutation(
    CartMutation,
    OrderMutation,
    CatalogMutation,
    InventoryMutation,
    BackOfficeOrderMutation,
);

#[derive(Default)]
pub(crate) struct ShopSubscription;

#[Subscription]
impl ShopSubscription {
    /// An order, now and whenever it has changed.
    async fn order_updated(
        &self,
        context: &Context<'_>,
        id: ID,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<Order>>> {
        let id: Uuid = id.parse().map_err(|_| coded("BAD_INPUT", "id is not the id of an order"))?;
        let found = order::by_id(context, id).await?;
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
                if let Err(error) = reader.wait_until_passed(event.position).await {
                    return Some(Err(error));
                }
                let sql = "SELECT to_json(o) FROM read.orders o WHERE order_id = $1 AND version = $2";
                reader.row(sql, &[&id, &event.version]).await.transpose()
            }
        }))
    }

    /// How many of SKUs can be had, now and whenever that has changed.
    async fn stock_changed(
        &self,
        context: &Context<'_>,
        skus: Vec<String>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<StockLevel>>> {
        if skus.is_empty() || skus.len() > MAX_WATCHED {
            return Err(coded("BAD_INPUT", format!("1 to {MAX_WATCHED} SKUs can be watched")));
        }
        let skus = skus.iter().map(|sku| inventory::sku(sku)).collect::<Result<Vec<_>, _>>()?;
        let watch = Watch { reader: reader(context)?.clone(), skus, seen: HashMap::new() };
        // An error is the last that is told: whoever wants to go on subscribes again.
        let levels = futures::stream::try_unfold(watch, |mut watch| async move {
            let changed = watch.changed().await?;
            Ok::<_, async_graphql::Error>(Some((futures::stream::iter(changed.into_iter().map(Ok)), watch)))
        });
        Ok(levels.try_flatten())
    }
}

/// What a subscriber knows of the stock that they watch.
struct Watch {
    reader: Reader,
    skus: Vec<Sku>,
    seen: HashMap<String, i64>,
}

impl Watch {
    /// The levels that are not as they were seen last, as soon as there are any.
    async fn changed(&mut self) -> async_graphql::Result<Vec<StockLevel>> {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        loop {
            let mut levels = inventory::levels(&self.reader, &self.skus).await?;
            levels.retain(|level| self.seen.insert(level.sku.clone(), level.available) != Some(level.available));
            if !levels.is_empty() {
                return Ok(levels);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[derive(MergedSubscription, Default)]
#[graphql(name = "Subscription")]
pub(crate) struct StorefrontSubscription(ShopSubscription);

#[derive(MergedSubscription, Default)]
#[graphql(name = "Subscription")]
pub(crate) struct AdminSubscription(ShopSubscription, BookSubscription);

pub(crate) type Storefront = Schema<StorefrontQuery, ShopMutation, StorefrontSubscription>;
pub(crate) type Admin = Schema<AdminQuery, AdminMutation, AdminSubscription>;

/// A schema without its data.
fn bare<Q, M, S>() -> SchemaBuilder<Q, M, S>
where
    Q: ObjectType + Default + 'static,
    M: ObjectType + Default + 'static,
    S: SubscriptionType + Default + 'static,
{
    Schema::build(Q::default(), M::default(), S::default())
        .directive(idempotent)
        .limit_depth(MAX_DEPTH)
        .limit_directives(MAX_DIRECTIVES)
}

/// A schema that answers.
pub(crate) fn build<Q, M, S>(settings: &QuerySettings, tail: &Tail) -> Schema<Q, M, S>
where
    Q: ObjectType + Default + 'static,
    M: ObjectType + Default + 'static,
    S: SubscriptionType + Default + 'static,
{
    let commands = Commands::new(settings.command_url.clone(), settings.keys.clone(), Arc::clone(&settings.now));
    let builder = bare()
        .data(Reader::new(settings.book.clone(), tail.clone(), settings.patience))
        .data(Now(Arc::clone(&settings.now)))
        .data(NewId(new_id))
        .data(commands)
        .extension(Finishing);
    if settings.introspection { builder.finish() } else { builder.disable_introspection().finish() }
}

#[expect(clippy::disallowed_methods, reason = "this is where this crate makes ids")]
fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// The storefront schema in the schema definition language.
#[must_use]
pub fn storefront_sdl() -> String {
    bare::<StorefrontQuery, ShopMutation, StorefrontSubscription>().finish().sdl()
}

/// The back-office schema in the schema definition language.
#[must_use]
pub fn admin_sdl() -> String {
    bare::<AdminQuery, AdminMutation, AdminSubscription>().finish().sdl()
}
