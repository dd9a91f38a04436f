//! The clock and the source of new ids, for resolvers.

use std::sync::Arc;

use chrono::{DateTime, Utc};
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

/// The source of keys for mutations whose caller gave none.
pub(crate) struct NewId(pub(crate) fn() -> Uuid);
