//! The table of slugs, of the view `product`: the product that each leads to, old slugs included.

use chrono::{DateTime, SubsecRound, Utc};
use daybook_domain::{Event, catalog, ids::ProductId, text::Slug};

use crate::{
    engine::{recorded::Recorded, store::SECOND_DIGITS},
    row,
};

row! {
    /// A slug, and the product that it leads to.
    pub(in crate::views) struct ProductSlug in product_slugs {
        key ProductSlugKey { slug: Slug }
        product_id: ProductId,
        /// Until when it leads there, as an old slug of the product; absent for its slug of now.
        until: Option<DateTime<Utc>>,
        position: i64,
    }
}

impl ProductSlug {
    pub(super) fn key_of(recorded: &Recorded) -> Option<ProductSlugKey> {
        let Event::Catalog(event) = &recorded.event else { return None };
        let slug = match event {
            catalog::Event::SlugClaimed(e) => &e.slug,
            catalog::Event::SlugForwarded(e) => &e.slug,
            catalog::Event::SlugReleased(e) => &e.slug,
            catalog::Event::ProductCreated(_)
            | catalog::Event::ProductRevised(_)
            | catalog::Event::VariantAdded(_)
            | catalog::Event::VariantRevised(_)
            | catalog::Event::VariantRemoved(_)
            | catalog::Event::ProductPublished(_)
            | catalog::Event::ProductArchived(_)
            | catalog::Event::SkuClaimed(_)
            | catalog::Event::PriceSet(_)
            | catalog::Event::PriceRemoved(_)
            | catalog::Event::CategoryCreated(_)
            | catalog::Event::CategoryRenamed(_)
            | catalog::Event::CategoryMoved(_)
            | catalog::Event::CategoryRemoved(_)
            | catalog::Event::CategoryChildChanged(_) => return None,
        };
        Some(ProductSlugKey { slug: slug.clone() })
    }

    pub(super) fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let position = recorded.record.position;
        let Event::Catalog(event) = &recorded.event else { return row };
        match event {
            catalog::Event::SlugClaimed(e) => {
                Some(Self { slug: e.slug.clone(), product_id: e.product_id, until: None, position })
            }
            catalog::Event::SlugForwarded(e) => Some(Self {
                slug: e.slug.clone(),
                product_id: e.product_id,
                until: Some(e.until.trunc_subsecs(SECOND_DIGITS)),
                position,
            }),
            catalog::Event::SlugReleased(_) => None,
            catalog::Event::ProductCreated(_)
            | catalog::Event::ProductRevised(_)
            | catalog::Event::VariantAdded(_)
            | catalog::Event::VariantRevised(_)
            | catalog::Event::VariantRemoved(_)
            | catalog::Event::ProductPublished(_)
            | catalog::Event::ProductArchived(_)
            | catalog::Event::SkuClaimed(_)
            | catalog::Event::PriceSet(_)
            | catalog::Event::PriceRemoved(_)
            | catalog::Event::CategoryCreated(_)
            | catalog::Event::CategoryRenamed(_)
            | catalog::Event::CategoryMoved(_)
            | catalog::Event::CategoryRemoved(_)
            | catalog::Event::CategoryChildChanged(_) => row,
        }
    }
}
