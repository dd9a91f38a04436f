//! Whether and how a SKU can be bought, as the domain says: storefronts and carts show what a checkout decides.

use async_graphql::{Context, SimpleObject, dataloader::DataLoader};
use daybook_domain::{
    Actor, Currency, Money, Quantity, Refusal, Storefront,
    catalog::Sale,
    ids::{Channel, LocationId, Sku},
    inventory::{self, Demand, Line, StockLevel, Supply},
};

use super::prices::{BySku, Price};
use crate::{
    graphql::{
        environment::Served,
        scalars::{Long, MoneyObject},
        user_error::UserError,
        viewer::viewer,
        weight,
    },
    inventory::StockOf,
    loaders::Loader,
};

/// Whether and how a quantity of a SKU can be bought.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Availability {
    /// How many units can be had without a backorder: the most that one location has, since all units of a line come from one. Never
    /// negative, and 0 for what is not for sale.
    available: Long,
    /// Whether the quantity can be ordered now, in stock or on backorder.
    orderable: bool,
    /// Whether more units can be ordered than are available.
    backorder: bool,
    /// The price of one unit.
    price: Option<MoneyObject>,
    /// Where the quantity would come from; empty when it cannot be ordered.
    #[graphql(complexity = "weight::list(weight::PARTS, child_complexity)")]
    parts: Vec<AvailabilityPart>,
    /// Every reason why the quantity cannot be ordered; empty when it can.
    #[graphql(complexity = "weight::list(weight::PROBLEMS, child_complexity)")]
    problems: Vec<UserError>,
}

/// A part of a quantity that comes from one location.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct AvailabilityPart {
    /// The location.
    location: String,
    /// How many units.
    quantity: Long,
    /// How many of them are not there yet.
    backordered: Long,
}

impl From<inventory::Availability> for Availability {
    fn from(found: inventory::Availability) -> Self {
        let part = |part: inventory::Part| AvailabilityPart {
            location: part.location.to_string(),
            quantity: Long(part.quantity.into()),
            backordered: Long(part.backordered.into()),
        };
        Self {
            available: Long(found.available),
            orderable: found.is_orderable(),
            backorder: found.backorder,
            price: found.price.map(MoneyObject::from),
            parts: found.parts.into_iter().map(part).collect(),
            problems: found.problems.iter().map(|problem| UserError::of_refusal(problem, None)).collect(),
        }
    }
}

/// The buyer, and what the storefront serves.
pub(crate) struct Buyer<'c> {
    actor: &'c Actor,
    pub(crate) storefront: &'c Storefront,
}

impl<'c> Buyer<'c> {
    pub(crate) fn of(context: &Context<'c>) -> async_graphql::Result<Self> {
        Ok(Self { actor: &viewer(context)?.actor, storefront: &context.data::<Served>()?.0 })
    }

    /// Whether the viewer sees the prices of a channel. Staff see all.
    pub(crate) fn sees(&self, channel: &Channel) -> bool {
        !self.actor.is_buyer() || self.storefront.channels.contains(channel)
    }

    /// The channel that is meant where none is named.
    pub(crate) fn default_channel(&self) -> Channel {
        self.storefront.default_channel()
    }

    /// Whether the viewer sees the product of something with this status. Staff see all.
    pub(crate) fn sees_product(&self, sale: Sale) -> bool {
        !self.actor.is_buyer() || sale == Sale::OnSale
    }

    /// Asks for a SKU.
    pub(crate) fn ask(&self, asked: &Asked<'_>, supply: &Known) -> inventory::Availability {
        let demand = Demand {
            sku: asked.sku,
            quantity: asked.quantity,
            channel: asked.channel,
            currency: asked.currency,
            locations: asked.locations,
            actor: self.actor,
            storefront: self.storefront,
            line: asked.line,
        };
        let Known { sale, price, stocks } = supply;
        inventory::availability(&demand, &Supply { sale: *sale, price: *price, stocks: Some(stocks) })
    }
}

/// What is asked for.
pub(crate) struct Asked<'a> {
    pub(crate) sku: &'a Sku,
    pub(crate) quantity: Quantity,
    pub(crate) channel: &'a Channel,
    pub(crate) currency: Option<Currency>,
    pub(crate) locations: &'a [LocationId],
    pub(crate) line: Line,
}

/// What the views know of a SKU.
pub(crate) struct Known {
    pub(crate) sale: Sale,
    pub(crate) price: Option<Money>,
    pub(crate) stocks: Vec<(LocationId, StockLevel)>,
}

impl Known {
    /// The price of a channel, in a currency or in any.
    pub(crate) fn price_of(prices: &[Price], channel: &Channel, currency: Option<Currency>) -> Option<Money> {
        let own = |price: &&Price| price.channel == *channel && currency.is_none_or(|wanted| price.currency == wanted);
        prices.iter().find(own).map(Price::money)
    }
}

/// Asks the views for a SKU of which it is known whether it is on sale.
pub(super) async fn ask_views(
    context: &Context<'_>,
    asked: &Asked<'_>,
    sale: Sale,
) -> async_graphql::Result<inventory::Availability> {
    let loader = context.data::<DataLoader<Loader>>()?;
    let prices = loader.load_one(BySku::prices(asked.sku.as_str()));
    let stocks = loader.load_one(StockOf(asked.sku.to_string()));
    let (prices, stocks) = futures::try_join!(prices, stocks)?;
    let price = Known::price_of(&prices.unwrap_or_default(), asked.channel, asked.currency);
    Ok(Buyer::of(context)?.ask(asked, &Known { sale, price, stocks: stocks.unwrap_or_default() }))
}

/// Asks the views for the stock of a SKU alone. The answer has no price, and says so as a problem.
pub(super) async fn ask_stock(
    context: &Context<'_>,
    asked: &Asked<'_>,
    sale: Sale,
) -> async_graphql::Result<inventory::Availability> {
    let loader = context.data::<DataLoader<Loader>>()?;
    let stocks = loader.load_one(StockOf(asked.sku.to_string())).await?.unwrap_or_default();
    Ok(Buyer::of(context)?.ask(asked, &Known { sale, price: None, stocks }))
}

/// The refusals of a line of a cart, each with the path to the line.
pub(crate) fn of_line(problems: &[Refusal], line: usize) -> Vec<UserError> {
    let path = format!("/lines/{line}");
    problems.iter().map(|problem| UserError::of_refusal(problem, Some(&path))).collect()
}
