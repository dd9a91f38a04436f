//! `product`: what a product page shows; variants and prices in tables of their own, since prices are in streams of their own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Fold, Money, Slice,
    catalog::{self, PriceList, PriceSet, SkuRecord, VariantAdded},
    ids::{CategoryId, Channel, ProductId, Sku},
    text::{self, Name, Prose, Slug},
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{
        recorded::Recorded,
        store::{Row, Words},
        view::ViewSpec,
    },
    labels, row,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "product",
    slices: &[Slice::Catalog],
    tables: &[Product::TABLE, Variant::TABLE, Price::TABLE],
    revision: 3,
    project: |store, events| {
        async move {
            store.fold(events, Product::key_of, Product::fold).await?;
            store.fold(events, Variant::key_of, Variant::fold).await?;
            store.fold(events, Price::key_of, Price::fold).await?;
            Ok(())
        }
        .boxed()
    },
};

row! {
    /// A product.
    pub(in crate::views) struct Product in products {
        key ProductKey { product_id: ProductId }
        slug: Option<Slug>,
        name: Name,
        description: Option<Prose>,
        brand: Option<Name>,
        status: ProductStatus,
        category_ids: Vec<CategoryId>,
        attributes: BTreeMap<Name, Name> as jsonb,
        /// The SKUs of its variants.
        skus: Vec<Sku>,
        /// The words by which it is found.
        search: Words,
        created_at: DateTime<Utc>,
        updated_at: DateTime<Utc>,
        position: i64,
    }
    sorted { name, brand }
    indexes {
        "(slug)",
        "(name, product_id)",
        "(created_at, product_id)",
        "(brand, name, product_id) WHERE brand IS NOT NULL",
        "(brand, created_at, product_id) WHERE brand IS NOT NULL",
        "USING gin (search)",
        "USING gin (category_ids)",
    }
}

labels! {
    /// The phase of a product.
    pub(in crate::views) enum ProductStatus {
        /// Not shown to customers yet.
        Draft = "draft",
        /// On sale.
        Published = "published",
        /// Out of sale.
        Archived = "archived",
    }
}

impl Product {
    /// The product, found by its name, brand, description and SKUs.
    fn with_words(mut self) -> Self {
        let said = [self.brand.as_ref().map(Name::as_str), self.description.as_ref().map(Prose::as_str)];
        let texts = said.into_iter().flatten().chain([self.name.as_str()]).chain(self.skus.iter().map(Sku::as_str));
        self.search = Words(text::words(texts));
        self
    }

    fn key_of(recorded: &Recorded) -> Option<ProductKey> {
        let Event::Catalog(event) = &recorded.event else { return None };
        let product_id = match event {
            catalog::Event::ProductCreated(e) => e.product_id,
            catalog::Event::ProductRevised(e) => e.product_id,
            catalog::Event::ProductPublished(e) => e.product_id,
            catalog::Event::ProductArchived(e) => e.product_id,
            catalog::Event::VariantAdded(e) => e.product_id,
            catalog::Event::SkuClaimed(_)
            | catalog::Event::PriceSet(_)
            | catalog::Event::SlugClaimed(_)
            | catalog::Event::SlugReleased(_)
            | catalog::Event::CategoryCreated(_)
            | catalog::Event::CategoryMoved(_)
            | catalog::Event::CategoryChildChanged(_) => return None,
        };
        Some(ProductKey { product_id })
    }

    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let (position, at) = (recorded.record.position, recorded.record.effective_at);
        let changed = |row: Self| Self { position, updated_at: at, ..row };
        let Event::Catalog(event) = &recorded.event else { return row };
        match event {
            catalog::Event::ProductCreated(e) => Some(
                Self {
                    skus: Vec::new(),
                    search: Words::default(),
                    product_id: e.product_id,
                    slug: e.slug.clone(),
                    name: e.name.clone(),
                    description: e.description.clone(),
                    brand: e.brand.clone(),
                    status: ProductStatus::Draft,
                    category_ids: e.categories.clone(),
                    attributes: e.attributes.clone(),
                    created_at: at,
                    updated_at: at,
                    position,
                }
                .with_words(),
            ),
            catalog::Event::ProductRevised(e) => row.map(|row| {
                changed(Self {
                    slug: e.slug.clone(),
                    name: e.name.clone(),
                    description: e.description.clone(),
                    brand: e.brand.clone(),
                    category_ids: e.categories.clone(),
                    attributes: e.attributes.clone(),
                    ..row
                })
                .with_words()
            }),
            catalog::Event::ProductPublished(_) => {
                row.map(|row| changed(Self { status: ProductStatus::Published, ..row }))
            }
            catalog::Event::ProductArchived(_) => {
                row.map(|row| changed(Self { status: ProductStatus::Archived, ..row }))
            }
            catalog::Event::VariantAdded(e) => row.map(|mut row| {
                row.search.0.extend(text::words([e.sku.as_str()]));
                row.skus.push(e.sku.clone());
                row
            }),
            catalog::Event::SkuClaimed(_)
            | catalog::Event::PriceSet(_)
            | catalog::Event::SlugClaimed(_)
            | catalog::Event::SlugReleased(_)
            | catalog::Event::CategoryCreated(_)
            | catalog::Event::CategoryMoved(_)
            | catalog::Event::CategoryChildChanged(_) => row,
        }
    }
}

row! {
    /// A variant of a product.
    pub(in crate::views) struct Variant in product_variants {
        key VariantKey { sku: Sku }
        product_id: ProductId,
        /// Its place among the variants: the version of the event that added it, which grows along the stream.
        ordinal: i32,
        name: Option<Name>,
        options: BTreeMap<Name, Name> as jsonb,
        position: i64,
    }
    indexes { "(product_id, ordinal)" }
}

/// The variant that an event adds, if it adds one. No other event changes a variant.
fn variant_added(event: &Event) -> Option<&VariantAdded> {
    let Event::Catalog(event) = event else { return None };
    match event {
        catalog::Event::VariantAdded(e) => Some(e),
        catalog::Event::ProductCreated(_)
        | catalog::Event::ProductRevised(_)
        | catalog::Event::ProductPublished(_)
        | catalog::Event::ProductArchived(_)
        | catalog::Event::SkuClaimed(_)
        | catalog::Event::PriceSet(_)
        | catalog::Event::SlugClaimed(_)
        | catalog::Event::SlugReleased(_)
        | catalog::Event::CategoryCreated(_)
        | catalog::Event::CategoryMoved(_)
        | catalog::Event::CategoryChildChanged(_) => None,
    }
}

impl Variant {
    fn key_of(recorded: &Recorded) -> Option<VariantKey> {
        variant_added(&recorded.event).map(|e| VariantKey { sku: e.sku.clone() })
    }

    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let Some(e) = variant_added(&recorded.event) else { return row };
        Some(Self {
            sku: e.sku.clone(),
            product_id: e.product_id,
            ordinal: recorded.record.version,
            name: e.name.clone(),
            options: e.options.clone(),
            position: recorded.record.position,
        })
    }
}

row! {
    /// The price of a SKU in a channel and a currency.
    pub(in crate::views) struct Price in sku_prices {
        key PriceKey { sku: Sku, channel: Channel, currency: Currency }
        minor_units: i64,
        since: DateTime<Utc>,
        history: Vec<Asked> as jsonb,
        position: i64,
    }
}

/// A price that was asked from a time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::views) struct Asked {
    since: DateTime<Utc>,
    minor_units: i64,
}

/// The price that an event sets, if it sets one. No other event changes a price.
fn price_set(event: &catalog::Event) -> Option<&PriceSet> {
    match event {
        catalog::Event::PriceSet(e) => Some(e),
        catalog::Event::ProductCreated(_)
        | catalog::Event::ProductRevised(_)
        | catalog::Event::VariantAdded(_)
        | catalog::Event::ProductPublished(_)
        | catalog::Event::ProductArchived(_)
        | catalog::Event::SkuClaimed(_)
        | catalog::Event::SlugClaimed(_)
        | catalog::Event::SlugReleased(_)
        | catalog::Event::CategoryCreated(_)
        | catalog::Event::CategoryMoved(_)
        | catalog::Event::CategoryChildChanged(_) => None,
    }
}

impl Price {
    fn key_of(recorded: &Recorded) -> Option<PriceKey> {
        let Event::Catalog(event) = &recorded.event else { return None };
        let e = price_set(event)?;
        Some(PriceKey { sku: e.sku.clone(), channel: e.channel.clone(), currency: e.price.currency })
    }

    /// The history is kept by the domain's own price list, so that both forget the same.
    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let Event::Catalog(event) = &recorded.event else { return row };
        let Some(e) = price_set(event) else { return row };
        let since = recorded.record.effective_at;
        let history = row.into_iter().flat_map(|row| row.history);
        let prices = history.map(|asked| (asked.since, Money::new(asked.minor_units, e.price.currency)));
        let list = PriceList { channel: e.channel.clone(), current: e.price, history: prices.collect() };
        let mut record = SkuRecord::Claimed { product_id: e.product_id, prices: vec![list] };
        record.evolve(event, since);
        let list = record.price_list(&e.channel, e.price.currency);
        let history = list.into_iter().flat_map(|list| list.history.iter().copied());
        Some(Self {
            sku: e.sku.clone(),
            channel: e.channel.clone(),
            currency: e.price.currency,
            minor_units: e.price.minor_units,
            since,
            history: history.map(|(since, price)| Asked { since, minor_units: price.minor_units }).collect(),
            position: recorded.record.position,
        })
    }
}
