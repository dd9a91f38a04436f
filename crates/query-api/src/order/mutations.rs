//! Mutations of orders: what customers may do, and what staff may do beside it.

use async_graphql::{Context, ID, Object};

use super::{queries::by_id, types::Order};
use crate::graphql::{
    input::MoneyInput,
    mutation::{Carried, Done, Intent, inputs, parse, payloads},
};

inputs! {
    /// Checks a cart out.
    OrderPlaceInput {
        /// The cart.
        cart_id: ID,
        /// The id of the new order; one that derives from the idempotency key when left out.
        order_id: Option<ID>,
        /// Where the goods may come from, in the order of preference.
        locations: Option<Vec<String>>,
        /// The total that the customer was shown.
        expected_total: Option<MoneyInput>,
    }
    /// Moves an order on.
    OrderMoveInput {
        /// The order.
        order_id: ID,
    }
    /// Moves an order on, and says why.
    OrderReasonedMoveInput {
        /// The order.
        order_id: ID,
        /// Why.
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

async fn changed(context: &Context<'_>, id: &str) -> Done<Option<Order>> {
    by_id(context, parse(id)?).await
}

#[derive(Default)]
pub(crate) struct OrderMutation;

#[Object]
impl OrderMutation {
    /// Checks a cart out: prices, stock, order and cart in one, or nothing.
    async fn order_place(&self, context: &Context<'_>, input: OrderPlaceInput) -> Carried<OrderPayload> {
        Intent::of(context, "PlaceOrder", &input)?.creating("order_id", "order").carry_out("order_id").await
    }

    /// Calls an order off; its stock is free again.
    async fn order_cancel(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> Carried<OrderPayload> {
        Intent::of(context, "CancelOrder", &input)?.carry_out("order_id").await
    }
}

#[derive(Default)]
pub(crate) struct BackOfficeOrderMutation;

#[Object]
impl BackOfficeOrderMutation {
    /// Accepts an order.
    async fn order_confirm(&self, context: &Context<'_>, input: OrderMoveInput) -> Carried<OrderPayload> {
        Intent::of(context, "ConfirmOrder", &input)?.carry_out("order_id").await
    }

    /// Holds an order.
    async fn order_hold(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> Carried<OrderPayload> {
        Intent::of(context, "HoldOrder", &input)?.carry_out("order_id").await
    }

    /// Lets a held order go on.
    async fn order_resume(&self, context: &Context<'_>, input: OrderMoveInput) -> Carried<OrderPayload> {
        Intent::of(context, "ResumeOrder", &input)?.carry_out("order_id").await
    }

    /// Starts to pick and pack.
    async fn order_start_fulfilment(&self, context: &Context<'_>, input: OrderMoveInput) -> Carried<OrderPayload> {
        Intent::of(context, "StartFulfilment", &input)?.carry_out("order_id").await
    }

    /// Sends the goods.
    async fn order_ship(&self, context: &Context<'_>, input: OrderMoveInput) -> Carried<OrderPayload> {
        Intent::of(context, "ShipOrder", &input)?.carry_out("order_id").await
    }

    /// Notes that the customer has the goods.
    async fn order_deliver(&self, context: &Context<'_>, input: OrderMoveInput) -> Carried<OrderPayload> {
        Intent::of(context, "DeliverOrder", &input)?.carry_out("order_id").await
    }

    /// Notes that the goods have come back.
    async fn order_return(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> Carried<OrderPayload> {
        Intent::of(context, "ReturnOrder", &input)?.carry_out("order_id").await
    }

    /// Notes that the money has gone back.
    async fn order_refund(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> Carried<OrderPayload> {
        Intent::of(context, "RefundOrder", &input)?.carry_out("order_id").await
    }

    /// Adds a note to the history of an order.
    async fn order_note_add(&self, context: &Context<'_>, input: OrderNoteAddInput) -> Carried<OrderPayload> {
        Intent::of(context, "AddNote", &input)?.carry_out("order_id").await
    }
}
