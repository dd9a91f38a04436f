//! What the catalog's streams come to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Currency, Event, Fold, Money, State, StreamName,
    ids::{CategoryId, Channel, ProductId, Sku},
    text::{Name, Prose, Slug},
};

/// How far a product is on its way to customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductStatus {
    /// It was never created.
    #[default]
    Absent,
    /// Not shown to customers yet.
    Draft,
    /// On sale.
    Published,
    /// Out of sale.
    Archived,
}

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Product {
    /// How far it is on its way to customers.
    pub status: ProductStatus,
    /// What it is called; there is a name once it was created.
    pub name: Option<Name>,
    /// Its part of a URL.
    pub slug: Option<Slug>,
    /// What it is.
    pub description: Option<Prose>,
    /// Whose brand it is.
    pub brand: Option<Name>,
    /// The categories it is shown in.
    pub categories: Vec<CategoryId>,
    /// Anything else that is said of it.
    pub attributes: BTreeMap<Name, Name>,
    /// The SKUs of its variants.
    pub skus: Vec<Sku>,
}

impl Fold for Product {
    type Id = ProductId;

    fn stream(id: &ProductId) -> StreamName {
        StreamName::of("product", id)
    }

    fn evolve(&mut self, event: &Event, _at: DateTime<Utc>) {
        match event {
            Event::ProductCreated(e) => {
                *self = Self {
                    status: ProductStatus::Draft,
                    name: Some(e.name.clone()),
                    slug: e.slug.clone(),
                    description: e.description.clone(),
                    brand: e.brand.clone(),
                    categories: e.categories.clone(),
                    attributes: e.attributes.clone(),
                    skus: Vec::new(),
                }
            }
            Event::ProductRevised(e) => {
                self.name = Some(e.name.clone());
                self.slug.clone_from(&e.slug);
                self.description.clone_from(&e.description);
                self.brand.clone_from(&e.brand);
                self.categories.clone_from(&e.categories);
                self.attributes.clone_from(&e.attributes);
            }
            Event::VariantAdded(e) => self.skus.push(e.sku.clone()),
            Event::ProductPublished(_) => self.status = ProductStatus::Published,
            Event::ProductArchived(_) => self.status = ProductStatus::Archived,
            _ => {}
        }
    }

    fn of(state: &State) -> Option<&Self> {
        match state {
            State::Product(product) => Some(product),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        let texts = self.description.as_ref().map_or(0, |d| d.as_str().len()) + 128;
        texts + 16 * self.categories.len() + 96 * self.attributes.len() + 48 * self.skus.len()
    }
}

/// What one channel asks for a SKU in one currency, now and before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// The channel.
    pub channel: Channel,
    /// The price now.
    pub current: Money,
    /// Since when which price was asked, oldest first; the last one is the current one. Bounded to what the lowest price of
    /// the last 30 days needs.
    pub history: Vec<(DateTime<Utc>, Money)>,
}

impl PriceList {
    /// For how long back the lowest price has to be told (Directive 98/6/EC, article 6a).
    pub const LOOK_BACK: chrono::TimeDelta = chrono::TimeDelta::days(30);

    /// The lowest price that was asked at any time in the 30 days up to `now`.
    #[must_use]
    pub fn lowest(&self, now: DateTime<Utc>) -> Money {
        let start = Self::in_force_from(&self.history, now);
        let asked = self.history.iter().skip(start).filter(|(since, _)| *since <= now);
        asked.map(|(_, price)| *price).min_by_key(|price| price.minor_units).unwrap_or(self.current)
    }

    fn set(&mut self, price: Money, at: DateTime<Utc>) {
        self.current = price;
        self.history.push((at, price));
        self.history.drain(..Self::in_force_from(&self.history, at));
    }

    /// The index of the price that was in force when the look-back from `now` begins.
    fn in_force_from(history: &[(DateTime<Utc>, Money)], now: DateTime<Utc>) -> usize {
        let begin = now.checked_sub_signed(Self::LOOK_BACK).unwrap_or(DateTime::<Utc>::MIN_UTC);
        history.iter().rposition(|(since, _)| *since <= begin).unwrap_or(0)
    }
}

/// What the book knows of a SKU: whose it is and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SkuRecord {
    /// The product it belongs to; `None` while nobody has claimed it.
    pub product_id: Option<ProductId>,
    /// Its prices, one list per channel and currency.
    pub prices: Vec<PriceList>,
}

impl SkuRecord {
    /// The price list of a channel in a currency.
    #[must_use]
    pub fn price_list(&self, channel: &Channel, currency: Currency) -> Option<&PriceList> {
        self.prices.iter().find(|list| list.channel == *channel && list.current.currency == currency)
    }

    /// The price of one unit now.
    #[must_use]
    pub fn price(&self, channel: &Channel, currency: Currency) -> Option<Money> {
        self.price_list(channel, currency).map(|list| list.current)
    }
}

impl Fold for SkuRecord {
    type Id = Sku;

    fn stream(id: &Sku) -> StreamName {
        StreamName::of("sku", id)
    }

    fn evolve(&mut self, event: &Event, at: DateTime<Utc>) {
        match event {
            Event::SkuClaimed(e) => self.product_id = Some(e.product_id),
            Event::PriceSet(e) => {
                let same =
                    |list: &&mut PriceList| list.channel == e.channel && list.current.currency == e.price.currency;
                match self.prices.iter_mut().find(same) {
                    Some(list) => list.set(e.price, at),
                    None => self.prices.push(PriceList {
                        channel: e.channel.clone(),
                        current: e.price,
                        history: vec![(at, e.price)],
                    }),
                }
            }
            _ => {}
        }
    }

    fn of(state: &State) -> Option<&Self> {
        match state {
            State::SkuRecord(record) => Some(record),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        self.prices.iter().map(|list| 64 + 32 * list.history.len()).sum()
    }
}

/// Which product a slug leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlugClaim {
    /// The product; `None` while the slug is free.
    pub product_id: Option<ProductId>,
}

impl Fold for SlugClaim {
    type Id = Slug;

    fn stream(id: &Slug) -> StreamName {
        StreamName::of("slug", id)
    }

    fn evolve(&mut self, event: &Event, _at: DateTime<Utc>) {
        match event {
            Event::SlugClaimed(e) => self.product_id = Some(e.product_id),
            Event::SlugReleased(_) => self.product_id = None,
            _ => {}
        }
    }

    fn of(state: &State) -> Option<&Self> {
        match state {
            State::SlugClaim(claim) => Some(claim),
            _ => None,
        }
    }
}

/// A node of the category tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Category {
    /// What it is called; `None` while it does not exist.
    pub name: Option<Name>,
    /// The category it stands under; `None` for a root.
    pub parent: Option<CategoryId>,
}

impl Fold for Category {
    type Id = CategoryId;

    fn stream(id: &CategoryId) -> StreamName {
        StreamName::of("category", id)
    }

    fn evolve(&mut self, event: &Event, _at: DateTime<Utc>) {
        match event {
            Event::CategoryCreated(e) => *self = Self { name: Some(e.name.clone()), parent: e.parent },
            Event::CategoryMoved(e) => self.parent = e.parent,
            _ => {}
        }
    }

    fn of(state: &State) -> Option<&Self> {
        match state {
            State::Category(category) => Some(category),
            _ => None,
        }
    }
}
