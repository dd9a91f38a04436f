//! What carts say no to.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    Currency,
    ids::{CartId, Channel, Sku},
    refusal::RefusalKind,
};

/// A rule of carts said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum CartRefusal {
    /// The id is in use.
    #[error("cart {cart_id} exists already")]
    CartExists {
        /// The cart.
        cart_id: CartId,
    },
    /// There is no such cart.
    #[error("there is no cart {cart_id}")]
    CartNotFound {
        /// The cart.
        cart_id: CartId,
    },
    /// The cart belongs to somebody else.
    #[error("cart {cart_id} is somebody else's")]
    CartNotYours {
        /// The cart.
        cart_id: CartId,
    },
    /// The cart was checked out, merged or abandoned.
    #[error("cart {cart_id} is closed: it was {how}")]
    CartClosed {
        /// The cart.
        cart_id: CartId,
        /// What ended it.
        how: &'static str,
    },
    /// Nobody touched the cart for too long.
    #[error("cart {cart_id} expired at {expired_at}")]
    CartExpired {
        /// The cart.
        cart_id: CartId,
        /// When it expired.
        expired_at: DateTime<Utc>,
    },
    /// Only the customer themself and staff open a cart for a customer.
    #[error("a cart can be opened for oneself only")]
    CartForSomebodyElse,
    /// No product has this SKU.
    #[error("there is no SKU {sku}")]
    UnknownSku {
        /// The SKU.
        sku: Sku,
        /// The index of the line in the command.
        line: usize,
    },
    /// The product is not on sale.
    #[error("SKU {sku} is not on sale")]
    NotOnSale {
        /// The SKU.
        sku: Sku,
        /// The index of the line in the command.
        line: usize,
    },
    /// The SKU has no price in the currency and channel of the cart.
    #[error("SKU {sku} has no price in {currency} in channel {channel}")]
    NoPrice {
        /// The SKU.
        sku: Sku,
        /// The currency of the cart.
        currency: Currency,
        /// The channel of the cart.
        channel: Channel,
        /// The index of the line in the command.
        line: usize,
    },
    /// A command adds at least one line.
    #[error("there is no line to add")]
    NoLines,
    /// A cart has a bounded number of lines.
    #[error("a cart has at most {limit} lines; it would have {lines}")]
    TooManyLines {
        /// The bound.
        limit: usize,
        /// How many there would be.
        lines: usize,
    },
    /// A line has a bounded quantity.
    #[error("there would be more than {limit} of SKU {sku}")]
    QuantityTooLarge {
        /// The SKU.
        sku: Sku,
        /// The bound.
        limit: u32,
    },
    /// The cart has no line of that SKU.
    #[error("cart {cart_id} has no line of SKU {sku}")]
    LineNotFound {
        /// The cart.
        cart_id: CartId,
        /// The SKU.
        sku: Sku,
    },
    /// The line has that quantity already.
    #[error("the line of SKU {sku} has that quantity already")]
    QuantityUnchanged {
        /// The SKU.
        sku: Sku,
    },
    /// A cart cannot be merged into itself.
    #[error("cart {cart_id} cannot be merged into itself")]
    MergeIntoItself {
        /// The cart.
        cart_id: CartId,
    },
    /// The carts are quoted in different currencies or channels.
    #[error("carts of different currencies or channels cannot be merged")]
    CartsDiffer,
}

impl CartRefusal {
    pub(crate) const fn kind(&self) -> RefusalKind {
        match self {
            Self::CartNotFound { .. } => RefusalKind::NotFound,
            Self::CartNotYours { .. } | Self::CartForSomebodyElse => RefusalKind::NotYours,
            _ => RefusalKind::Rule,
        }
    }
}
