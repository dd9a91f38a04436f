//! The events of stock.

use chrono::{DateTime, Utc};
use daybook_kernel::time::stored_option;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Quantity,
    ids::{LocationId, ReservationId, ReservationOwner, Sku},
    text::Reason,
};

/// Goods came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReceived {
    /// The SKU.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many.
    pub quantity: Quantity,
    /// What they came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reason>,
}

/// What is on hand was corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockAdjusted {
    /// The SKU.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many more, or fewer.
    pub delta: i32,
    /// Why.
    pub reason: Reason,
}

/// Stock was claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReserved {
    /// The SKU.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The reservation.
    pub reservation_id: ReservationId,
    /// Whose claim it is.
    pub owner: ReservationOwner,
    /// How many.
    pub quantity: Quantity,
    /// Until when the claim holds; for ever when absent.
    #[serde(default, deserialize_with = "stored_option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a reservation ended without goods leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseCause {
    /// Its owner gave it up.
    GivenUp,
    /// Its time was over.
    Expired,
    /// The order that held it was cancelled.
    OrderCancelled,
}

/// A claim ended; the stock is free again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReservationReleased {
    /// The SKU.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The reservation.
    pub reservation_id: ReservationId,
    /// Whose claim it was.
    pub owner: ReservationOwner,
    /// How many.
    pub quantity: Quantity,
    /// Why.
    pub cause: ReleaseCause,
}

/// Reserved goods left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReservationCommitted {
    /// The SKU.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The reservation.
    pub reservation_id: ReservationId,
    /// Whose claim it was.
    pub owner: ReservationOwner,
    /// How many.
    pub quantity: Quantity,
}

/// Goods left for another location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockTransferredOut {
    /// The SKU.
    pub sku: Sku,
    /// Where they were.
    pub location: LocationId,
    /// Where they go.
    pub to: LocationId,
    /// How many.
    pub quantity: Quantity,
}

/// Goods arrived from another location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockTransferredIn {
    /// The SKU.
    pub sku: Sku,
    /// Where they are.
    pub location: LocationId,
    /// Where they were.
    pub from: LocationId,
    /// How many.
    pub quantity: Quantity,
}

/// The SKU may be sold beyond what is on hand, from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackordersAllowed {
    /// The SKU.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
}

/// The SKU may only be sold while it is on hand, from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackordersForbidden {
    /// The SKU.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
}
