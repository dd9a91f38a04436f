//! The clock and the source of new ids, for resolvers.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use daybook_domain::Storefront;
use uuid::Uuid;

/// The clock.
#[derive(Clone)]
pub(crate) struct Now(pub(crate) Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Now {
    /// The time now.
    pub(crate) fn time(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

/// What the storefront serves.
#[derive(Clone)]
pub(crate) struct Served(pub(crate) Arc<Storefront>);

/// The time zone of the shop: its days are those of this zone.
#[derive(Clone, Copy)]
pub(crate) struct ShopTimeZone(pub(crate) Tz);

/// The source of ids.
pub(crate) struct NewId {
    /// Ordered by time, so that indexes stay dense: keys of mutations whose caller gave none.
    pub(crate) ordered: fn() -> Uuid,
    /// Random in all its bits but the version's: ids that may be secrets, such as those of guests' carts.
    pub(crate) secret: fn() -> Uuid,
}
