//! What can be asked of orders.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Currency, Money,
    ids::{CartId, Channel, CustomerId, ExternalRef, LocationId, OrderId, Sku},
    text::{Prose, Reason},
};

fn default_locations() -> Vec<LocationId> {
    vec![LocationId::default()]
}

/// Checks a cart out: quotes it at the prices of now, reserves the stock, freezes the totals and closes the cart, all of it
/// or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// The cart.
    pub cart_id: CartId,
    /// The id of the new order, chosen by the caller. For a guest it is the key to the order, so it must be unguessable.
    pub order_id: OrderId,
    /// Where the goods may come from, in the order of preference; each line comes from one place. `main` when left out.
    #[serde(default = "default_locations")]
    #[schemars(length(min = 1, max = 20))]
    pub locations: Vec<LocationId>,
    /// The total that the customer was shown. If it has changed since, the order is refused with both.
    #[serde(default)]
    pub expected_total: Option<Money>,
}

/// Declares the moves that carry nothing but the order.
macro_rules! plain_moves {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                /// The order.
                pub order_id: OrderId,
            }
        )*
    };
}

/// Declares the moves that say why.
macro_rules! reasoned_moves {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                /// The order.
                pub order_id: OrderId,
                /// Why; kept in the history of the order.
                pub reason: Reason,
            }
        )*
    };
}

plain_moves! {
    /// Accepts an order.
    ConfirmOrder,
    /// Lets a held order go on from where it was held.
    ResumeOrder,
    /// Starts to pick and pack.
    StartFulfilment,
    /// Sends the goods; the reservations become goods that have left.
    ShipOrder,
    /// Notes that the customer has the goods.
    DeliverOrder,
}

reasoned_moves! {
    /// Holds an order until somebody has looked at it.
    HoldOrder,
    /// Calls an order off; its reservations are released.
    CancelOrder,
    /// Notes that the goods have come back.
    ReturnOrder,
    /// Notes that the money has gone back.
    RefundOrder,
}

/// Adds a note for staff to the history of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddNote {
    /// The order.
    pub order_id: OrderId,
    /// The note.
    pub note: Prose,
}

/// A line of an order from another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoricalLine {
    /// The SKU; it must be known to the catalog.
    pub sku: Sku,
    /// How many; one that is not positive refuses the whole order.
    pub quantity: i64,
    /// What was paid for the line, after discounts, in minor units of the order's currency.
    pub line_total: i64,
    /// How much was taken off, in minor units.
    #[serde(default)]
    pub discount: i64,
}

/// Takes in an order from another system: it appears in history and sales figures like any other, and touches no stock. An
/// order is known by its `external_ref`, so the second import of it is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportOrder {
    /// Its id in the other system.
    pub external_ref: ExternalRef,
    /// Whose order it was.
    #[serde(default)]
    pub customer_ref: Option<CustomerId>,
    /// The channel it came through; `web` when left out.
    #[serde(default)]
    pub channel: Channel,
    /// When it was placed; not in the future.
    pub placed_at: DateTime<Utc>,
    /// The currency of its amounts.
    pub currency: Currency,
    /// Its lines.
    pub lines: Vec<HistoricalLine>,
}
