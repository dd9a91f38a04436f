//! Mutations of the inventory, for the back-office.

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};

use super::{queries::of_sku, types::Stock};
use crate::graphql::{
    mutation::{Intent, MutationResult, inputs, payloads},
    weight,
};

inputs! {
    /// Receives goods.
    StockReceiveInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// How many units.
        quantity: i64,
        /// The reference of the delivery.
        reference: Option<String>,
    }
    /// Corrects the quantity on hand.
    StockAdjustInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// How many units more or, when negative, fewer.
        delta: i64,
        /// The reason.
        reason: String,
    }
    /// Reserves stock for an owner.
    StockReserveInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// The id of the new reservation. By default it derives from the idempotency key.
        reservation_id: Option<ID>,
        /// The owner of the reservation.
        owner: String,
        /// How many units.
        quantity: i64,
        /// When the reservation expires. Without it the reservation never expires.
        expires_at: Option<DateTime<Utc>>,
    }
    /// The reservation to release or commit.
    ReservationInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// The reservation.
        reservation_id: ID,
    }
    /// Moves goods from one location to another.
    StockTransferInput {
        /// The SKU.
        sku: String,
        /// The location that the goods leave.
        from: String,
        /// The location that receives the goods.
        to: String,
        /// How many units; at most those that are not reserved.
        quantity: i64,
    }
    /// Allows or forbids to sell more units of a SKU than are on hand.
    StockBackordersSetInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// Whether backorders are allowed.
        allowed: bool,
    }
}

payloads! {
    StockPayload { stock: Vec<Stock>, up_to weight::LOCATIONS } by changed;
}

async fn changed(context: &Context<'_>, sku: &str) -> async_graphql::Result<Option<Vec<Stock>>> {
    of_sku(context, &super::queries::sku(sku)?).await.map(Some)
}

#[derive(Default)]
pub(crate) struct InventoryMutation;

#[Object]
impl InventoryMutation {
    /// Receives goods.
    async fn stock_receive(&self, context: &Context<'_>, input: StockReceiveInput) -> MutationResult<StockPayload> {
        Intent::of(context, "ReceiveStock", &input)?.execute("sku").await
    }

    /// Corrects the quantity on hand.
    async fn stock_adjust(&self, context: &Context<'_>, input: StockAdjustInput) -> MutationResult<StockPayload> {
        Intent::of(context, "AdjustStock", &input)?.execute("sku").await
    }

    /// Reserves stock for an owner.
    async fn stock_reserve(&self, context: &Context<'_>, input: StockReserveInput) -> MutationResult<StockPayload> {
        let intent = Intent::of(context, "ReserveStock", &input)?.creating("reservation_id", "reservation");
        intent.execute("sku").await
    }

    /// Releases a reservation.
    async fn stock_release(&self, context: &Context<'_>, input: ReservationInput) -> MutationResult<StockPayload> {
        Intent::of(context, "ReleaseStock", &input)?.execute("sku").await
    }

    /// Commits a reservation: its goods have left the location.
    async fn reservation_commit(&self, context: &Context<'_>, input: ReservationInput) -> MutationResult<StockPayload> {
        Intent::of(context, "CommitReservation", &input)?.execute("sku").await
    }

    /// Moves goods from one location to another.
    async fn stock_transfer(&self, context: &Context<'_>, input: StockTransferInput) -> MutationResult<StockPayload> {
        Intent::of(context, "TransferStock", &input)?.execute("sku").await
    }

    /// Allows or forbids to sell more units of a SKU than are on hand.
    async fn stock_backorders_set(
        &self,
        context: &Context<'_>,
        input: StockBackordersSetInput,
    ) -> MutationResult<StockPayload> {
        Intent::of(context, "SetBackorders", &input)?.execute("sku").await
    }
}
