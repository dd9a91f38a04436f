//! The table of variants, of the view `product`.

use std::collections::BTreeMap;

use daybook_domain::{
    Event,
    catalog::{self, SaleChange},
    ids::{ProductId, Sku},
    text::Name,
};

use crate::{engine::recorded::Recorded, row};

row! {
    /// A variant of a product.
    pub(in crate::views) struct Variant in product_variants {
        key VariantKey { sku: Sku }
        product_id: ProductId,
        /// Its place among the variants: the version of the event that added it, which grows along the stream.
        ordinal: i32,
        name: Option<Name>,
        options: BTreeMap<Name, Name> as jsonb,
        /// Whether it was removed from its product. Carts and orders still show it.
        removed: bool,
        /// Since when the product has it, and not.
        sales: Vec<SaleChange> as jsonb,
        position: i64,
    }
    indexes { "(product_id, ordinal)" }
}

/// The variant that an event is about, if it is about one.
fn sku(event: &Event) -> Option<&Sku> {
    let Event::Catalog(event) = event else { return None };
    match event {
        catalog::Event::VariantAdded(e) => Some(&e.sku),
        catalog::Event::VariantRevised(e) => Some(&e.sku),
        catalog::Event::VariantRemoved(e) => Some(&e.sku),
        catalog::Event::ProductCreated(_)
        | catalog::Event::ProductRevised(_)
        | catalog::Event::ProductPublished(_)
        | catalog::Event::ProductArchived(_)
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
        | catalog::Event::CategoryChildChanged(_) => None,
    }
}

impl Variant {
    pub(super) fn key_of(recorded: &Recorded) -> Option<VariantKey> {
        sku(&recorded.event).map(|sku| VariantKey { sku: sku.clone() })
    }

    pub(super) fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let (position, at) = (recorded.record.position, recorded.record.effective_at);
        let Event::Catalog(event) = &recorded.event else { return row };
        match event {
            catalog::Event::VariantAdded(e) => {
                let mut sales = row.map(|row| row.sales).unwrap_or_default();
                SaleChange::add(&mut sales, at, true);
                Some(Self {
                    sku: e.sku.clone(),
                    product_id: e.product_id,
                    ordinal: recorded.record.version,
                    name: e.name.clone(),
                    options: e.options.clone(),
                    removed: false,
                    sales,
                    position,
                })
            }
            catalog::Event::VariantRevised(e) => {
                row.map(|row| Self { name: e.name.clone(), options: e.options.clone(), position, ..row })
            }
            catalog::Event::VariantRemoved(_) => row.map(|mut row| {
                SaleChange::add(&mut row.sales, at, false);
                Self { removed: true, position, ..row }
            }),
            catalog::Event::ProductCreated(_)
            | catalog::Event::ProductRevised(_)
            | catalog::Event::ProductPublished(_)
            | catalog::Event::ProductArchived(_)
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
