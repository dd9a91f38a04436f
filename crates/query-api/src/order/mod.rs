//! Orders, their history, and their sales figures.

mod history;
mod mutations;
mod queries;
mod sales;
mod subscriptions;
mod types;

pub(crate) use mutations::{BackOfficeOrderMutation, OrderMutation};
pub(crate) use queries::{BackOfficeOrders, OrderQuery};
pub(crate) use sales::SalesQuery;
#[cfg(test)]
pub(crate) use sales::{SALES_BY_DAY, TOP_PRODUCTS};
pub(crate) use subscriptions::OrderSubscription;

use crate::reader::View;

/// The orders with their timelines.
pub(crate) const ORDER: View = View { name: "order", tables: &["orders", "order_timeline"] };
