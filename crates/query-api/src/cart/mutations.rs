//! Mutations of carts.

use async_graphql::{Context, ID, InputObject, Object};
use serde::Serialize;

use super::{queries::by_id, types::Cart};
use crate::graphql::mutation::{Intent, MutationResult, inputs, parse, payloads};

/// A line that is added to a cart.
#[derive(Debug, Clone, InputObject, Serialize)]
pub(crate) struct LineInput {
    /// The SKU.
    sku: String,
    /// How many units.
    quantity: i64,
}

inputs! {
    /// Opens a cart.
    CartOpenInput {
        /// The id of the new cart. By default it derives from the idempotency key.
        cart_id: Option<ID>,
        /// The customer whose cart it is. By default it is the caller's cart.
        customer_id: Option<String>,
        /// The channel whose prices apply. By default it is the first that the storefront serves.
        channel: Option<String>,
        /// The currency of its prices.
        currency: String,
    }
    /// Adds lines to a cart: all of them or none.
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
        /// The new quantity.
        quantity: i64,
    }
    /// Removes a line from a cart.
    CartLineRemoveInput {
        /// The cart.
        cart_id: ID,
        /// The SKU of the line.
        sku: String,
    }
    /// Moves all lines of one cart into another.
    CartsMergeInput {
        /// The cart that is closed.
        from: ID,
        /// The cart that gets the lines. Without it, or with the id of a new cart, a customer gets a new cart of their own.
        into: Option<ID>,
    }
    /// Abandons a cart.
    CartAbandonInput {
        /// The cart.
        cart_id: ID,
    }
}

payloads! {
    CartPayload { cart: Cart } by changed;
}

async fn changed(context: &Context<'_>, id: &str) -> async_graphql::Result<Option<Cart>> {
    by_id(context, parse(id)?).await
}

#[derive(Default)]
pub(crate) struct CartMutation;

#[Object]
impl CartMutation {
    /// Opens a cart for the caller, or for a guest.
    async fn cart_open(&self, context: &Context<'_>, input: CartOpenInput) -> MutationResult<CartPayload> {
        Intent::of(context, "OpenCart", &input)?.creating("cart_id", "cart")?.execute("cart_id").await
    }

    /// Adds lines to a cart: all of them or none.
    async fn cart_lines_add(&self, context: &Context<'_>, input: CartLinesAddInput) -> MutationResult<CartPayload> {
        Intent::of(context, "AddLines", &input)?.execute("cart_id").await
    }

    /// Sets the quantity of a line.
    async fn cart_line_quantity_change(
        &self,
        context: &Context<'_>,
        input: CartLineQuantityChangeInput,
    ) -> MutationResult<CartPayload> {
        Intent::of(context, "ChangeQuantity", &input)?.execute("cart_id").await
    }

    /// Removes a line from a cart.
    async fn cart_line_remove(&self, context: &Context<'_>, input: CartLineRemoveInput) -> MutationResult<CartPayload> {
        Intent::of(context, "RemoveLine", &input)?.execute("cart_id").await
    }

    /// Moves all lines of one cart into another, as at login.
    async fn carts_merge(&self, context: &Context<'_>, input: CartsMergeInput) -> MutationResult<CartPayload> {
        Intent::of(context, "MergeCarts", &input)?.creating("into", "cart")?.execute("into").await
    }

    /// Abandons a cart.
    async fn cart_abandon(&self, context: &Context<'_>, input: CartAbandonInput) -> MutationResult<CartPayload> {
        Intent::of(context, "AbandonCart", &input)?.execute("cart_id").await
    }
}
