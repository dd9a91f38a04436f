//! The events of carts.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Currency, Money, Quantity,
    ids::{CartId, Channel, CustomerId, OrderId, ProductId, Sku},
};

/// A cart was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CartOpened {
    /// The cart.
    pub cart_id: CartId,
    /// Whose cart it is; a guest's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// The channel whose prices hold.
    pub channel: Channel,
    /// The currency of its prices.
    pub currency: Currency,
}

/// Units of a SKU were added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineAdded {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU.
    pub sku: Sku,
    /// The product that the SKU belongs to; absent in events of books that were written before carts knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// How many were added.
    pub quantity: Quantity,
    /// The price of one unit at that time.
    pub unit_price: Money,
}

/// The quantity of a line was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuantityChanged {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU of the line.
    pub sku: Sku,
    /// How many from now on.
    pub quantity: Quantity,
}

/// A line was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineRemoved {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU of the line.
    pub sku: Sku,
}

/// A line that came from another cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MergedLine {
    /// The SKU.
    pub sku: Sku,
    /// The product that the SKU belongs to, where the other cart knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// How many the cart holds from now on.
    pub quantity: Quantity,
    /// The price of one unit when it was first added to either cart.
    pub unit_price: Money,
}

/// A cart took the lines of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CartMerged {
    /// The cart that goes on.
    pub cart_id: CartId,
    /// The cart that ended.
    pub from: CartId,
    /// The lines that changed.
    pub lines: Vec<MergedLine>,
}

/// A cart ended; another one has its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CartMergedInto {
    /// The cart that ended.
    pub cart_id: CartId,
    /// The cart that goes on.
    pub into: CartId,
}

/// A cart was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CartAbandoned {
    /// The cart.
    pub cart_id: CartId,
}

/// A cart was not changed for too long, and ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CartExpired {
    /// The cart.
    pub cart_id: CartId,
    /// Until when it could be bought.
    pub expired_at: DateTime<Utc>,
}

/// A cart became an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CartCheckedOut {
    /// The cart.
    pub cart_id: CartId,
    /// The order.
    pub order_id: OrderId,
}
