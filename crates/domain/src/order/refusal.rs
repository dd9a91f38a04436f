//! What orders and checkout say no to.

use serde::Serialize;

use crate::{
    Currency, Money,
    ids::{CartId, Channel, ExternalRef, LocationId, OrderId, Sku},
    order::moves::Phase,
    refusal::RefusalKind,
};

/// A rule of orders said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum OrderRefusal {
    /// The id is in use.
    #[error("order {order_id} exists already")]
    OrderExists {
        /// The order.
        order_id: OrderId,
    },
    /// There is no such order.
    #[error("there is no order {order_id}")]
    OrderNotFound {
        /// The order.
        order_id: OrderId,
    },
    /// The order belongs to somebody else.
    #[error("order {order_id} is somebody else's")]
    OrderNotYours {
        /// The order.
        order_id: OrderId,
    },
    /// There is nothing in the cart.
    #[error("cart {cart_id} is empty")]
    CartEmpty {
        /// The cart.
        cart_id: CartId,
    },
    /// A product of the cart went out of sale.
    #[error("SKU {sku} is not on sale any more")]
    NoLongerOnSale {
        /// The SKU.
        sku: Sku,
    },
    /// A SKU of the cart lost its price.
    #[error("SKU {sku} has no price in {currency} in channel {channel}")]
    NoPrice {
        /// The SKU.
        sku: Sku,
        /// The currency of the cart.
        currency: Currency,
        /// The channel of the cart.
        channel: Channel,
    },
    /// No location has enough of a SKU.
    #[error("{requested} of {sku} were asked for; {available} are available")]
    InsufficientStock {
        /// The SKU.
        sku: Sku,
        /// How many were asked for.
        requested: u32,
        /// The most that one of the locations could give.
        available: i64,
        /// The locations that were asked.
        locations: Vec<LocationId>,
    },
    /// The goods have to come from somewhere.
    #[error("1 to {limit} locations can be named")]
    LocationCount {
        /// The bound.
        limit: usize,
    },
    /// The customer was shown another total.
    #[error("the total is {total}, not {expected}")]
    TotalChanged {
        /// What the customer was shown.
        expected: Money,
        /// What it comes to now.
        total: Money,
    },
    /// The order is not in a phase from which that can be done, or not by this role.
    #[error("{command} cannot be done by this role while the order is {phase}; it can: {}", next_moves.join(", "))]
    IllegalMove {
        /// The order.
        order_id: OrderId,
        /// What was asked for.
        command: &'static str,
        /// How far the order is.
        phase: Phase,
        /// What can be asked for.
        next_moves: Vec<&'static str>,
    },
    /// It was imported before.
    #[error("order {external_ref} was imported already, as {order_id}")]
    AlreadyImported {
        /// Its id in the other system.
        external_ref: ExternalRef,
        /// Its id here.
        order_id: OrderId,
    },
    /// An order has lines.
    #[error("an order has 1 to {limit} lines, not {lines}")]
    LineCount {
        /// The bound.
        limit: usize,
        /// How many there are.
        lines: usize,
    },
    /// A quantity of an imported line is not positive, or too large.
    #[error("the quantity {quantity} of SKU {sku} is not positive")]
    QuantityNotPositive {
        /// The SKU.
        sku: Sku,
        /// The quantity.
        quantity: i64,
        /// The index of the line.
        line: usize,
    },
    /// A quantity of an imported line is larger than this engine counts.
    #[error("the quantity {quantity} of SKU {sku} is above {limit}")]
    QuantityTooLarge {
        /// The SKU.
        sku: Sku,
        /// The quantity.
        quantity: i64,
        /// The bound.
        limit: u32,
        /// The index of the line.
        line: usize,
    },
    /// An amount of an imported line is negative.
    #[error("an amount of SKU {sku} is negative")]
    AmountNegative {
        /// The SKU.
        sku: Sku,
        /// The index of the line.
        line: usize,
    },
    /// No product has this SKU.
    #[error("there is no SKU {sku}")]
    UnknownSku {
        /// The SKU.
        sku: Sku,
        /// The index of the line.
        line: usize,
    },
    /// History lies in the past.
    #[error("an imported order was placed in the past")]
    PlacedInTheFuture,
    /// Nobody has an order of such an age, but for a slip of the pen.
    #[error("an order was placed in the year {earliest} or later")]
    PlacedTooEarly {
        /// The first year.
        earliest: i32,
    },
}

impl OrderRefusal {
    pub(crate) const fn kind(&self) -> RefusalKind {
        match self {
            Self::OrderNotFound { .. } => RefusalKind::NotFound,
            Self::OrderNotYours { .. } => RefusalKind::NotYours,
            _ => RefusalKind::Rule,
        }
    }
}
