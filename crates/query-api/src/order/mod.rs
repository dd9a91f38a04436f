//! Orders: as they are, as they were, and what happened to them.

mod history;
mod mutations;
mod queries;
mod subscriptions;
mod types;

pub(crate) use mutations::{BackOfficeOrderMutation, OrderMutation};
pub(crate) use queries::{BackOfficeOrders, OrderQuery};
pub(crate) use subscriptions::OrderSubscription;
