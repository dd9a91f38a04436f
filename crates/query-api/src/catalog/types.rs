//! Products, their variants and prices, and the tree of categories.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use daybook_domain::{Currency, Money, catalog::PriceList, ids::Channel};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    graphql::{
        connection::list_size,
        environment::Now,
        scalars::{Attribute, MoneyObject, money},
        weight,
    },
    inventory::AvailableOf,
    loaders::Loader,
};

/// The key of the variants of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct VariantsOf(pub(crate) Uuid);

/// The key of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CategoryOf(pub(crate) Uuid);

/// The key of the prices of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BySku(pub(super) Arc<str>);

impl BySku {
    pub(crate) fn prices(sku: &str) -> Self {
        Self(sku.into())
    }
}

/// The key of the product of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ProductOfSku(pub(crate) String);

/// A product.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Product {
    #[graphql(skip)]
    pub(crate) product_id: Uuid,
    /// The slug: the part of a URL that names the product.
    slug: Option<String>,
    /// The name.
    pub(crate) name: String,
    /// The description.
    description: Option<String>,
    /// The brand.
    brand: Option<String>,
    /// The status: `draft`, `published` or `archived`.
    status: String,
    #[graphql(skip)]
    category_ids: Vec<Uuid>,
    #[graphql(skip)]
    attributes: BTreeMap<String, String>,
    /// When the product was created.
    pub(super) created_at: DateTime<Utc>,
    /// When the product was last changed.
    updated_at: DateTime<Utc>,
}

#[ComplexObject]
impl Product {
    /// The id of the product.
    async fn id(&self) -> ID {
        self.product_id.into()
    }

    /// Other attributes.
    #[graphql(complexity = "weight::list(weight::ATTRIBUTES, child_complexity)")]
    async fn attributes(&self) -> Vec<Attribute> {
        attributes(&self.attributes)
    }

    /// The variants, each with its SKU; at most the first ones.
    #[graphql(complexity = "weight::first(first, weight::VARIANTS, child_complexity)")]
    async fn variants(&self, context: &Context<'_>, first: Option<i32>) -> async_graphql::Result<Vec<Variant>> {
        let most = list_size(first)?;
        let loader = context.data::<DataLoader<Loader>>()?;
        let mut variants = loader.load_one(VariantsOf(self.product_id)).await?.unwrap_or_default();
        variants.truncate(most);
        Ok(variants)
    }

    /// The categories of the product.
    #[graphql(complexity = "weight::list(weight::CATEGORIES, child_complexity)")]
    async fn categories(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Category>> {
        let loader = context.data::<DataLoader<Loader>>()?;
        let mut found = loader.load_many(self.category_ids.iter().map(|id| CategoryOf(*id))).await?;
        Ok(self.category_ids.iter().filter_map(|id| found.remove(&CategoryOf(*id))).collect())
    }
}

/// A variant of a product. A SKU names it.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Variant {
    #[graphql(skip)]
    pub(super) product_id: Uuid,
    /// The SKU.
    sku: String,
    /// The name of the variant among the variants of its product.
    name: Option<String>,
    #[graphql(skip)]
    options: BTreeMap<String, String>,
}

#[ComplexObject]
impl Variant {
    /// The options, such as size and colour.
    #[graphql(complexity = "weight::list(weight::OPTIONS, child_complexity)")]
    async fn options(&self) -> Vec<Attribute> {
        attributes(&self.options)
    }

    /// The prices by channel and currency.
    #[graphql(complexity = "weight::list(weight::PRICES, child_complexity)")]
    async fn prices(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Price>> {
        let loader = context.data::<DataLoader<Loader>>()?;
        Ok(loader.load_one(BySku::prices(&self.sku)).await?.unwrap_or_default())
    }

    /// How many units are available at all locations together.
    async fn available(&self, context: &Context<'_>) -> async_graphql::Result<i64> {
        let loader = context.data::<DataLoader<Loader>>()?;
        Ok(loader.load_one(AvailableOf(self.sku.clone())).await?.unwrap_or(0))
    }
}

/// A price, and the time from which it applied.
#[derive(Debug, Clone, Deserialize)]
struct PastPrice {
    since: DateTime<Utc>,
    minor_units: i64,
}

/// The price of a SKU in a channel and currency.
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
    /// When the price began to apply.
    since: DateTime<Utc>,
    #[graphql(skip)]
    history: Vec<PastPrice>,
}

#[ComplexObject]
impl Price {
    /// The price of one unit.
    async fn price(&self) -> MoneyObject {
        money(self.minor_units, self.currency)
    }

    /// The lowest price of the last 30 days (Directive 98/6/EC, article 6a).
    async fn lowest_of_30_days(&self, context: &Context<'_>) -> async_graphql::Result<MoneyObject> {
        let now = context.data::<Now>()?.time();
        let money = |minor_units| Money { minor_units, currency: self.currency };
        let list = PriceList {
            channel: Channel::default(),
            current: money(self.minor_units),
            history: self.history.iter().map(|past| (past.since, money(past.minor_units))).collect(),
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
    /// The name.
    name: String,
}

#[ComplexObject]
impl Category {
    /// The id of the category.
    async fn id(&self) -> ID {
        self.category_id.into()
    }

    /// The id of the parent; absent for a root.
    async fn parent_id(&self) -> Option<ID> {
        self.parent_id.map(ID::from)
    }
}

/// Selects products.
#[derive(Default, InputObject)]
pub(crate) struct ProductFilter {
    /// Products of this category.
    pub(super) category_id: Option<ID>,
    /// Products of this brand.
    pub(super) brand: Option<String>,
}

/// The order of products.
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
