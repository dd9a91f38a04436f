//! Orders, and their history.

mod history;
mod mutations;
mod queries;
mod subscriptions;
mod types;

pub(crate) use mutations::{BackOfficeOrderMutation, OrderMutation};
pub(crate) use queries::{BackOfficeOrders, OrderQuery};
pub(crate) use subscriptions::OrderSubscription;
