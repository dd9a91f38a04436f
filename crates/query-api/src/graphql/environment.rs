//! The clock and the source of new ids, for resolvers.

use std::{sync::Arc, time::Duration};

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

    /// Resolves at a time; without a time it never does. The clock may be set meanwhile, so it is looked at every second.
    pub(crate) async fn reaches(&self, time: Option<DateTime<Utc>>) {
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        let Some(time) = time else { return std::future::pending().await };
        while let Ok(left) = (time - self.time()).to_std()
            && !left.is_zero()
        {
            tokio::time::sleep(left.min(LOOK_EVERY)).await;
        }
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
