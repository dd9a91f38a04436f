//! Mutations of orders: those of customers, and those of staff.

use async_graphql::{Context, ID, Object};

use super::{queries::by_id, types::Order};
use crate::graphql::{
    input::MoneyInput,
    mutation::{Intent, MutationResult, inputs, parse, payloads},
};

inputs! {
    /// Checks a cart out.
    OrderPlaceInput {
        /// The cart.
        cart_id: ID,
        /// The id of the new order. By default it derives from the idempotency key.
        order_id: Option<ID>,
        /// The locations that the goods may come from, in the order of preference.
        locations: Option<Vec<String>>,
        /// The total that the customer was shown.
        expected_total: Option<MoneyInput>,
    }
    /// Moves an order to another phase.
    OrderMoveInput {
        /// The order.
        order_id: ID,
    }
    /// Moves an order to another phase, with a reason.
    OrderReasonedMoveInput {
        /// The order.
        order_id: ID,
        /// The reason.
        reason: String,
    }
    /// Adds a note to an order.
    OrderNoteAddInput {
        /// The order.
        order_id: ID,
        /// The note.
        note: String,
    }
}

payloads! {
    OrderPayload { order: Order } by changed;
}

async fn changed(context: &Context<'_>, id: &str) -> async_graphql::Result<Option<Order>> {
    by_id(context, parse(id)?).await
}

#[derive(Default)]
pub(crate) struct OrderMutation;

#[Object]
impl OrderMutation {
    /// Checks a cart out. The order is placed, its stock is reserved and the cart is closed, or nothing happens.
    async fn order_place(&self, context: &Context<'_>, input: OrderPlaceInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "PlaceOrder", &input)?.creating("order_id", "order")?.execute("order_id").await
    }

    /// Cancels an order, and releases its stock.
    async fn order_cancel(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "CancelOrder", &input)?.execute("order_id").await
    }
}

#[derive(Default)]
pub(crate) struct BackOfficeOrderMutation;

#[Object]
impl BackOfficeOrderMutation {
    /// Confirms an order.
    async fn order_confirm(&self, context: &Context<'_>, input: OrderMoveInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "ConfirmOrder", &input)?.execute("order_id").await
    }

    /// Puts an order on hold.
    async fn order_hold(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "HoldOrder", &input)?.execute("order_id").await
    }

    /// Resumes an order that is on hold.
    async fn order_resume(&self, context: &Context<'_>, input: OrderMoveInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "ResumeOrder", &input)?.execute("order_id").await
    }

    /// Starts the fulfilment of an order.
    async fn order_start_fulfilment(
        &self,
        context: &Context<'_>,
        input: OrderMoveInput,
    ) -> MutationResult<OrderPayload> {
        Intent::of(context, "StartFulfilment", &input)?.execute("order_id").await
    }

    /// Records that the goods were shipped.
    async fn order_ship(&self, context: &Context<'_>, input: OrderMoveInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "ShipOrder", &input)?.execute("order_id").await
    }

    /// Records that the customer has received the goods.
    async fn order_deliver(&self, context: &Context<'_>, input: OrderMoveInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "DeliverOrder", &input)?.execute("order_id").await
    }

    /// Records that the goods were returned.
    async fn order_return(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "ReturnOrder", &input)?.execute("order_id").await
    }

    /// Records that the money was refunded.
    async fn order_refund(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "RefundOrder", &input)?.execute("order_id").await
    }

    /// Adds a note to an order.
    async fn order_note_add(&self, context: &Context<'_>, input: OrderNoteAddInput) -> MutationResult<OrderPayload> {
        Intent::of(context, "AddNote", &input)?.execute("order_id").await
    }
}
