//! Changing how many units of a SKU a cart holds.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cart, LineNotFound, QuantityChanged, require_open::require_open};
use crate::{
    Context, Decide, Decision, Quantity, Reads, Rejection, Streams,
    ids::{CartId, Sku},
};

/// Sets how many units of a SKU a cart holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeQuantity {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU; the cart must have a line of it.
    pub sku: Sku,
    /// How many from now on.
    pub quantity: Quantity,
}

refusals! {
    /// The line has that quantity already.
    "quantity_unchanged" QuantityUnchanged: Rule at "quantity" = "the line of SKU {sku} has that quantity already", {
        /// The SKU.
        sku: Sku,
    }
}

impl Decide for ChangeQuantity {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { cart_id, sku, quantity } = self.clone();
        match require_open(cart_id, context, streams)?.line(&sku) {
            None => Err(LineNotFound { cart_id, sku }.into()),
            Some(line) if line.quantity == quantity => Err(QuantityUnchanged { sku }.into()),
            Some(_) => Ok(Decision::of::<Cart>(&cart_id, QuantityChanged { cart_id, sku, quantity })),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Book, cart, code, opened};

    fn change(sku: &str, quantity: u32) -> Value {
        json!({ "cart_id": cart(1), "sku": sku, "quantity": quantity })
    }

    #[test]
    fn the_quantity_of_a_line_is_changed() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 2)]);
        assert_eq!(code(book.when("ChangeQuantity", change("a", 2))), "quantity_unchanged");
        assert_eq!(code(book.when("ChangeQuantity", change("b", 2))), "line_not_found");
        book.given("ChangeQuantity", change("a", 9));
        assert_eq!(opened(&book, 1).lines[0].quantity.units(), 9);
    }
}
