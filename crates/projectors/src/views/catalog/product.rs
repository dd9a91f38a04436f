//! `product`: what a product page shows; variants and prices in tables of their own, since prices are in streams of their own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Fold, Money, Slice,
    catalog::{self, PriceList, SkuRecord},
    ids::{CategoryId, Channel, ProductId, Sku},
    text::{Name, Prose, Slug},
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};

use crate::engine::{recorded::Recorded, store::Row, view::ViewSpec};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "product",
    slices: &[Slice::Catalog],
    tables: &["products", "product_variants", "sku_prices"],
    revision: 2,
    ddl: "CREATE TABLE products (
              product_id uuid PRIMARY KEY, slug text, name text NOT NULL, description text, brand text,
              status text NOT NULL, category_ids uuid[] NOT NULL, attributes jsonb NOT NULL,
              created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, position bigint NOT NULL,
              search tsvector NOT NULL GENERATED ALWAYS AS (
                  to_tsvector('simple', name || ' ' || coalesce(brand, '') || ' ' || coalesce(description, ''))) STORED);
          CREATE INDEX ON products (slug);
          CREATE INDEX ON products (name, product_id);
          CREATE INDEX ON products (created_at, product_id);
          CREATE INDEX ON products (brand, name, product_id) WHERE brand IS NOT NULL;
          CREATE INDEX ON products (brand, created_at, product_id) WHERE brand IS NOT NULL;
          CREATE INDEX ON products USING gin (search);
          CREATE INDEX ON products USING gin (category_ids);
          CREATE TABLE product_variants (
              sku text PRIMARY KEY, product_id uuid NOT NULL, ordinal integer NOT NULL, name text, options jsonb NOT NULL,
              position bigint NOT NULL);
          CREATE INDEX ON product_variants (product_id, ordinal);
          CREATE TABLE sku_prices (
              sku text, channel text, currency text, minor_units bigint NOT NULL, since timestamptz NOT NULL,
              history jsonb NOT NULL, position bigint NOT NULL, PRIMARY KEY (sku, channel, currency));",
    project: |store, events| {
        async move {
            store.fold(events, Product::key, Product::fold).await?;
            store.fold(events, Variant::key, Variant::fold).await?;
            store.fold(events, Price::key, Price::fold).await?;
            Ok(())
        }
        .boxed()
    },
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct ProductKey {
    product_id: ProductId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Product {
    product_id: ProductId,
    slug: Option<Slug>,
    name: Name,
    description: Option<Prose>,
    brand: Option<Name>,
    status: String,
    category_ids: Vec<CategoryId>,
    attributes: BTreeMap<Name, Name>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    position: i64,
}

impl Row for Product {
    type Key = ProductKey;
    const TABLE: &'static str = "products";
    const KEY: &'static [&'static str] = &["product_id"];
    const COLUMNS: &'static [&'static str] = &[
        "slug",
        "name",
        "description",
        "brand",
        "status",
        "category_ids",
        "attributes",
        "created_at",
        "updated_at",
        "position",
    ];
}

impl Product {
    fn key(recorded: &Recorded) -> Option<ProductKey> {
        let Event::Catalog(event) = &recorded.event else { return None };
        let product_id = match event {
            catalog::Event::ProductCreated(e) => e.product_id,
            catalog::Event::ProductRevised(e) => e.product_id,
            catalog::Event::ProductPublished(e) => e.product_id,
            catalog::Event::ProductArchived(e) => e.product_id,
            catalog::Event::VariantAdded(_)
            | catalog::Event::SkuClaimed(_)
            | catalog::Event::PriceSet(_)
            | catalog::Event::SlugClaimed(_)
            | catalog::Event::SlugReleased(_)
            | catalog::Event::CategoryCreated(_)
            | catalog::Event::CategoryMoved(_) => return None,
        };
        Some(ProductKey { product_id })
    }

    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let (position, at) = (recorded.record.position, recorded.record.effective_at);
        let changed = |row: Self| Self { position, updated_at: at, ..row };
        let Event::Catalog(event) = &recorded.event else { return row };
        match (event, row) {
            (catalog::Event::ProductCreated(e), _) => Some(Self {
                product_id: e.product_id,
                slug: e.slug.clone(),
                name: e.name.clone(),
                description: e.description.clone(),
                brand: e.brand.clone(),
                status: "draft".to_owned(),
                category_ids: e.categories.clone(),
                attributes: e.attributes.clone(),
                created_at: at,
                updated_at: at,
                position,
            }),
            (catalog::Event::ProductRevised(e), Some(row)) => Some(changed(Self {
                slug: e.slug.clone(),
                name: e.name.clone(),
                description: e.description.clone(),
                brand: e.brand.clone(),
                category_ids: e.categories.clone(),
                attributes: e.attributes.clone(),
                ..row
            })),
            (catalog::Event::ProductPublished(_), Some(row)) => {
                Some(changed(Self { status: "published".to_owned(), ..row }))
            }
            (catalog::Event::ProductArchived(_), Some(row)) => {
                Some(changed(Self { status: "archived".to_owned(), ..row }))
            }
            (_, row) => row,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct VariantKey {
    sku: Sku,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Variant {
    sku: Sku,
    product_id: ProductId,
    /// Its place among the variants: the version of the event that added it, which grows along the stream.
    ordinal: i32,
    name: Option<Name>,
    options: BTreeMap<Name, Name>,
    position: i64,
}

impl Row for Variant {
    type Key = VariantKey;
    const TABLE: &'static str = "product_variants";
    const KEY: &'static [&'static str] = &["sku"];
    const COLUMNS: &'static [&'static str] = &["product_id", "ordinal", "name", "options", "position"];
}

impl Variant {
    fn key(recorded: &Recorded) -> Option<VariantKey> {
        match &recorded.event {
            Event::Catalog(catalog::Event::VariantAdded(e)) => Some(VariantKey { sku: e.sku.clone() }),
            _ => None,
        }
    }

    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        match &recorded.event {
            Event::Catalog(catalog::Event::VariantAdded(e)) => Some(Self {
                sku: e.sku.clone(),
                product_id: e.product_id,
                ordinal: recorded.record.version,
                name: e.name.clone(),
                options: e.options.clone(),
                position: recorded.record.position,
            }),
            _ => row,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct PriceKey {
    sku: Sku,
    channel: Channel,
    currency: Currency,
}

/// A price that was asked from a time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    since: DateTime<Utc>,
    minor_units: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Price {
    sku: Sku,
    channel: Channel,
    currency: Currency,
    minor_units: i64,
    since: DateTime<Utc>,
    history: Vec<Asked>,
    position: i64,
}

impl Row for Price {
    type Key = PriceKey;
    const TABLE: &'static str = "sku_prices";
    const KEY: &'static [&'static str] = &["sku", "channel", "currency"];
    const COLUMNS: &'static [&'static str] = &["minor_units", "since", "history", "position"];
}

impl Price {
    fn key(recorded: &Recorded) -> Option<PriceKey> {
        match &recorded.event {
            Event::Catalog(catalog::Event::PriceSet(e)) => {
                Some(PriceKey { sku: e.sku.clone(), channel: e.channel.clone(), currency: e.price.currency })
            }
            _ => None,
        }
    }

    /// The history is kept by the domain's own price list, so that both forget the same.
    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let Event::Catalog(event @ catalog::Event::PriceSet(e)) = &recorded.event else { return row };
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
