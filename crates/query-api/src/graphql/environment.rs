//! What resolvers need from outside: the time, and new ids.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Tells the time.
pub(crate) struct Now(pub(crate) Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

/// Makes ids for mutations whose caller gave no key.
pub(crate) struct NewId(pub(crate) fn() -> Uuid);
