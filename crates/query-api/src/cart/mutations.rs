//! Mutations of carts.

use async_graphql::{Context, ID, InputObject, Object};
use daybook_domain::Actor;
use serde::Serialize;

use super::{queries::by_id, types::Cart};
use crate::graphql::{
    mutation::{Carried, Done, Intent, inputs, parse, payloads},
    viewer::viewer,
};

/// A line to be added.
#[derive(Debug, Clone, InputObject, Serialize)]
pub(crate) struct LineInput {
    /// The SKU.
    sku: String,
    /// How many.
    quantity: i64,
}

inputs! {
    /// Opens a cart.
    CartOpenInput {
        /// The id of the new cart; one that derives from the idempotency key when left out.
        cart_id: Option<ID>,
        /// Whose cart it is; the caller's when left out.
        customer_id: Option<String>,
        /// The channel whose prices hold.
        channel: Option<String>,
        /// The currency of its prices.
        currency: String,
    }
    /// Adds lines to a cart: all or none.
    CartLinesAddInput {
        /// The cart.
        cart_id: ID,
        /// The lines.
        lines: Vec<LineInput>,
    }
    /// Sets the quantity of a line.
    CartLineQuantityChangeInput {
        /// The cart.
        cart_id: ID,
        /// The SKU of the line.
        sku: String,
        /// How many from now on.
        quantity: i64,
    }
    /// Takes a line out.
    CartLineRemoveInput {
        /// The cart.
        cart_id: ID,
        /// The SKU of the line.
        sku: String,
    }
    /// Moves all lines of one cart into another.
    CartsMergeInput {
        /// The cart that ends.
        from: ID,
        /// The cart that goes on.
        into: ID,
    }
    /// Gives a cart up.
    CartAbandonInput {
        /// The cart.
        cart_id: ID,
    }
}

payloads! {
    CartPayload { cart: Cart } by changed;
}

async fn changed(context: &Context<'_>, id: &str) -> Done<Option<Cart>> {
    by_id(context, parse(id)?).await
}

#[derive(Default)]
pub(crate) struct CartMutation;

#[Object]
impl CartMutation {
    /// Opens a cart: the caller's own, or a guest's.
    async fn cart_open(&self, context: &Context<'_>, input: CartOpenInput) -> Carried<CartPayload> {
        let mut intent = Intent::of(context, "OpenCart", &input)?.creating("cart_id", "cart");
        if let Actor::Customer(me) = &viewer(context)?.actor {
            intent = intent.with_default("customer_id", me)?;
        }
        intent.carry_out("cart_id").await
    }

    /// Adds lines to a cart: all or none.
    async fn cart_lines_add(&self, context: &Context<'_>, input: CartLinesAddInput) -> Carried<CartPayload> {
        Intent::of(context, "AddLines", &input)?.carry_out("cart_id").await
    }

    /// Sets the quantity of a line.
    async fn cart_line_quantity_change(
        &self,
        context: &Context<'_>,
        input: CartLineQuantityChangeInput,
    ) -> Carried<CartPayload> {
        Intent::of(context, "ChangeQuantity", &input)?.carry_out("cart_id").await
    }

    /// Takes a line out.
    async fn cart_line_remove(&self, context: &Context<'_>, input: CartLineRemoveInput) -> Carried<CartPayload> {
        Intent::of(context, "RemoveLine", &input)?.carry_out("cart_id").await
    }

    /// Moves all lines of one cart into another, as at login.
    async fn carts_merge(&self, context: &Context<'_>, input: CartsMergeInput) -> Carried<CartPayload> {
        Intent::of(context, "MergeCarts", &input)?.carry_out("into").await
    }

    /// Gives a cart up.
    async fn cart_abandon(&self, context: &Context<'_>, input: CartAbandonInput) -> Carried<CartPayload> {
        Intent::of(context, "AbandonCart", &input)?.carry_out("cart_id").await
    }
}
