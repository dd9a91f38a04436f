//! `customer_orders`: the orders of each customer, newest first.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Fold, Slice,
    ids::{CustomerId, OrderId},
    order::Order,
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};

use super::order::{Key, key};
use crate::{
    store::Row,
    view::{Recorded, ViewSpec},
};

pub(super) static VIEW: ViewSpec = ViewSpec {
    name: "customer_orders",
    slice: Slice::Order,
    tables: &["customer_orders"],
    ddl: "CREATE TABLE customer_orders (
              order_id uuid PRIMARY KEY, customer_id text NOT NULL, placed_at timestamptz NOT NULL, phase text NOT NULL,
              currency text NOT NULL, net bigint NOT NULL, units bigint NOT NULL, position bigint NOT NULL,
              state jsonb NOT NULL);
          CREATE INDEX ON customer_orders (customer_id, placed_at DESC, order_id);",
    project: |store, events| async move { store.fold(events, key, fold).await.map(drop) }.boxed(),
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CustomerOrder {
    order_id: OrderId,
    customer_id: CustomerId,
    placed_at: DateTime<Utc>,
    phase: String,
    currency: Currency,
    net: i64,
    units: i64,
    position: i64,
    state: Order,
}

impl Row for CustomerOrder {
    type Key = Key;
    const TABLE: &'static str = "customer_orders";
    const KEY: &'static [&'static str] = &["order_id"];
    const COLUMNS: &'static [&'static str] =
        &["customer_id", "placed_at", "phase", "currency", "net", "units", "position", "state"];
}

/// The order of a guest is nobody's, and has no row.
fn fold(row: Option<CustomerOrder>, recorded: &Recorded) -> Option<CustomerOrder> {
    let mut state = row.as_ref().map_or_else(Order::default, |row| row.state.clone());
    state.evolve(&recorded.event, recorded.record.effective_at);
    let order_id = match (&recorded.event, row) {
        (Event::OrderPlaced(e), _) => e.order_id,
        (Event::OrderImported(e), _) => e.order_id,
        (_, Some(row)) => row.order_id,
        (_, None) => return None,
    };
    let record = state.0.as_ref()?;
    Some(CustomerOrder {
        order_id,
        customer_id: record.customer_id.clone()?,
        placed_at: record.placed_at,
        phase: record.phase.name().to_owned(),
        currency: record.currency,
        net: record.totals.net.minor_units,
        units: record.lines.iter().map(|line| line.quantity.signed()).sum(),
        position: recorded.record.position,
        state,
    })
}
