//! What a cart stream comes to.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Currency, Event, Fold, Money, Quantity, State, StreamName,
    ids::{CartId, Channel, CustomerId, OrderId, Sku},
};

/// A line of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartLine {
    /// The SKU.
    pub sku: Sku,
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
    /// For how long a guest's cart is kept after its last change.
    pub const GUEST_KEEP: TimeDelta = TimeDelta::days(7);
    /// For how long a customer's cart is kept after its last change.
    pub const CUSTOMER_KEEP: TimeDelta = TimeDelta::days(30);

    /// When the cart expires, if nobody changes it.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        let keep = if self.customer_id.is_some() { Self::CUSTOMER_KEEP } else { Self::GUEST_KEEP };
        self.touched_at.checked_add_signed(keep).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The line of a SKU.
    #[must_use]
    pub fn line(&self, sku: &Sku) -> Option<&CartLine> {
        self.lines.iter().find(|line| line.sku == *sku)
    }

    fn evolve(&mut self, event: &Event, at: DateTime<Utc>) {
        match event {
            Event::LineAdded(e) => match self.lines.iter_mut().find(|line| line.sku == e.sku) {
                Some(line) => line.quantity = line.quantity.plus(e.quantity).unwrap_or(line.quantity),
                None => self.set(&e.sku, e.quantity, e.unit_price),
            },
            Event::QuantityChanged(e) => {
                if let Some(line) = self.lines.iter_mut().find(|line| line.sku == e.sku) {
                    line.quantity = e.quantity;
                }
            }
            Event::LineRemoved(e) => self.lines.retain(|line| line.sku != e.sku),
            Event::CartMerged(e) => {
                for line in &e.lines {
                    self.set(&line.sku, line.quantity, line.unit_price);
                }
            }
            _ => return,
        }
        self.touched_at = at;
    }

    fn set(&mut self, sku: &Sku, quantity: Quantity, unit_price: Money) {
        match self.lines.iter_mut().find(|line| line.sku == *sku) {
            Some(line) => line.quantity = quantity,
            None => self.lines.push(CartLine { sku: sku.clone(), quantity, unit_price }),
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
        /// The cart that goes on.
        into: CartId,
    },
    /// It was given up.
    Abandoned,
}

impl Fold for Cart {
    type Id = CartId;

    fn stream(id: &CartId) -> StreamName {
        StreamName::of("cart", id)
    }

    fn evolve(&mut self, event: &Event, at: DateTime<Utc>) {
        match (&mut *self, event) {
            (_, Event::CartOpened(e)) => {
                *self = Self::Open(OpenedCart {
                    customer_id: e.customer_id.clone(),
                    channel: e.channel.clone(),
                    currency: e.currency,
                    lines: Vec::new(),
                    touched_at: at,
                });
            }
            (Self::Open(cart), Event::CartCheckedOut(e)) => {
                *self = Self::CheckedOut { customer_id: cart.customer_id.take(), order_id: e.order_id };
            }
            (Self::Open(_), Event::CartMergedInto(e)) => *self = Self::Merged { into: e.into },
            (Self::Open(_), Event::CartAbandoned(_)) => *self = Self::Abandoned,
            (Self::Open(cart), event) => cart.evolve(event, at),
            _ => {}
        }
    }

    fn of(state: &State) -> Option<&Self> {
        match state {
            State::Cart(cart) => Some(cart),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Open(cart) => 96 + 80 * cart.lines.len(),
            _ => 32,
        }
    }
}
