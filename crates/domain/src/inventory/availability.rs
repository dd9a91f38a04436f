//! Whether and how a SKU can be bought: one function, which storefronts, carts, quotes and checkout ask. So nothing is shown as
//! available that a decision refuses, and nothing is refused that was shown as available.

use daybook_kernel::refusals;

use crate::{
    Actor, Currency, Money, Quantity, Refusal, Storefront,
    amount::line_total,
    catalog::{Sale, UnknownSku},
    general::{AmountOverflow, LocationNotServed},
    ids::{Channel, LocationId, Sku},
};

refusals! {
    /// The SKU is not on sale.
    "not_on_sale" NotOnSale: Rule at "sku" = "SKU {sku} is not on sale", {
        /// The SKU.
        sku: Sku,
        /// Why not.
        because: Sale,
        /// The index of the line in the command, where it has lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    }
    /// What a cart holds went out of sale.
    "no_longer_on_sale" NoLongerOnSale: Rule at "sku" or "cart_id" = "SKU {sku} is not on sale any more", {
        /// The SKU.
        sku: Sku,
        /// Why not.
        because: Sale,
        /// The index of the line in the cart.
        line: usize,
    }
    /// The SKU has no price in the channel, or none in the currency.
    "no_price" NoPrice: Rule at "sku" or "cart_id" = "SKU {sku} has no price{} in channel {channel}"
        (currency.map_or_else(String::new, |currency| format!(" in {currency}"))), {
        /// The SKU.
        sku: Sku,
        /// The currency, where one was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        currency: Option<Currency>,
        /// The channel.
        channel: Channel,
        /// The index of the line in the command or the cart, where it has lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    }
    /// There is less than was asked for.
    "insufficient_stock" InsufficientStock: Rule at "quantity" or "delta" or "cart_id"
        = "{requested} of {sku} were asked for; {available} are available", {
        /// The SKU.
        sku: Sku,
        /// How many were asked for.
        requested: u32,
        /// The most that one of the locations could give; never negative.
        available: i64,
        /// The locations that were asked.
        locations: Vec<LocationId>,
        /// The index of the line in the cart, where it is a line of one.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    }
}

/// How much of a SKU a location holds at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StockLevel {
    /// How many units are there.
    pub on_hand: i64,
    /// How many are claimed, those included whose time is over.
    pub reserved: i64,
    /// How many of the claimed ones have a claim whose time is over.
    pub lapsed: i64,
    /// Whether more may be sold than are there.
    pub backorders: bool,
}

impl StockLevel {
    /// How many units are claimed. Claims whose time is over do not count, whether an event has ended them or not.
    #[must_use]
    pub const fn claimed(self) -> i64 {
        self.reserved.saturating_sub(self.lapsed)
    }

    /// How many units are there beyond the claimed ones. Negative after an oversale by backorder.
    #[must_use]
    pub const fn free(self) -> i64 {
        self.on_hand.saturating_sub(self.claimed())
    }

    /// How many units can be had without a backorder; never negative.
    #[must_use]
    pub const fn available(self) -> i64 {
        if self.free() > 0 { self.free() } else { 0 }
    }
}

/// The line that is asked for, so that a refusal can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// None: a storefront asks.
    None,
    /// A line of a command.
    OfCommand(usize),
    /// A line of a cart: it was on sale when it was added.
    OfCart(usize),
}

impl Line {
    /// The index of the line.
    #[must_use]
    pub const fn index(self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::OfCommand(index) | Self::OfCart(index) => Some(index),
        }
    }
}

/// What is to be bought, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// The SKU.
    pub sku: &'a Sku,
    /// How many units.
    pub quantity: Quantity,
    /// The channel whose prices hold.
    pub channel: &'a Channel,
    /// The currency of the price; any when absent.
    pub currency: Option<Currency>,
    /// Where the goods may come from, in the order of preference.
    pub locations: &'a [LocationId],
    /// The buyer, or staff that buys for one.
    pub actor: &'a Actor,
    /// What the storefront serves.
    pub storefront: &'a Storefront,
    /// The line that is asked for.
    pub line: Line,
}

/// What is known of a SKU at a time.
#[derive(Debug, Clone, Copy)]
pub struct Supply<'a> {
    /// Whether it is on sale.
    pub sale: Sale,
    /// Its price in the channel and the currency.
    pub price: Option<Money>,
    /// Its stock by location; a location that is not named has none. None where stock is not asked for, as by a cart that is filled.
    pub stocks: Option<&'a [(LocationId, StockLevel)]>,
}

/// A part of a quantity that comes from one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The location.
    pub location: LocationId,
    /// How many units.
    pub quantity: u32,
    /// How many of them are not there yet.
    pub backordered: u32,
}

/// Whether and how a SKU can be bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// How many units can be had at once, without a backorder: the most that one location can give, since all units of a line come from
    /// one. Never negative, and 0 for what is not on sale.
    pub available: i64,
    /// Whether more than that can be ordered.
    pub backorder: bool,
    /// The price of one unit.
    pub price: Option<Money>,
    /// Where the quantity comes from; empty when it cannot be bought. A line comes from one location today, so there is one part.
    pub parts: Vec<Part>,
    /// Every reason why it cannot be bought; empty when it can.
    pub problems: Vec<Refusal>,
}

impl Availability {
    /// Whether the quantity can be bought.
    #[must_use]
    pub const fn is_orderable(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Says whether and how a SKU can be bought, and every reason why not.
#[must_use]
pub fn availability(demand: &Demand<'_>, supply: &Supply<'_>) -> Availability {
    let Supply { sale, price, stocks } = *supply;
    let mut problems: Vec<Refusal> = Vec::new();
    problems.extend(demand.not_on_sale(sale));
    // A draft has no price yet.
    if price.is_none() && sale.is_public() {
        let (sku, currency, channel) = (demand.sku.clone(), demand.currency, demand.channel.clone());
        problems.push(NoPrice { sku, currency, channel, line: demand.line.index() }.into());
    }
    if sale.is_public() && price.is_some_and(|price| line_total(price, demand.quantity).is_err()) {
        problems.push(AmountOverflow { line: demand.line.index() }.into());
    }
    problems.extend(demand.not_served().map(Refusal::from));
    let sources = stocks.filter(|_| sale == Sale::OnSale).map(|stocks| demand.sources(stocks));
    let of_sources = sources.as_deref().unwrap_or_default();
    let available = of_sources.iter().map(|(_, level)| level.available()).max().unwrap_or(0);
    let backorder = of_sources.iter().any(|(_, level)| level.backorders);
    let part = sources.as_deref().and_then(|sources| demand.part(sources));
    if sources.is_some() && part.is_none() {
        let (sku, requested, locations) = (demand.sku.clone(), demand.quantity.units(), demand.locations.to_vec());
        problems.push(InsufficientStock { sku, requested, available, locations, line: demand.line.index() }.into());
    }
    let parts = if problems.is_empty() { part.into_iter().collect() } else { Vec::new() };
    Availability { available, backorder, price, parts, problems }
}

impl Demand<'_> {
    fn not_on_sale(&self, sale: Sale) -> Option<Refusal> {
        let (sku, because) = (self.sku.clone(), sale);
        if sale == Sale::OnSale {
            return None;
        }
        Some(match self.line {
            Line::OfCart(line) => NoLongerOnSale { sku, because, line }.into(),
            _ if sale == Sale::Unknown || (self.actor.is_buyer() && !sale.is_public()) => {
                UnknownSku { sku, line: self.line.index() }.into()
            }
            _ => NotOnSale { sku, because, line: self.line.index() }.into(),
        })
    }

    /// The locations that the storefront does not serve. Staff may name any.
    fn not_served(&self) -> impl Iterator<Item = LocationNotServed> {
        let served = self.storefront.locations.as_ref().filter(|_| self.actor.is_buyer());
        let named = self.locations.iter().enumerate();
        served.into_iter().flat_map(move |served| {
            let others = named.clone().filter(|(_, location)| !served.contains(location));
            others.map(|(index, location)| LocationNotServed {
                location: location.clone(),
                index,
                served: served.clone(),
            })
        })
    }

    /// The stock at each location that may be asked, in the order of preference.
    fn sources<'s>(&'s self, stocks: &[(LocationId, StockLevel)]) -> Vec<(&'s LocationId, StockLevel)> {
        let level = |location: &LocationId| {
            let known = stocks.iter().find(|(at, _)| at == location);
            known.map_or_else(StockLevel::default, |(_, level)| *level)
        };
        let may_ask = |location: &&LocationId| self.storefront.serves(self.actor, location);
        self.locations.iter().filter(may_ask).map(|location| (location, level(location))).collect()
    }

    /// Where all units come from: the first location that has them, or else the first that takes backorders.
    fn part(&self, sources: &[(&LocationId, StockLevel)]) -> Option<Part> {
        let wanted = self.quantity.signed();
        let has_all = sources.iter().find(|(_, level)| level.available() >= wanted);
        let (location, level) = has_all.or_else(|| sources.iter().find(|(_, level)| level.backorders))?;
        // It is not negative, and at most the quantity.
        let backordered = u32::try_from(wanted.saturating_sub(level.available())).unwrap_or(0);
        Some(Part { location: (*location).clone(), quantity: self.quantity.units(), backordered })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(on_hand: i64, reserved: i64, lapsed: i64, backorders: bool) -> StockLevel {
        StockLevel { on_hand, reserved, lapsed, backorders }
    }

    fn locations(names: &[&str]) -> Vec<LocationId> {
        names.iter().map(|name| name.parse().expect("a location")).collect()
    }

    /// What is said of a quantity of something for 1.00 EUR at locations with these stocks.
    fn asked(quantity: i64, sale: Sale, price: Option<i64>, stocks: &[(&str, StockLevel)]) -> Availability {
        let euro: Currency = "EUR".parse().expect("a currency");
        let names: Vec<_> = stocks.iter().map(|(name, _)| *name).collect();
        let locations = locations(&names);
        let stocks: Vec<_> = locations.iter().cloned().zip(stocks.iter().map(|(_, level)| *level)).collect();
        let storefront = Storefront::default();
        let demand = Demand {
            sku: &"a".parse().expect("a SKU"),
            quantity: Quantity::new(quantity).expect("a quantity"),
            channel: &Channel::default(),
            currency: Some(euro),
            locations: &locations,
            actor: &Actor::Guest,
            storefront: &storefront,
            line: Line::None,
        };
        let price = price.map(|minor_units| Money::new(minor_units, euro));
        availability(&demand, &Supply { sale, price, stocks: Some(&stocks) })
    }

    fn codes(availability: &Availability) -> Vec<&'static str> {
        availability.problems.iter().map(Refusal::code).collect()
    }

    #[test]
    fn claims_whose_time_is_over_do_not_count_and_nothing_is_less_than_nothing() {
        assert_eq!((level(5, 3, 0, false).available(), level(5, 3, 2, false).available()), (2, 4));
        assert_eq!((level(1, 4, 0, true).free(), level(1, 4, 0, true).available()), (-3, 0));
    }

    #[test]
    fn goods_come_from_the_first_location_that_has_all_of_them() {
        let stocks =
            [("main", level(1, 0, 0, false)), ("shop", level(5, 0, 0, false)), ("fair", level(9, 0, 0, false))];
        let found = asked(2, Sale::OnSale, Some(100), &stocks);
        assert_eq!((found.available, found.backorder, found.is_orderable()), (9, false, true));
        let part =
            |location: &str, backordered| Part { location: location.parse().expect("valid"), quantity: 2, backordered };
        assert_eq!(found.parts, [part("shop", 0)]);
        let short = asked(10, Sale::OnSale, Some(100), &stocks);
        assert_eq!((short.available, codes(&short), short.parts.len()), (9, vec!["insufficient_stock"], 0));
        let backorder = [("main", level(1, 3, 0, true)), ("shop", level(1, 0, 0, false))];
        let found = asked(2, Sale::OnSale, Some(100), &backorder);
        assert_eq!((found.available, found.backorder, found.parts), (1, true, vec![part("main", 2)]));
        assert_eq!(
            asked(1, Sale::OnSale, Some(100), &backorder).parts[0].location.as_str(),
            "shop",
            "what is there first"
        );
    }

    #[test]
    fn a_line_comes_to_what_can_be_counted() {
        let stocks = [("main", level(0, 0, 0, true))];
        assert!(asked(10_000_000, Sale::OnSale, Some(1_000_000), &stocks).is_orderable());
        for (quantity, price) in [(10_000_000, 1_000_001), (10_000_000, i64::MAX)] {
            assert_eq!(codes(&asked(quantity, Sale::OnSale, Some(price), &stocks)), ["amount_overflow"]);
        }
        assert_eq!(codes(&asked(10_000_000, Sale::Draft, Some(i64::MAX), &stocks)), ["unknown_sku"]);
    }

    #[test]
    fn every_reason_is_given_and_a_draft_does_not_exist_for_buyers() {
        let none = [("main", level(0, 0, 0, false))];
        let all = asked(1, Sale::OnSale, None, &none);
        assert_eq!(codes(&all), ["no_price", "insufficient_stock"]);
        let archived = asked(1, Sale::Archived, None, &[("main", level(5, 0, 0, false))]);
        assert_eq!((codes(&archived), archived.available), (vec!["not_on_sale", "no_price"], 0));
        assert_eq!(codes(&asked(1, Sale::Unknown, None, &none)), ["unknown_sku"]);
        assert_eq!(codes(&asked(1, Sale::Draft, Some(1), &none)), ["unknown_sku"]);
    }
}
