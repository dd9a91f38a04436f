//! `customer_orders`: the orders of each customer, newest first.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Slice,
    ids::{CustomerId, OrderId},
    order::{Progress, moves::Phase},
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};

use super::{
    opened::Opened,
    order::{Key, key},
};
use crate::{
    store::Row,
    view::{Recorded, ViewSpec},
};

pub(super) static VIEW: ViewSpec = ViewSpec {
    name: "customer_orders",
    slices: &[Slice::Order],
    tables: &["customer_orders"],
    revision: 1,
    ddl: "CREATE TABLE customer_orders (
              order_id uuid PRIMARY KEY, customer_id text NOT NULL, placed_at timestamptz NOT NULL, phase text NOT NULL,
              held_in text, currency text NOT NULL, net bigint NOT NULL, units bigint NOT NULL, position bigint NOT NULL);
          CREATE INDEX ON customer_orders (customer_id, placed_at DESC, order_id);",
    project: |store, events| async move { store.fold(events, key, fold).await.map(drop) }.boxed(),
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CustomerOrder {
    order_id: OrderId,
    customer_id: CustomerId,
    placed_at: DateTime<Utc>,
    phase: Phase,
    held_in: Option<Phase>,
    currency: Currency,
    net: i64,
    units: i64,
    position: i64,
}

impl Row for CustomerOrder {
    type Key = Key;
    const TABLE: &'static str = "customer_orders";
    const KEY: &'static [&'static str] = &["order_id"];
    const COLUMNS: &'static [&'static str] =
        &["customer_id", "placed_at", "phase", "held_in", "currency", "net", "units", "position"];
}

/// The order of a guest is nobody's, and has no row.
fn fold(row: Option<CustomerOrder>, recorded: &Recorded) -> Option<CustomerOrder> {
    let mut row = begin(&recorded.event).or(row)?;
    let progress = Progress { phase: row.phase, held_in: row.held_in };
    Progress { phase: row.phase, held_in: row.held_in } = progress.after(&recorded.event);
    row.position = recorded.record.position;
    Some(row)
}

fn begin(event: &Event) -> Option<CustomerOrder> {
    let opened = Opened::of(event)?;
    Some(CustomerOrder {
        order_id: opened.order_id,
        customer_id: opened.customer_id?.clone(),
        placed_at: opened.placed_at,
        phase: opened.progress.phase,
        held_in: opened.progress.held_in,
        currency: opened.currency,
        net: opened.totals.net.minor_units,
        units: opened.units,
        position: 0,
    })
}
