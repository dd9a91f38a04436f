//! The two schemas.

use std::sync::Arc;

use async_graphql::{MergedObject, MergedSubscription, ObjectType, Schema, SchemaBuilder, SubscriptionType};

use crate::{
    QuerySettings,
    book::{BookQuery, BookSubscription},
    cart::{CartMutation, CartQuery},
    catalog::{CatalogMutation, CatalogQuery},
    graphql::{
        commands::Commands,
        cost::MAX_DEPTH,
        environment::{NewId, Now, Served, ShopTimeZone},
        extension::ResponseExtension,
        mutation::idempotent,
        position::AtPosition,
    },
    inventory::{InventoryMutation, InventoryQuery, StockSubscription, StockWatch},
    order::{BackOfficeOrderMutation, BackOfficeOrders, OrderMutation, OrderQuery, OrderSubscription, SalesQuery},
};

/// How many directives a field may have.
const MAX_DIRECTIVES: usize = 20;

/// The queries of the storefront that read views.
#[derive(MergedObject, Default)]
pub(crate) struct StorefrontViews(CatalogQuery, CartQuery, OrderQuery);

/// All queries of the storefront.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub(crate) struct StorefrontQuery(AtPosition<StorefrontViews>);

/// The queries of the back-office that read views.
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

#[derive(MergedSubscription, Default)]
#[graphql(name = "Subscription")]
pub(crate) struct StorefrontSubscription(OrderSubscription, StockSubscription);

#[derive(MergedSubscription, Default)]
#[graphql(name = "Subscription")]
pub(crate) struct AdminSubscription(OrderSubscription, StockSubscription, BookSubscription);

pub(crate) type Storefront = Schema<StorefrontQuery, ShopMutation, StorefrontSubscription>;
pub(crate) type Admin = Schema<AdminQuery, AdminMutation, AdminSubscription>;

/// A schema without its data.
fn without_data<Q, M, S>() -> SchemaBuilder<Q, M, S>
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

/// A schema that can execute operations. Each operation brings its own reader.
pub(crate) fn build<Q, M, S>(settings: &QuerySettings, stock: StockWatch) -> Schema<Q, M, S>
where
    Q: ObjectType + Default + 'static,
    M: ObjectType + Default + 'static,
    S: SubscriptionType + Default + 'static,
{
    let commands = Commands::new(settings.commands.clone(), settings.keys.clone(), Arc::clone(&settings.now));
    let builder = without_data()
        .data(Now(Arc::clone(&settings.database_now)))
        .data(Served(Arc::new(settings.storefront.clone())))
        .data(ShopTimeZone(settings.time_zone))
        .data(new_id())
        .data(commands)
        .data(stock)
        .extension(ResponseExtension);
    builder.finish()
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where this crate makes ids")]
fn new_id() -> NewId {
    NewId { ordered: uuid::Uuid::now_v7, secret: uuid::Uuid::new_v4 }
}

/// The storefront schema in the schema definition language.
#[must_use]
pub fn storefront_sdl() -> String {
    without_data::<StorefrontQuery, ShopMutation, StorefrontSubscription>().finish().sdl()
}

/// The back-office schema in the schema definition language.
#[must_use]
pub fn admin_sdl() -> String {
    without_data::<AdminQuery, AdminMutation, AdminSubscription>().finish().sdl()
}
