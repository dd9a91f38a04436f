//! The states of the catalog: a product, a SKU, a slug, a category.

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
    /// The SKUs of its variants.
    pub skus: Vec<Sku>,
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
                    skus: Vec::new(),
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
                    details.skus.push(e.sku.clone());
                }
            }
            Event::ProductPublished(_) => self.enter(Self::Published),
            Event::ProductArchived(_) => self.enter(Self::Archived),
            Event::SkuClaimed(_)
            | Event::PriceSet(_)
            | Event::SlugClaimed(_)
            | Event::SlugReleased(_)
            | Event::CategoryCreated(_)
            | Event::CategoryMoved(_)
            | Event::CategoryChildChanged(_) => {}
        }
    }

    fn heap_size(&self) -> usize {
        self.details().map_or(0, |details| {
            let texts = details.description.as_ref().map_or(0, |d| d.as_str().len()) + 128;
            texts + 16 * details.categories.len() + 96 * details.attributes.len() + 48 * details.skus.len()
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
        prices.iter().find(|list| list.channel == *channel && list.current.currency == currency)
    }

    /// The price of one unit now.
    #[must_use]
    pub fn price(&self, channel: &Channel, currency: Currency) -> Option<Money> {
        self.price_list(channel, currency).map(|list| list.current)
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
            Event::PriceSet(e) => {
                let Self::Claimed { prices, .. } = self else { return };
                let same =
                    |list: &&mut PriceList| list.channel == e.channel && list.current.currency == e.price.currency;
                match prices.iter_mut().find(same) {
                    Some(list) => list.set(e.price, at),
                    None => prices.push(PriceList::new(e.channel.clone(), e.price, at)),
                }
            }
            Event::ProductCreated(_)
            | Event::ProductRevised(_)
            | Event::VariantAdded(_)
            | Event::ProductPublished(_)
            | Event::ProductArchived(_)
            | Event::SlugClaimed(_)
            | Event::SlugReleased(_)
            | Event::CategoryCreated(_)
            | Event::CategoryMoved(_)
            | Event::CategoryChildChanged(_) => {}
        }
    }

    fn heap_size(&self) -> usize {
        match self {
            Self::Free => 0,
            Self::Claimed { prices, .. } => prices.iter().map(|list| 64 + 32 * list.history.len()).sum(),
        }
    }
}

/// A slug: which product it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum SlugClaim {
    /// It leads nowhere and may be claimed.
    #[default]
    Free,
    /// It leads to a product.
    Claimed {
        /// The product.
        product_id: ProductId,
    },
}

impl SlugClaim {
    /// The product that it leads to.
    #[must_use]
    pub const fn product_id(&self) -> Option<ProductId> {
        match self {
            Self::Free => None,
            Self::Claimed { product_id } => Some(*product_id),
        }
    }
}

impl Fold for SlugClaim {
    type Id = Slug;
    type Event = Event;

    fn stream(id: &Slug) -> StreamName {
        StreamName::of("slug", id)
    }

    fn evolve(&mut self, event: &Event, _at: DateTime<Utc>) {
        match event {
            Event::SlugClaimed(e) => *self = Self::Claimed { product_id: e.product_id },
            Event::SlugReleased(_) => *self = Self::Free,
            Event::ProductCreated(_)
            | Event::ProductRevised(_)
            | Event::VariantAdded(_)
            | Event::ProductPublished(_)
            | Event::ProductArchived(_)
            | Event::SkuClaimed(_)
            | Event::PriceSet(_)
            | Event::CategoryCreated(_)
            | Event::CategoryMoved(_)
            | Event::CategoryChildChanged(_) => {}
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
}

/// The children of a category that has none.
static NO_CHILDREN: BTreeMap<CategoryId, usize> = BTreeMap::new();

impl Category {
    /// The category that it stands under.
    #[must_use]
    pub const fn parent(&self) -> Option<CategoryId> {
        match self {
            Self::Absent => None,
            Self::Node { parent, .. } => *parent,
        }
    }

    /// Its children, each with the number of levels of its subtree. Children from before heights were written are missing, until
    /// something changes below them.
    #[must_use]
    pub const fn children(&self) -> &BTreeMap<CategoryId, usize> {
        match self {
            Self::Absent => &NO_CHILDREN,
            Self::Node { children, .. } => children,
        }
    }

    /// How many levels its subtree has, its own included.
    #[must_use]
    pub fn height(&self) -> usize {
        1 + self.children().values().max().copied().unwrap_or(0)
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
            Event::CategoryMoved(e) => {
                if let Self::Node { parent, .. } = self {
                    *parent = e.parent;
                }
            }
            Event::CategoryChildChanged(e) => {
                if let Self::Node { children, .. } = self {
                    match e.height {
                        Some(height) => children.insert(e.child_id, height),
                        None => children.remove(&e.child_id),
                    };
                }
            }
            Event::ProductCreated(_)
            | Event::ProductRevised(_)
            | Event::VariantAdded(_)
            | Event::ProductPublished(_)
            | Event::ProductArchived(_)
            | Event::SkuClaimed(_)
            | Event::PriceSet(_)
            | Event::SlugClaimed(_)
            | Event::SlugReleased(_) => {}
        }
    }

    fn heap_size(&self) -> usize {
        48 * self.children().len()
    }
}
