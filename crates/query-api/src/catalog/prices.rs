//! The prices of SKUs.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Money,
    catalog::{PriceChange, PriceList, SaleChange},
    ids::Channel,
};
use serde::Deserialize;

use crate::{
    graphql::{environment::Now, scalars::MoneyObject},
    loaders::Loader,
};

/// The key of the prices of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BySku(pub(super) Arc<str>);

impl BySku {
    pub(crate) fn prices(sku: &str) -> Self {
        Self(sku.into())
    }
}

/// The key of the times at which a SKU was on sale.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SalesOf(pub(super) String);

/// When a SKU was on sale: the product, and the variant.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sales {
    pub(super) sku: String,
    product: Vec<SaleChange>,
    variant: Vec<SaleChange>,
}

/// The price of a SKU in a channel and currency.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Price {
    #[graphql(skip)]
    pub(super) sku: String,
    #[graphql(skip)]
    pub(crate) channel: Channel,
    #[graphql(skip)]
    pub(crate) currency: Currency,
    #[graphql(skip)]
    minor_units: i64,
    /// When the price began to apply.
    since: DateTime<Utc>,
    #[graphql(skip)]
    changes: Vec<PriceChange>,
}

impl Price {
    /// The price of one unit.
    pub(crate) const fn money(&self) -> Money {
        Money::new(self.minor_units, self.currency)
    }
}

#[ComplexObject]
impl Price {
    /// The channel.
    async fn channel(&self) -> &str {
        self.channel.as_str()
    }

    /// The price of one unit.
    async fn price(&self) -> MoneyObject {
        self.money().into()
    }

    /// The lowest price of the 30 days before the reduction that is in force (Directive 98/6/EC, article 6a); without a reduction, of the
    /// last 30 days. A price counts while customers could pay it.
    async fn lowest_of_30_days(&self, context: &Context<'_>) -> async_graphql::Result<MoneyObject> {
        let loader = context.data::<DataLoader<Loader>>()?;
        let sales = loader.load_one(SalesOf(self.sku.clone())).await?;
        let (product, variant) = sales.as_ref().map_or((&[][..], &[][..]), |sales| (&sales.product, &sales.variant));
        let list = PriceList { channel: self.channel.clone(), currency: self.currency, changes: self.changes.clone() };
        let prior = list.prior_price([product, variant], context.data::<Now>()?.time());
        Ok(prior.unwrap_or_else(|| self.money()).into())
    }
}
