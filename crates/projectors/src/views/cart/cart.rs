//! `cart`: carts with their lines. The domain's own fold is kept in the row, so a cart looks the same here and there.

use chrono::{DateTime, Utc};
use daybook_domain::{
    Currency, Event, Fold, Slice,
    cart::{self, Cart, CartLine, CartStatus},
    ids::{CartId, Channel, CustomerId, OrderId},
};
use futures::FutureExt;

use crate::{
    engine::{
        recorded::Recorded,
        store::{BytesMut, Column, Row, Unwritable},
        view::ViewSpec,
    },
    row,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "cart",
    slices: &[Slice::Cart],
    tables: &[CartRow::TABLE],
    revision: 3,
    project: |store, events| async move { store.fold(events, key, fold).await.map(drop) }.boxed(),
};

row! {
    /// A cart.
    pub(in crate::views) struct CartRow in carts {
        key CartKey { cart_id: CartId }
        customer_id: Option<CustomerId>,
        channel: Channel,
        currency: Currency,
        status: CartStatus,
        lines: Vec<CartLine> as jsonb,
        order_id: Option<OrderId>,
        merged_into: Option<CartId>,
        expires_at: Option<DateTime<Utc>>,
        updated_at: DateTime<Utc>,
        version: i32,
        position: i64,
        state: Cart as jsonb,
    }
}

/// The status after the last event. Readers resolve it with their clock, by [`CartStatus::at`].
impl Column for CartStatus {
    const SQL: &'static str = "text";

    fn write(&self, out: &mut BytesMut) -> Result<(), Unwritable> {
        self.name().write(out)
    }
}

fn key(recorded: &Recorded) -> Option<CartKey> {
    let Event::Cart(event) = &recorded.event else { return None };
    Some(CartKey { cart_id: event.cart_id() })
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
            status: CartStatus::Open,
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
    row.status = match &row.state {
        Cart::Absent => return None,
        Cart::Open(cart) => {
            row.lines.clone_from(&cart.lines);
            row.expires_at = Some(cart.expires_at());
            CartStatus::Open
        }
        Cart::CheckedOut { order_id, .. } => {
            row.order_id = Some(*order_id);
            CartStatus::CheckedOut
        }
        Cart::Merged { into, .. } => {
            row.merged_into = Some(*into);
            CartStatus::Merged
        }
        Cart::Abandoned { .. } => CartStatus::Abandoned,
        Cart::Expired { .. } => CartStatus::Expired,
    };
    row.updated_at = at;
    row.version = recorded.record.version;
    row.position = recorded.record.position;
    Some(row)
}
