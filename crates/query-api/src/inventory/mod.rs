//! Stock, and its reservations.

mod loaders;
mod mutations;
mod queries;
mod stock_watch;
mod subscriptions;
mod types;

pub(crate) use mutations::InventoryMutation;
pub(crate) use queries::InventoryQuery;
pub(crate) use stock_watch::StockWatch;
pub(crate) use subscriptions::StockSubscription;
pub(crate) use types::StockOf;

use crate::reader::View;

/// The stock levels with the reservations.
pub(crate) const STOCK: View = View { name: "stock", tables: &["stock", "reservations"] };
