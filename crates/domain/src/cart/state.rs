//! The state of a cart.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Event, MergedLine, policy};
use crate::{
    Currency, Fold, Money, Quantity, StreamName,
    ids::{CartId, Channel, CustomerId, OrderId, ProductId, Sku},
};

/// A line of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartLine {
    /// The SKU.
    pub sku: Sku,
    /// The product that the SKU belongs to; unknown in carts of books that were written before carts knew it.
    #[serde(default)]
    pub product_id: Option<ProductId>,
    /// How many.
    pub quantity: Quantity,
    /// The price of one unit when it was first added.
    pub unit_price: Money,
}

/// A cart that can be filled and bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedCart {
    /// Whose cart it is; a guest's when absent.
    pub customer_id: Option<CustomerId>,
    /// The channel whose prices hold.
    pub channel: Channel,
    /// The currency of its prices.
    pub currency: Currency,
    /// The lines in the order in which they were first added, one per SKU.
    pub lines: Vec<CartLine>,
    /// When it was last changed.
    pub touched_at: DateTime<Utc>,
}

impl OpenedCart {
    /// When the cart expires, if it is not changed before.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        policy::expires_at(self.customer_id, self.touched_at)
    }

    /// The line of a SKU.
    #[must_use]
    pub fn line(&self, sku: &Sku) -> Option<&CartLine> {
        self.lines.iter().find(|line| line.sku == *sku)
    }

    /// Adds units to the line of their SKU, which keeps the price that it was first added at, or adds the line.
    fn add(&mut self, added: CartLine) {
        match self.lines.iter_mut().find(|line| line.sku == added.sku) {
            Some(line) => line.quantity = line.quantity.plus(added.quantity).unwrap_or(line.quantity),
            None => self.lines.push(added),
        }
    }

    fn set_quantity(&mut self, sku: &Sku, quantity: Quantity) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.sku == *sku) {
            line.quantity = quantity;
        }
    }

    fn merge(&mut self, merged: &MergedLine) {
        let MergedLine { sku, product_id, quantity, unit_price } = merged.clone();
        match self.lines.iter_mut().find(|line| line.sku == sku) {
            Some(line) => line.quantity = quantity,
            None => self.lines.push(CartLine { sku, product_id, quantity, unit_price }),
        }
    }
}

/// A cart, in the phase of its life that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Cart {
    /// It was never opened.
    #[default]
    Absent,
    /// It can be filled and bought.
    Open(OpenedCart),
    /// It became an order.
    CheckedOut {
        /// Whose cart it was.
        customer_id: Option<CustomerId>,
        /// The order.
        order_id: OrderId,
    },
    /// Another cart has its lines.
    Merged {
        /// Whose cart it was.
        customer_id: Option<CustomerId>,
        /// The cart that goes on.
        into: CartId,
    },
    /// It was given up.
    Abandoned {
        /// Whose cart it was.
        customer_id: Option<CustomerId>,
    },
    /// It was not changed for too long.
    Expired {
        /// Whose cart it was.
        customer_id: Option<CustomerId>,
        /// Until when it could be bought.
        expired_at: DateTime<Utc>,
    },
}

impl Fold for Cart {
    type Id = CartId;
    type Event = Event;

    fn stream(id: &CartId) -> StreamName {
        StreamName::of("cart", id)
    }

    fn evolve(&mut self, event: &Event, at: DateTime<Utc>) {
        if let Event::CartOpened(e) = event {
            *self = Self::Open(OpenedCart {
                customer_id: e.customer_id,
                channel: e.channel.clone(),
                currency: e.currency,
                lines: Vec::new(),
                touched_at: at,
            });
        }
        let Self::Open(cart) = self else { return };
        cart.touched_at = at;
        match event {
            Event::CartOpened(_) => {}
            Event::LineAdded(e) => cart.add(CartLine {
                sku: e.sku.clone(),
                product_id: e.product_id,
                quantity: e.quantity,
                unit_price: e.unit_price,
            }),
            Event::QuantityChanged(e) => cart.set_quantity(&e.sku, e.quantity),
            Event::LineRemoved(e) => cart.lines.retain(|line| line.sku != e.sku),
            Event::CartMerged(e) => e.lines.iter().for_each(|line| cart.merge(line)),
            Event::CartMergedInto(e) => {
                *self = Self::Merged { customer_id: cart.customer_id, into: e.into };
            }
            Event::CartAbandoned(_) => *self = Self::Abandoned { customer_id: cart.customer_id },
            Event::CartExpired(e) => {
                *self = Self::Expired { customer_id: cart.customer_id, expired_at: e.expired_at };
            }
            Event::CartCheckedOut(e) => {
                *self = Self::CheckedOut { customer_id: cart.customer_id, order_id: e.order_id };
            }
        }
    }

    fn heap_size(&self) -> usize {
        match self {
            Self::Open(cart) => 96 + 96 * cart.lines.len(),
            Self::Absent
            | Self::CheckedOut { .. }
            | Self::Merged { .. }
            | Self::Abandoned { .. }
            | Self::Expired { .. } => 32,
        }
    }
}
