//! Orders, and their history.

mod history;
mod mutations;
mod queries;
mod subscriptions;
mod types;

pub(crate) use mutations::{BackOfficeOrderMutation, OrderMutation};
pub(crate) use queries::{BackOfficeOrders, OrderQuery};
pub(crate) use subscriptions::OrderSubscription;

use crate::reader::View;

/// The orders with their timelines.
pub(crate) const ORDER: View = View { name: "order", tables: &["orders", "order_timeline"] };
