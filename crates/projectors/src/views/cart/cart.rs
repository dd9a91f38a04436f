//! `cart`: carts with their lines. The domain's own fold is kept in the row, so a cart looks the same here and there.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Fold, Slice,
    cart::{self, Cart, CartLine},
    ids::{CartId, Channel, CustomerId, OrderId},
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};

use crate::engine::{recorded::Recorded, store::Row, view::ViewSpec};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "cart",
    slices: &[Slice::Cart],
    tables: &["carts"],
    revision: 2,
    ddl: "CREATE TABLE carts (
              cart_id uuid PRIMARY KEY, customer_id uuid, channel text NOT NULL, currency text NOT NULL,
              status text NOT NULL, lines jsonb NOT NULL, order_id uuid, merged_into uuid, expires_at timestamptz,
              updated_at timestamptz NOT NULL, version integer NOT NULL, position bigint NOT NULL, state jsonb NOT NULL);",
    project: |store, events| async move { store.fold(events, key, fold).await.map(drop) }.boxed(),
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Key {
    cart_id: CartId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CartRow {
    cart_id: CartId,
    customer_id: Option<CustomerId>,
    channel: Channel,
    currency: Currency,
    status: String,
    lines: Vec<CartLine>,
    order_id: Option<OrderId>,
    merged_into: Option<CartId>,
    expires_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    version: i32,
    position: i64,
    state: Cart,
}

impl Row for CartRow {
    type Key = Key;
    const TABLE: &'static str = "carts";
    const KEY: &'static [&'static str] = &["cart_id"];
    const COLUMNS: &'static [&'static str] = &[
        "customer_id",
        "channel",
        "currency",
        "status",
        "lines",
        "order_id",
        "merged_into",
        "expires_at",
        "updated_at",
        "version",
        "position",
        "state",
    ];
}

fn key(recorded: &Recorded) -> Option<Key> {
    let Event::Cart(event) = &recorded.event else { return None };
    Some(Key { cart_id: event.cart_id() })
}

fn fold(row: Option<CartRow>, recorded: &Recorded) -> Option<CartRow> {
    let at = recorded.record.effective_at;
    let Event::Cart(event) = &recorded.event else { return row };
    let mut row = match (event, row) {
        (cart::Event::CartOpened(e), _) => CartRow {
            cart_id: e.cart_id,
            customer_id: e.customer_id,
            channel: e.channel.clone(),
            currency: e.currency,
            status: String::new(),
            lines: Vec::new(),
            order_id: None,
            merged_into: None,
            expires_at: None,
            updated_at: at,
            version: 0,
            position: 0,
            state: Cart::Absent,
        },
        (_, Some(row)) => row,
        (_, None) => return None,
    };
    row.state.evolve(event, at);
    row.expires_at = None;
    let status = match &row.state {
        Cart::Absent => return None,
        Cart::Open(cart) => {
            row.lines.clone_from(&cart.lines);
            row.expires_at = Some(cart.expires_at());
            "open"
        }
        Cart::CheckedOut { order_id, .. } => {
            row.order_id = Some(*order_id);
            "checked_out"
        }
        Cart::Merged { into } => {
            row.merged_into = Some(*into);
            "merged"
        }
        Cart::Abandoned => "abandoned",
        Cart::Expired { .. } => "expired",
    };
    row.status = status.to_owned();
    row.updated_at = at;
    row.version = recorded.record.version;
    row.position = recorded.record.position;
    Some(row)
}
