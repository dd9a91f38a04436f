//! Products, their variants and prices, and the tree of categories.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use daybook_domain::{Currency, Money, catalog::PriceList, ids::Channel};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    graphql::{
        environment::Now,
        scalars::{Attribute, MoneyObject, money},
    },
    inventory::AvailableOf,
    loaders::Loader,
};

/// The variants of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct VariantsOf(pub(crate) Uuid);

/// A category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CategoryOf(pub(crate) Uuid);

/// What is known of a SKU: its prices.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BySku(pub(super) Arc<str>);

impl BySku {
    pub(crate) fn prices(sku: &str) -> Self {
        Self(sku.into())
    }
}

/// The product that a SKU belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ProductOfSku(pub(crate) String);

/// A product.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Product {
    #[graphql(skip)]
    pub(crate) product_id: Uuid,
    /// Its part of a URL.
    slug: Option<String>,
    /// What it is called.
    pub(crate) name: String,
    /// What it is.
    description: Option<String>,
    /// Whose brand it is.
    brand: Option<String>,
    /// `draft`, `published` or `archived`.
    status: String,
    #[graphql(skip)]
    category_ids: Vec<Uuid>,
    #[graphql(skip)]
    attributes: BTreeMap<String, String>,
    /// When it was created.
    pub(super) created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

#[ComplexObject]
impl Product {
    /// Its id.
    async fn id(&self) -> ID {
        self.product_id.into()
    }

    /// Anything else that is said of it.
    async fn attributes(&self) -> Vec<Attribute> {
        attributes(&self.attributes)
    }

    /// What can be bought of it.
    async fn variants(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Variant>> {
        let loader = context.data::<DataLoader<Loader>>()?;
        Ok(loader.load_one(VariantsOf(self.product_id)).await?.unwrap_or_default())
    }

    /// The categories it is shown in.
    async fn categories(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Category>> {
        let loader = context.data::<DataLoader<Loader>>()?;
        let mut found = loader.load_many(self.category_ids.iter().map(|id| CategoryOf(*id))).await?;
        Ok(self.category_ids.iter().filter_map(|id| found.remove(&CategoryOf(*id))).collect())
    }
}

/// A variant of a product: what a SKU names.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Variant {
    #[graphql(skip)]
    pub(super) product_id: Uuid,
    /// Its SKU.
    sku: String,
    /// What tells it from the other variants.
    name: Option<String>,
    #[graphql(skip)]
    options: BTreeMap<String, String>,
}

#[ComplexObject]
impl Variant {
    /// Its options, such as size and colour.
    async fn options(&self) -> Vec<Attribute> {
        attributes(&self.options)
    }

    /// What it costs, by channel and currency.
    async fn prices(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Price>> {
        let loader = context.data::<DataLoader<Loader>>()?;
        Ok(loader.load_one(BySku::prices(&self.sku)).await?.unwrap_or_default())
    }

    /// How many can be had at all locations together.
    async fn available(&self, context: &Context<'_>) -> async_graphql::Result<i64> {
        let loader = context.data::<DataLoader<Loader>>()?;
        Ok(loader.load_one(AvailableOf(self.sku.clone())).await?.unwrap_or(0))
    }
}

/// A price that was asked from a time on.
#[derive(Debug, Clone, Deserialize)]
struct Asked {
    since: DateTime<Utc>,
    minor_units: i64,
}

/// What a SKU costs in a channel and currency.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Price {
    #[graphql(skip)]
    pub(super) sku: String,
    /// The channel.
    pub(crate) channel: String,
    #[graphql(skip)]
    pub(crate) currency: Currency,
    #[graphql(skip)]
    pub(crate) minor_units: i64,
    /// Since when.
    since: DateTime<Utc>,
    #[graphql(skip)]
    history: Vec<Asked>,
}

#[ComplexObject]
impl Price {
    /// The price of one unit.
    async fn price(&self) -> MoneyObject {
        money(self.minor_units, self.currency)
    }

    /// The lowest price that was asked in the last 30 days (Directive 98/6/EC, article 6a).
    async fn lowest_of_30_days(&self, context: &Context<'_>) -> async_graphql::Result<MoneyObject> {
        let now = (context.data::<Now>()?.0)();
        let money = |minor_units| Money { minor_units, currency: self.currency };
        let list = PriceList {
            channel: Channel::default(),
            current: money(self.minor_units),
            history: self.history.iter().map(|asked| (asked.since, money(asked.minor_units))).collect(),
        };
        Ok(list.lowest(now).into())
    }
}

/// A node of the category tree.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Category {
    #[graphql(skip)]
    pub(super) category_id: Uuid,
    #[graphql(skip)]
    parent_id: Option<Uuid>,
    /// What it is called.
    name: String,
}

#[ComplexObject]
impl Category {
    /// Its id.
    async fn id(&self) -> ID {
        self.category_id.into()
    }

    /// The category it stands under.
    async fn parent_id(&self) -> Option<ID> {
        self.parent_id.map(ID::from)
    }
}

/// Which products.
#[derive(Default, InputObject)]
pub(crate) struct ProductFilter {
    /// Those shown in this category.
    pub(super) category_id: Option<ID>,
    /// Those of this brand.
    pub(super) brand: Option<String>,
}

/// In which order.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ProductSort {
    /// By name.
    Name,
    /// The newest first.
    Newest,
}

fn attributes(all: &BTreeMap<String, String>) -> Vec<Attribute> {
    all.iter().map(|(name, value)| Attribute { name: name.clone(), value: value.clone() }).collect()
}
