//! The states of the catalog: a product, a SKU, a category. That of a slug has a file of its own.

use std::{collections::BTreeMap, mem};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Event, PriceList};
use crate::{
    Currency, Fold, Money, StreamName,
    ids::{CategoryId, Channel, ProductId, Sku},
    text::{Name, Prose, Slug},
};

/// What is said of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductDetails {
    /// What it is called.
    pub name: Name,
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
    /// Its variants, in the order in which they were added.
    pub variants: Vec<Variant>,
}

impl ProductDetails {
    /// The variant of a SKU.
    #[must_use]
    pub fn variant(&self, sku: &Sku) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.sku == *sku)
    }
}

/// A variant of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its SKU.
    pub sku: Sku,
    /// What distinguishes it from the other variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its options by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<Name, Name>,
}

/// A product, in the phase of its life that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "phase", content = "details", rename_all = "snake_case")]
pub enum Product {
    /// It was never created.
    #[default]
    Absent,
    /// Not shown to customers yet.
    Draft(ProductDetails),
    /// On sale.
    Published(ProductDetails),
    /// Out of sale.
    Archived(ProductDetails),
}

impl Product {
    /// What is said of it, if it was created.
    #[must_use]
    pub const fn details(&self) -> Option<&ProductDetails> {
        match self {
            Self::Absent => None,
            Self::Draft(details) | Self::Published(details) | Self::Archived(details) => Some(details),
        }
    }

    /// Whether it is on sale.
    #[must_use]
    pub const fn is_published(&self) -> bool {
        matches!(self, Self::Published(_))
    }

    fn details_mut(&mut self) -> Option<&mut ProductDetails> {
        match self {
            Self::Absent => None,
            Self::Draft(details) | Self::Published(details) | Self::Archived(details) => Some(details),
        }
    }

    fn enter(&mut self, phase: fn(ProductDetails) -> Self) {
        *self = match mem::take(self) {
            Self::Absent => Self::Absent,
            Self::Draft(details) | Self::Published(details) | Self::Archived(details) => phase(details),
        };
    }
}

impl Fold for Product {
    type Id = ProductId;
    type Event = Event;

    fn stream(id: &ProductId) -> StreamName {
        StreamName::of("product", id)
    }

    fn evolve(&mut self, event: &Event, _at: DateTime<Utc>) {
        match event {
            Event::ProductCreated(e) => {
                *self = Self::Draft(ProductDetails {
                    name: e.name.clone(),
                    slug: e.slug.clone(),
                    description: e.description.clone(),
                    brand: e.brand.clone(),
                    categories: e.categories.clone(),
                    attributes: e.attributes.clone(),
                    variants: Vec::new(),
                });
            }
            Event::ProductRevised(e) => {
                let Some(details) = self.details_mut() else { return };
                details.name = e.name.clone();
                details.slug.clone_from(&e.slug);
                details.description.clone_from(&e.description);
                details.brand.clone_from(&e.brand);
                details.categories.clone_from(&e.categories);
                details.attributes.clone_from(&e.attributes);
            }
            Event::VariantAdded(e) => {
                if let Some(details) = self.details_mut() {
                    let (sku, name, options) = (e.sku.clone(), e.name.clone(), e.options.clone());
                    details.variants.push(Variant { sku, name, options });
                }
            }
            Event::VariantRevised(e) => {
                let variants = self.details_mut().into_iter().flat_map(|details| &mut details.variants);
                for variant in variants.filter(|variant| variant.sku == e.sku) {
                    variant.name.clone_from(&e.name);
                    variant.options.clone_from(&e.options);
                }
            }
            Event::VariantRemoved(e) => {
                if let Some(details) = self.details_mut() {
                    details.variants.retain(|variant| variant.sku != e.sku);
                }
            }
            Event::ProductPublished(_) => self.enter(Self::Published),
            Event::ProductArchived(_) => self.enter(Self::Archived),
            Event::SkuClaimed(_)
            | Event::PriceSet(_)
            | Event::PriceRemoved(_)
            | Event::SlugClaimed(_)
            | Event::SlugForwarded(_)
            | Event::SlugReleased(_)
            | Event::CategoryCreated(_)
            | Event::CategoryRenamed(_)
            | Event::CategoryMoved(_)
            | Event::CategoryRemoved(_)
            | Event::CategoryChildChanged(_) => {}
        }
    }

    fn heap_size(&self) -> usize {
        self.details().map_or(0, |details| {
            let texts = details.description.as_ref().map_or(0, |d| d.as_str().len()) + 128;
            let options: usize = details.variants.iter().map(|variant| 128 + 96 * variant.options.len()).sum();
            texts + 16 * details.categories.len() + 96 * details.attributes.len() + options
        })
    }
}

/// A SKU: whose it is and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum SkuRecord {
    /// No product has claimed it.
    #[default]
    Free,
    /// A product has claimed it, for ever.
    Claimed {
        /// The product.
        product_id: ProductId,
        /// Its prices, one list per channel and currency.
        prices: Vec<PriceList>,
    },
}

impl SkuRecord {
    /// The product it belongs to.
    #[must_use]
    pub const fn product_id(&self) -> Option<ProductId> {
        match self {
            Self::Free => None,
            Self::Claimed { product_id, .. } => Some(*product_id),
        }
    }

    /// The price list of a channel in a currency.
    #[must_use]
    pub fn price_list(&self, channel: &Channel, currency: Currency) -> Option<&PriceList> {
        let Self::Claimed { prices, .. } = self else { return None };
        prices.iter().find(|list| list.channel == *channel && list.currency == currency)
    }

    /// The price of one unit now.
    #[must_use]
    pub fn price(&self, channel: &Channel, currency: Currency) -> Option<Money> {
        self.price_list(channel, currency).and_then(PriceList::current)
    }

    /// Sets or removes a price.
    fn change_price(&mut self, channel: &Channel, currency: Currency, price: Option<Money>, at: DateTime<Utc>) {
        let Self::Claimed { prices, .. } = self else { return };
        let own = prices.iter().position(|list| list.channel == *channel && list.currency == currency);
        let own = own.unwrap_or_else(|| {
            prices.push(PriceList::new(channel.clone(), currency));
            prices.len() - 1
        });
        prices[own].change(at, price);
    }
}

impl Fold for SkuRecord {
    type Id = Sku;
    type Event = Event;

    fn stream(id: &Sku) -> StreamName {
        StreamName::of("sku", id)
    }

    fn evolve(&mut self, event: &Event, at: DateTime<Utc>) {
        match event {
            Event::SkuClaimed(e) => *self = Self::Claimed { product_id: e.product_id, prices: Vec::new() },
            Event::PriceSet(e) => self.change_price(&e.channel, e.price.currency, Some(e.price), at),
            Event::PriceRemoved(e) => self.change_price(&e.channel, e.currency, None, at),
            Event::ProductCreated(_)
            | Event::ProductRevised(_)
            | Event::VariantAdded(_)
            | Event::VariantRevised(_)
            | Event::VariantRemoved(_)
            | Event::ProductPublished(_)
            | Event::ProductArchived(_)
            | Event::SlugClaimed(_)
            | Event::SlugForwarded(_)
            | Event::SlugReleased(_)
            | Event::CategoryCreated(_)
            | Event::CategoryRenamed(_)
            | Event::CategoryMoved(_)
            | Event::CategoryRemoved(_)
            | Event::CategoryChildChanged(_) => {}
        }
    }

    fn heap_size(&self) -> usize {
        match self {
            Self::Free => 0,
            Self::Claimed { prices, .. } => prices.iter().map(|list| 64 + 32 * list.changes.len()).sum(),
        }
    }
}

/// A node of the category tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Category {
    /// It was never created.
    #[default]
    Absent,
    /// It stands in the tree.
    Node {
        /// What it is called.
        name: Name,
        /// The category it stands under; `None` for a root.
        parent: Option<CategoryId>,
        /// Its children, each with the number of levels of its subtree.
        #[serde(default)]
        children: BTreeMap<CategoryId, usize>,
    },
    /// It was removed. What stood under it stands under its parent.
    Removed {
        /// The category it stood under; `None` for a root.
        parent: Option<CategoryId>,
        /// The categories that stood under it, each with the number of levels of its subtree.
        #[serde(default)]
        children: BTreeMap<CategoryId, usize>,
    },
}

/// The children of a category that has none.
static NO_CHILDREN: BTreeMap<CategoryId, usize> = BTreeMap::new();

impl Category {
    /// Whether it stands in the tree.
    #[must_use]
    pub const fn exists(&self) -> bool {
        matches!(self, Self::Node { .. })
    }

    /// The category that it stands under, or stood under when it was removed.
    #[must_use]
    pub const fn parent(&self) -> Option<CategoryId> {
        match self {
            Self::Absent => None,
            Self::Node { parent, .. } | Self::Removed { parent, .. } => *parent,
        }
    }

    /// Its children, each with the number of levels of its subtree. Children from before heights were written are missing, until
    /// something changes below them.
    #[must_use]
    pub const fn children(&self) -> &BTreeMap<CategoryId, usize> {
        match self {
            Self::Absent => &NO_CHILDREN,
            Self::Node { children, .. } | Self::Removed { children, .. } => children,
        }
    }

    /// How many levels it is itself: none once it was removed.
    #[must_use]
    pub const fn own_levels(&self) -> usize {
        if self.exists() { 1 } else { 0 }
    }

    /// How many levels its subtree has, its own included.
    #[must_use]
    pub fn height(&self) -> usize {
        self.own_levels() + self.children().values().max().copied().unwrap_or(0)
    }
}

impl Fold for Category {
    type Id = CategoryId;
    type Event = Event;

    fn stream(id: &CategoryId) -> StreamName {
        StreamName::of("category", id)
    }

    fn evolve(&mut self, event: &Event, _at: DateTime<Utc>) {
        match event {
            Event::CategoryCreated(e) => {
                *self = Self::Node { name: e.name.clone(), parent: e.parent, children: BTreeMap::new() };
            }
            Event::CategoryRenamed(e) => {
                if let Self::Node { name, .. } = self {
                    *name = e.name.clone();
                }
            }
            Event::CategoryMoved(e) => {
                if let Self::Node { parent, .. } = self {
                    *parent = e.parent;
                }
            }
            Event::CategoryRemoved(_) => {
                if let Self::Node { parent, children, .. } = self {
                    *self = Self::Removed { parent: *parent, children: mem::take(children) };
                }
            }
            Event::CategoryChildChanged(e) => {
                if let Self::Node { children, .. } | Self::Removed { children, .. } = self {
                    match e.height {
                        Some(height) => children.insert(e.child_id, height),
                        None => children.remove(&e.child_id),
                    };
                }
            }
            Event::ProductCreated(_)
            | Event::ProductRevised(_)
            | Event::VariantAdded(_)
            | Event::VariantRevised(_)
            | Event::VariantRemoved(_)
            | Event::ProductPublished(_)
            | Event::ProductArchived(_)
            | Event::SkuClaimed(_)
            | Event::PriceSet(_)
            | Event::PriceRemoved(_)
            | Event::SlugClaimed(_)
            | Event::SlugForwarded(_)
            | Event::SlugReleased(_) => {}
        }
    }

    fn heap_size(&self) -> usize {
        48 * self.children().len()
    }
}
