//! The events of orders.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use daybook_kernel::time::stored;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Currency, Money, Quantity,
    ids::{CartId, Channel, CustomerId, CustomerRef, ExternalRef, LocationId, OrderId, ProductId, ReservationId, Sku},
    text::{Name, Prose, Reason},
};

/// A line of an order, as it was agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderLine {
    /// The SKU.
    pub sku: Sku,
    /// The product.
    pub product_id: ProductId,
    /// What the product was called.
    pub name: Name,
    /// What distinguished the variant from the others; absent in orders from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant_name: Option<Name>,
    /// The options of the variant by name; absent in orders from before they were kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<Name, Name>,
    /// How many.
    pub quantity: Quantity,
    /// The price of one unit.
    pub unit_price: Money,
    /// What is paid for the line.
    pub line_total: Money,
    /// Where the goods come from.
    pub location: LocationId,
    /// The claim on the stock.
    pub reservation_id: ReservationId,
}

/// What an order comes to. Frozen when it is placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// The sum of the lines before discounts.
    pub gross: Money,
    /// What was taken off.
    pub discount: Money,
    /// What is paid: gross less discount.
    pub net: Money,
}

/// A customer ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// The order.
    pub order_id: OrderId,
    /// The cart it was.
    pub cart_id: CartId,
    /// Whose order it is; a guest's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// The channel it came through.
    pub channel: Channel,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// Its lines, one per SKU.
    pub lines: Vec<OrderLine>,
    /// What it comes to.
    pub totals: Totals,
    /// When it was placed.
    #[serde(deserialize_with = "stored")]
    pub placed_at: DateTime<Utc>,
}

/// A line of an imported order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedLine {
    /// The SKU.
    pub sku: Sku,
    /// The product.
    pub product_id: ProductId,
    /// How many.
    pub quantity: Quantity,
    /// What was paid for the line, after discounts.
    pub line_total: Money,
    /// How much was taken off.
    pub discount: Money,
}

/// An order was imported from another system. It was delivered long ago and holds no stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderImported {
    /// The order.
    pub order_id: OrderId,
    /// Its id in the other system.
    pub external_ref: ExternalRef,
    /// Whose order it was; unknown when absent. The id derives from the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// The customer's id in the other system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_ref: Option<CustomerRef>,
    /// The channel it came through.
    pub channel: Channel,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// Its lines.
    pub lines: Vec<ImportedLine>,
    /// What it comes to.
    pub totals: Totals,
    /// When it was placed.
    #[serde(deserialize_with = "stored")]
    pub placed_at: DateTime<Utc>,
}

/// Declares the events that carry nothing but the order.
macro_rules! plain_events {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
            pub struct $name {
                /// The order.
                pub order_id: OrderId,
            }
        )*
    };
}

/// Declares the events that say why.
macro_rules! reasoned_events {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
            pub struct $name {
                /// The order.
                pub order_id: OrderId,
                /// Why.
                pub reason: Reason,
            }
        )*
    };
}

plain_events! {
    /// The shop accepted the order.
    OrderConfirmed,
    /// A held order goes on from where it was held.
    OrderResumed,
    /// Picking and packing began.
    FulfilmentStarted,
    /// The goods left.
    OrderShipped,
    /// The customer has the goods.
    OrderDelivered,
}

reasoned_events! {
    /// The order waits until staff has looked at it.
    OrderHeld,
    /// The order was called off.
    OrderCancelled,
    /// The goods came back.
    OrderReturned,
    /// The money went back.
    OrderRefunded,
}

/// Staff wrote a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoteAdded {
    /// The order.
    pub order_id: OrderId,
    /// The note.
    pub note: Prose,
}
