//! Products, their variants, and the tree of categories.

use std::collections::BTreeMap;

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Quantity,
    catalog::Sale,
    ids::{Channel, LocationId, Sku},
    inventory::{self, Line},
    order::policy::MAX_LOCATIONS,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    availability::{Asked, Availability, Buyer, ask_stock, ask_views},
    prices::{BySku, Price},
};
use crate::{
    graphql::{
        connection::list_size,
        error::coded,
        scalars::{Attribute, Long, attributes},
        weight,
    },
    loaders::Loader,
};

/// The key of the variants of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct VariantsOf(pub(crate) Uuid);

/// The key of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CategoryOf(pub(crate) Uuid);

/// The key of the variant of a SKU with its product.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OfferOf(pub(crate) String);

/// A variant with its product.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Offer {
    pub(crate) product: Product,
    pub(crate) variant: Variant,
}

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
    pub(crate) status: String,
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
    #[graphql(complexity = "weight::first(first, weight::VARIANTS, child_complexity)?")]
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
    #[graphql(skip)]
    pub(crate) sku: Sku,
    /// The name of the variant among the variants of its product.
    pub(crate) name: Option<String>,
    #[graphql(skip)]
    options: BTreeMap<String, String>,
    #[graphql(skip)]
    removed: bool,
    /// The status of the product.
    #[graphql(skip)]
    status: String,
}

impl Variant {
    /// Whether it is on sale.
    pub(crate) fn sale(&self) -> Sale {
        sale_of(&self.status, self.removed)
    }

    /// The options, for objects that show a variant in part.
    pub(crate) fn named_options(&self) -> Vec<Attribute> {
        attributes(&self.options)
    }

    /// Asks for one unit as a checkout does that names nothing. Prices are not asked for.
    async fn stock(&self, context: &Context<'_>) -> async_graphql::Result<inventory::Availability> {
        let buyer = Buyer::of(context)?;
        let (channel, locations) = (buyer.default_channel(), buyer.storefront.locations_for(1));
        ask_stock(context, &self.asked(Quantity::ONE, &channel, None, &locations), self.sale()).await
    }

    const fn asked<'a>(
        &'a self,
        quantity: Quantity,
        channel: &'a Channel,
        currency: Option<Currency>,
        locations: &'a [LocationId],
    ) -> Asked<'a> {
        Asked { sku: &self.sku, quantity, channel, currency, locations, line: Line::None }
    }
}

/// Whether something is on sale, by the columns of its product and its variant.
pub(crate) fn sale_of(status: &str, removed: bool) -> Sale {
    match status {
        "published" if removed => Sale::Removed,
        "published" => Sale::OnSale,
        "archived" => Sale::Archived,
        _ => Sale::Draft,
    }
}

#[ComplexObject]
impl Variant {
    /// The SKU.
    async fn sku(&self) -> &str {
        self.sku.as_str()
    }

    /// The options, such as size and colour.
    #[graphql(complexity = "weight::list(weight::OPTIONS, child_complexity)")]
    async fn options(&self) -> Vec<Attribute> {
        self.named_options()
    }

    /// The prices by channel and currency. Guests and customers see the channels that the storefront serves.
    #[graphql(complexity = "weight::list(weight::PRICES, child_complexity)")]
    async fn prices(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Price>> {
        let buyer = Buyer::of(context)?;
        let loader = context.data::<DataLoader<Loader>>()?;
        let mut prices = loader.load_one(BySku::prices(self.sku.as_str())).await?.unwrap_or_default();
        prices.retain(|price| buyer.sees(&price.channel));
        Ok(prices)
    }

    /// How many units one order can have without a backorder, from one of the locations that the storefront sends goods from. Never
    /// negative.
    async fn available(&self, context: &Context<'_>) -> async_graphql::Result<Long> {
        Ok(Long(self.stock(context).await?.available))
    }

    /// Whether one unit can be ordered now, in stock or on backorder.
    async fn orderable(&self, context: &Context<'_>) -> async_graphql::Result<bool> {
        let buyer = Buyer::of(context)?;
        let (channel, locations) = (buyer.default_channel(), buyer.storefront.locations_for(1));
        let asked = self.asked(Quantity::ONE, &channel, None, &locations);
        Ok(ask_views(context, &asked, self.sale()).await?.is_orderable())
    }

    /// Whether more units can be ordered than are available.
    async fn backorder(&self, context: &Context<'_>) -> async_graphql::Result<bool> {
        Ok(self.stock(context).await?.backorder)
    }

    /// Whether and how a quantity can be ordered: what a checkout would decide now.
    async fn availability(
        &self,
        context: &Context<'_>,
        #[graphql(default = 1, desc = "How many units.")] quantity: i32,
        #[graphql(desc = "The channel whose prices hold. By default the first that the storefront serves.")]
        channel: Option<String>,
        #[graphql(desc = "The currency of the price. By default any.")] currency: Option<String>,
        #[graphql(desc = "Where the goods may come from, in the order of preference. By default as at a checkout.")]
        locations: Option<Vec<String>>,
    ) -> async_graphql::Result<Availability> {
        let quantity = Quantity::new(quantity.into()).map_err(|error| bad("quantity", &error))?;
        let channel = channel.map(Channel::new).transpose().map_err(|error| bad("channel", &error))?;
        let currency = currency.map(|code| code.parse()).transpose().map_err(|error| bad("currency", &error))?;
        let locations = locations.map(|named| named.iter().map(LocationId::new).collect::<Result<Vec<_>, _>>());
        let locations = locations.transpose().map_err(|error| bad("locations", &error))?;
        if locations.as_ref().is_some_and(|named| !(1..=MAX_LOCATIONS).contains(&named.len())) {
            return Err(bad("locations", &format!("1 to {MAX_LOCATIONS} can be named")));
        }
        let buyer = Buyer::of(context)?;
        let channel = channel.unwrap_or_else(|| buyer.default_channel());
        if !buyer.sees(&channel) {
            return Err(coded("FORBIDDEN", "the storefront does not serve this channel"));
        }
        let locations = locations.unwrap_or_else(|| buyer.storefront.locations_for(1));
        let asked = self.asked(quantity, &channel, currency, &locations);
        Ok(ask_views(context, &asked, self.sale()).await?.into())
    }
}

/// The error of an argument.
fn bad(argument: &str, error: &dyn std::fmt::Display) -> async_graphql::Error {
    coded("BAD_INPUT", format!("{argument}: {error}"))
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
#[derive(InputObject)]
pub(crate) struct ProductFilter {
    /// Products of this category and of all that stands under it.
    pub(super) category_id: Option<ID>,
    /// Whether products that stand under the category count as well; false for those of the category alone.
    #[graphql(default = true)]
    pub(super) include_subcategories: bool,
    /// Products of this brand.
    pub(super) brand: Option<String>,
}

impl Default for ProductFilter {
    fn default() -> Self {
        Self { category_id: None, include_subcategories: true, brand: None }
    }
}

/// The order of products.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ProductSort {
    /// By name.
    Name,
    /// The newest first.
    Newest,
}
