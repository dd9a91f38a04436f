//! Mutations of the inventory, for the back-office.

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};

use super::{queries::of_sku, types::Stock};
use crate::{
    graphql::mutation::{Carried, Done, Intent, inputs, payloads},
    reader::reader,
};

inputs! {
    /// Takes goods in.
    StockReceiveInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// How many.
        quantity: i64,
        /// What they came with.
        reference: Option<String>,
    }
    /// Corrects what is on hand.
    StockAdjustInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// How many more, or fewer.
        delta: i64,
        /// Why.
        reason: String,
    }
    /// Claims stock for an owner.
    StockReserveInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// The id of the new reservation; one that derives from the idempotency key when left out.
        reservation_id: Option<ID>,
        /// Whose claim it is.
        owner: String,
        /// How many.
        quantity: i64,
        /// Until when the claim holds; for ever when left out.
        expires_at: Option<DateTime<Utc>>,
    }
    /// Names a reservation.
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
        /// Where the goods are.
        from: String,
        /// Where they go.
        to: String,
        /// How many; at most what is not reserved.
        quantity: i64,
    }
    /// Says whether a SKU may be sold beyond what is on hand.
    StockBackordersSetInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// Whether backorders are on.
        allowed: bool,
    }
}

payloads! {
    StockPayload { stock: Vec<Stock> } by changed;
}

async fn changed(context: &Context<'_>, sku: &str) -> Done<Option<Vec<Stock>>> {
    of_sku(reader(context)?, &super::queries::sku(sku)?).await.map(Some)
}

#[derive(Default)]
pub(crate) struct InventoryMutation;

#[Object]
impl InventoryMutation {
    /// Takes goods in.
    async fn stock_receive(&self, context: &Context<'_>, input: StockReceiveInput) -> Carried<StockPayload> {
        Intent::of(context, "ReceiveStock", &input)?.carry_out("sku").await
    }

    /// Corrects what is on hand.
    async fn stock_adjust(&self, context: &Context<'_>, input: StockAdjustInput) -> Carried<StockPayload> {
        Intent::of(context, "AdjustStock", &input)?.carry_out("sku").await
    }

    /// Claims stock for an owner.
    async fn stock_reserve(&self, context: &Context<'_>, input: StockReserveInput) -> Carried<StockPayload> {
        let intent = Intent::of(context, "ReserveStock", &input)?.creating("reservation_id", "reservation");
        intent.carry_out("sku").await
    }

    /// Gives a reservation up.
    async fn stock_release(&self, context: &Context<'_>, input: ReservationInput) -> Carried<StockPayload> {
        Intent::of(context, "ReleaseStock", &input)?.carry_out("sku").await
    }

    /// Turns a reservation into goods that have left.
    async fn reservation_commit(&self, context: &Context<'_>, input: ReservationInput) -> Carried<StockPayload> {
        Intent::of(context, "CommitReservation", &input)?.carry_out("sku").await
    }

    /// Moves goods from one location to another.
    async fn stock_transfer(&self, context: &Context<'_>, input: StockTransferInput) -> Carried<StockPayload> {
        Intent::of(context, "TransferStock", &input)?.carry_out("sku").await
    }

    /// Says whether a SKU may be sold beyond what is on hand.
    async fn stock_backorders_set(
        &self,
        context: &Context<'_>,
        input: StockBackordersSetInput,
    ) -> Carried<StockPayload> {
        Intent::of(context, "SetBackorders", &input)?.carry_out("sku").await
    }
}
