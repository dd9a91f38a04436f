//! Slugs: each leads to one product. An old slug still leads to its product for some time.

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;
use serde::{Deserialize, Serialize};

use super::{Event, SlugClaimed, SlugForwarded, policy::OLD_SLUG_LIFETIME};
use crate::{Decision, Fold, Rejection, StreamName, Streams, ids::ProductId, text::Slug};

refusals! {
    /// A slug leads to one product, and an old one leads to it still for some time.
    "slug_taken" SlugTaken: Rule at "slug" = "the slug {slug} leads to product {product_id}", {
        /// The slug.
        slug: Slug,
        /// The product it leads to.
        product_id: ProductId,
        /// Until when, where it is an old slug of that product.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
    }
}

/// A slug: which product it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum SlugClaim {
    /// It leads nowhere and may be claimed.
    #[default]
    Free,
    /// It leads to a product, as its slug.
    Claimed {
        /// The product.
        product_id: ProductId,
    },
    /// It leads to a product, as its old slug.
    Forwarded {
        /// The product.
        product_id: ProductId,
        /// Until when. From then on it may be claimed.
        until: DateTime<Utc>,
    },
}

impl SlugClaim {
    /// The product that it leads to at `now`. No other product may claim it.
    #[must_use]
    pub fn product_id(&self, now: DateTime<Utc>) -> Option<ProductId> {
        match self {
            Self::Claimed { product_id } => Some(*product_id),
            Self::Forwarded { product_id, until } if now < *until => Some(*product_id),
            Self::Free | Self::Forwarded { .. } => None,
        }
    }

    /// Until when it leads to a product whose slug it was.
    #[must_use]
    pub const fn until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Forwarded { until, .. } => Some(*until),
            Self::Free | Self::Claimed { .. } => None,
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
            Event::SlugForwarded(e) => *self = Self::Forwarded { product_id: e.product_id, until: e.until },
            Event::SlugReleased(_) => *self = Self::Free,
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
            | Event::CategoryCreated(_)
            | Event::CategoryRenamed(_)
            | Event::CategoryMoved(_)
            | Event::CategoryRemoved(_)
            | Event::CategoryChildChanged(_) => {}
        }
    }
}

/// Gives a slug to a product, which may have had it before. The slug's stream is going to be written.
pub(super) fn claim(
    decision: Decision,
    slug: &Slug,
    product_id: ProductId,
    now: DateTime<Utc>,
    streams: &Streams<'_>,
) -> Result<Decision, Rejection> {
    let claim = streams.assume_absent::<SlugClaim>(slug)?;
    if let Some(claim) = claim
        && let Some(other) = claim.product_id(now).filter(|other| *other != product_id)
    {
        return Err(SlugTaken { slug: slug.clone(), product_id: other, until: claim.until() }.into());
    }
    Ok(decision.and::<SlugClaim>(slug, SlugClaimed { slug: slug.clone(), product_id }))
}

/// Lets an old slug lead to its product for some time.
pub(super) fn forward(
    decision: Decision,
    slug: &Slug,
    product_id: ProductId,
    now: DateTime<Utc>,
    streams: &Streams<'_>,
) -> Result<Decision, Rejection> {
    streams.get::<SlugClaim>(slug)?;
    let until = now.checked_add_signed(OLD_SLUG_LIFETIME).unwrap_or(DateTime::<Utc>::MAX_UTC);
    Ok(decision.and::<SlugClaim>(slug, SlugForwarded { slug: slug.clone(), product_id, until }))
}
