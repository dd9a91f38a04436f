//! Carts. A line has the price at which it was added, and the current price.

use async_graphql::{ComplexObject, Context, Enum, ID, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Money, Quantity,
    cart::{CartLine, CartStatus as Stored},
    ids::CustomerId,
    money::MoneyError,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    catalog::{BySku, Product, ProductOfSku},
    graphql::{environment::Now, scalars::MoneyObject, weight},
    loaders::Loader,
};

/// The status of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Stored")]
pub(crate) enum CartStatus {
    /// It can be filled and bought.
    Open,
    /// It became an order.
    CheckedOut,
    /// Another cart has its lines.
    Merged,
    /// It was abandoned.
    Abandoned,
    /// It was not changed for too long.
    Expired,
}

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
    /// The status after the last event.
    #[graphql(skip)]
    status: Stored,
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
#[graphql(complex)]
pub(crate) struct Line {
    /// The SKU.
    sku: String,
    #[graphql(skip)]
    units: Quantity,
    /// The price of one unit when it was first added.
    price_when_added: MoneyObject,
    #[graphql(skip)]
    unit_price: Option<Money>,
    /// The product.
    product: Option<Product>,
}

#[ComplexObject]
impl Line {
    /// How many units.
    async fn quantity(&self) -> i64 {
        self.units.signed()
    }

    /// The current price of one unit; absent when the SKU is not for sale any more.
    async fn price(&self) -> Option<MoneyObject> {
        self.unit_price.map(MoneyObject::from)
    }

    /// The current price of the line; absent when the SKU is not for sale any more.
    async fn total(&self) -> async_graphql::Result<Option<MoneyObject>> {
        Ok(self.sum()?.map(MoneyObject::from))
    }
}

impl Line {
    /// The current price of all units.
    fn sum(&self) -> Result<Option<Money>, MoneyError> {
        self.unit_price.map(|price| price.times(self.units.units())).transpose()
    }
}

#[ComplexObject]
impl Cart {
    /// The id of the cart.
    async fn id(&self) -> ID {
        self.cart_id.into()
    }

    /// The status now. A cart expires at `expiresAt`, whether an event has ended it or not.
    async fn status(&self, context: &Context<'_>) -> async_graphql::Result<CartStatus> {
        Ok(self.status.at(self.expires_at, context.data::<Now>()?.time()).into())
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
    #[graphql(complexity = "weight::list(weight::CART_LINES, child_complexity)")]
    async fn lines(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Line>> {
        let prices = self.prices(context).await?;
        let loader = context.data::<DataLoader<Loader>>()?;
        let keys = self.lines.iter().map(|line| ProductOfSku(line.sku.to_string()));
        let mut products = loader.load_many(keys).await?;
        let lines = self.lines.iter().zip(prices).map(|(line, price)| Line {
            sku: line.sku.to_string(),
            units: line.quantity,
            price_when_added: line.unit_price.into(),
            unit_price: price,
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

#[cfg(test)]
mod tests {
    use daybook_domain::{Money, Quantity, money::MoneyError};

    use super::Line;

    fn line(minor_units: Option<i64>) -> Line {
        let euro = "EUR".parse().expect("a currency");
        Line {
            sku: "S-1".to_owned(),
            units: Quantity::new(2).expect("a quantity"),
            price_when_added: Money::new(1, euro).into(),
            unit_price: minor_units.map(|minor_units| Money::new(minor_units, euro)),
            product: None,
        }
    }

    #[test]
    fn a_total_that_cannot_be_counted_is_an_error_and_not_an_absent_price() {
        assert_eq!(line(Some(i64::MAX)).sum(), Err(MoneyError::AmountOverflow));
        assert_eq!(line(Some(5)).sum().map(|sum| sum.map(|sum| sum.minor_units)), Ok(Some(10)));
        assert_eq!(line(None).sum(), Ok(None));
    }
}
