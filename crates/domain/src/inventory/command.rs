//! What can be asked of the inventory.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Quantity,
    ids::{LocationId, ReservationId, ReservationOwner, Sku},
    text::Reason,
};

/// Takes in goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveStock {
    /// The SKU; it must be known to the catalog.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// How many came in.
    pub quantity: Quantity,
    /// What they came with, such as a delivery note.
    #[serde(default)]
    pub reference: Option<Reason>,
}

/// Corrects what is on hand: a count, breakage, theft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustStock {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// How many more (or, negative, fewer) there are than the book says; not zero, at most ten million.
    #[schemars(range(min = -10_000_000, max = 10_000_000))]
    pub delta: i32,
    /// Why.
    pub reason: Reason,
}

/// Claims stock for an owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveStock {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// The id of the new reservation, chosen by the caller.
    pub reservation_id: ReservationId,
    /// Whose claim it is.
    pub owner: ReservationOwner,
    /// How many.
    pub quantity: Quantity,
    /// Until when the claim holds; for ever when left out.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Gives a reservation up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseStock {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// The reservation.
    pub reservation_id: ReservationId,
}

/// Turns a reservation into goods that have left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitReservation {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// The reservation.
    pub reservation_id: ReservationId,
}

/// Moves goods from one location to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferStock {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are.
    pub from: LocationId,
    /// Where they go.
    pub to: LocationId,
    /// How many; at most what is not reserved.
    pub quantity: Quantity,
}

/// Says whether a SKU may be sold beyond what is on hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBackorders {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// Whether backorders are on.
    pub allowed: bool,
}
