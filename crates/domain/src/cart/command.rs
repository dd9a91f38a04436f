//! What can be asked of a cart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Currency, Quantity,
    ids::{CartId, Channel, CustomerId, Sku},
};

/// Opens a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenCart {
    /// The id of the new cart, chosen by the caller. For a guest it is the key to the cart, so it must be unguessable.
    pub cart_id: CartId,
    /// Whose cart it is; when left out, the customer's who opens it, and otherwise a guest's.
    #[serde(default)]
    pub customer_id: Option<CustomerId>,
    /// The channel whose prices hold; `web` when left out.
    #[serde(default)]
    pub channel: Channel,
    /// The currency of its prices.
    pub currency: Currency,
}

/// A line to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLine {
    /// The SKU.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// Adds units of a SKU to a cart; to the line that it has, if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLine {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU.
    pub sku: Sku,
    /// How many more.
    pub quantity: Quantity,
}

/// Adds many lines to a cart: all of them or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLines {
    /// The cart.
    pub cart_id: CartId,
    /// The lines.
    pub lines: Vec<NewLine>,
}

/// Sets how many units of a SKU a cart holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeQuantity {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU; the cart must have a line of it.
    pub sku: Sku,
    /// How many from now on.
    pub quantity: Quantity,
}

/// Takes a line out of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveLine {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU of the line.
    pub sku: Sku,
}

/// Moves every line of one cart into another, as at login: quantities of the same SKU add up, and no line is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeCarts {
    /// The cart that ends: a guest's, or another one of the same customer.
    pub from: CartId,
    /// The cart that takes the lines.
    pub into: CartId,
}

/// Closes a cart that will not be bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbandonCart {
    /// The cart.
    pub cart_id: CartId,
}
