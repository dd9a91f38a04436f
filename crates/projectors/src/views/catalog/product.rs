//! `product`: what a product page shows; variants, prices and slugs in tables of their own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use daybook_domain::{
    Event, Slice,
    catalog::{self, SaleChange},
    ids::{CategoryId, ProductId, Sku},
    text::{self, Name, Prose, Slug},
};
use futures::FutureExt;

use super::{price::Price, slug::ProductSlug, variant::Variant};
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
    tables: &[Product::TABLE, Variant::TABLE, Price::TABLE, ProductSlug::TABLE],
    revision: 4,
    project: |store, events| {
        async move {
            store.fold(events, Product::key_of, Product::fold).await?;
            store.fold(events, Variant::key_of, Variant::fold).await?;
            store.fold(events, Price::key_of, Price::fold).await?;
            store.fold(events, ProductSlug::key_of, ProductSlug::fold).await?;
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
        /// Since when it was on sale, and not: a price counts only while it could be paid.
        sales: Vec<SaleChange> as jsonb,
        created_at: DateTime<Utc>,
        updated_at: DateTime<Utc>,
        position: i64,
    }
    sorted { name, brand }
    indexes {
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
            catalog::Event::VariantRemoved(e) => e.product_id,
            catalog::Event::VariantRevised(_)
            | catalog::Event::SkuClaimed(_)
            | catalog::Event::PriceSet(_)
            | catalog::Event::PriceRemoved(_)
            | catalog::Event::SlugClaimed(_)
            | catalog::Event::SlugForwarded(_)
            | catalog::Event::SlugReleased(_)
            | catalog::Event::CategoryCreated(_)
            | catalog::Event::CategoryRenamed(_)
            | catalog::Event::CategoryMoved(_)
            | catalog::Event::CategoryRemoved(_)
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
                    sales: Vec::new(),
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
            catalog::Event::ProductPublished(_) => row.map(|mut row| {
                SaleChange::add(&mut row.sales, at, true);
                changed(Self { status: ProductStatus::Published, ..row })
            }),
            catalog::Event::ProductArchived(_) => row.map(|mut row| {
                SaleChange::add(&mut row.sales, at, false);
                changed(Self { status: ProductStatus::Archived, ..row })
            }),
            catalog::Event::VariantAdded(e) => row.map(|mut row| {
                row.search.0.extend(text::words([e.sku.as_str()]));
                row.skus.push(e.sku.clone());
                row
            }),
            catalog::Event::VariantRemoved(e) => row.map(|mut row| {
                row.skus.retain(|sku| *sku != e.sku);
                row.with_words()
            }),
            catalog::Event::VariantRevised(_)
            | catalog::Event::SkuClaimed(_)
            | catalog::Event::PriceSet(_)
            | catalog::Event::PriceRemoved(_)
            | catalog::Event::SlugClaimed(_)
            | catalog::Event::SlugForwarded(_)
            | catalog::Event::SlugReleased(_)
            | catalog::Event::CategoryCreated(_)
            | catalog::Event::CategoryRenamed(_)
            | catalog::Event::CategoryMoved(_)
            | catalog::Event::CategoryRemoved(_)
            | catalog::Event::CategoryChildChanged(_) => row,
        }
    }
}
