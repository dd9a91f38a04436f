//! Carts. A line has the price at which it was added, and the current price.

use async_graphql::{ComplexObject, Context, ID, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use daybook_domain::{Currency, Money, cart::CartLine, ids::CustomerId};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    catalog::{BySku, Product, ProductOfSku},
    graphql::scalars::MoneyObject,
    loaders::Loader,
};

/// A cart.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Cart {
    #[graphql(skip)]
    cart_id: Uuid,
    #[graphql(skip)]
    pub(super) customer_id: Option<CustomerId>,
    /// The channel whose prices apply.
    channel: String,
    #[graphql(skip)]
    currency: Currency,
    /// The status: `open`, `checked_out`, `merged` or `abandoned`.
    status: String,
    #[graphql(skip)]
    lines: Vec<CartLine>,
    #[graphql(skip)]
    order_id: Option<Uuid>,
    /// When the cart expires, unless it is changed before.
    expires_at: Option<DateTime<Utc>>,
    /// When the cart was last changed.
    updated_at: DateTime<Utc>,
    /// The version of the cart: the number of its changes.
    version: i32,
}

/// A line of a cart.
#[derive(SimpleObject)]
pub(crate) struct Line {
    /// The SKU.
    sku: String,
    /// How many units.
    quantity: i64,
    /// The price of one unit when it was first added.
    price_when_added: MoneyObject,
    /// The current price of one unit; absent when the SKU is not for sale any more.
    price: Option<MoneyObject>,
    /// The current price of the line.
    total: Option<MoneyObject>,
    /// The product.
    product: Option<Product>,
}

#[ComplexObject]
impl Cart {
    /// The id of the cart.
    async fn id(&self) -> ID {
        self.cart_id.into()
    }

    /// The customer whose cart it is; absent when it is a guest's.
    async fn customer_id(&self) -> Option<String> {
        self.customer_id.as_ref().map(ToString::to_string)
    }

    /// The currency of the prices.
    async fn currency(&self) -> String {
        self.currency.to_string()
    }

    /// The order that the cart became.
    async fn order_id(&self) -> Option<ID> {
        self.order_id.map(ID::from)
    }

    /// The lines, in the order in which they were added.
    async fn lines(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Line>> {
        let prices = self.prices(context).await?;
        let loader = context.data::<DataLoader<Loader>>()?;
        let keys = self.lines.iter().map(|line| ProductOfSku(line.sku.to_string()));
        let mut products = loader.load_many(keys).await?;
        let lines = self.lines.iter().zip(prices).map(|(line, price)| Line {
            sku: line.sku.to_string(),
            quantity: line.quantity.signed(),
            price_when_added: line.unit_price.into(),
            price: price.map(MoneyObject::from),
            total: price.and_then(|price| price.times(line.quantity.units()).ok()).map(MoneyObject::from),
            product: products.remove(&ProductOfSku(line.sku.to_string())),
        });
        Ok(lines.collect())
    }

    /// The current total. It leaves out lines that are not for sale any more.
    async fn total(&self, context: &Context<'_>) -> async_graphql::Result<MoneyObject> {
        let prices = self.prices(context).await?;
        let totals = self.lines.iter().zip(prices).filter_map(|(line, price)| Some((line, price?)));
        let totals = totals.map(|(line, price)| price.times(line.quantity.units()));
        let totals = totals.collect::<Result<Vec<_>, _>>()?;
        Ok(Money::sum(self.currency, totals)?.into())
    }
}

impl Cart {
    /// The current price of one unit of each line.
    async fn prices(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Option<Money>>> {
        let loader = context.data::<DataLoader<Loader>>()?;
        let found = loader.load_many(self.lines.iter().map(|line| BySku::prices(line.sku.as_str()))).await?;
        let price = |line: &CartLine| {
            let prices = found.get(&BySku::prices(line.sku.as_str()))?;
            let own = prices.iter().find(|p| p.channel == self.channel && p.currency == self.currency)?;
            Some(Money::new(own.minor_units, own.currency))
        };
        Ok(self.lines.iter().map(price).collect())
    }
}
