//! Changing how many units of a SKU a cart holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cart, LineNotFound, QuantityChanged, lines::offer, require_open::require_open};
use crate::{
    Context, Decide, Decision, Quantity, Reads, Rejection, Streams,
    catalog::SkuRecord,
    general::refuse_all,
    ids::{CartId, Sku},
    inventory::Line,
};

/// Sets how many units of a SKU a cart holds. A line that cannot be bought any more can only be removed.
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

impl Decide for ChangeQuantity {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
        reads.add::<SkuRecord>(&self.sku);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { cart_id, sku, quantity } = self.clone();
        let cart = require_open(cart_id, context, streams)?;
        let Some(at) = cart.lines.iter().position(|line| line.sku == sku) else {
            return Err(LineNotFound { cart_id, sku }.into());
        };
        if let Err(problems) = offer(&sku, quantity, cart, Line::OfCart(at), context, streams)? {
            refuse_all(problems, self.clone()).map_err(Rejection::Refused)?;
        }
        if cart.lines[at].quantity == quantity {
            return Ok(Decision::unchanged());
        }
        Ok(Decision::of::<Cart>(&cart_id, QuantityChanged { cart_id, sku, quantity }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Book, cart, code, opened, product};

    fn change(sku: &str, quantity: u32) -> Value {
        json!({ "cart_id": cart(1), "sku": sku, "quantity": quantity })
    }

    #[test]
    fn the_quantity_of_a_line_is_changed() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 2)]);
        assert_eq!(book.when("ChangeQuantity", change("a", 2)), Ok(vec![]), "it has that quantity already");
        assert_eq!(code(book.when("ChangeQuantity", change("b", 2))), "line_not_found");
        book.given("ChangeQuantity", change("a", 9));
        assert_eq!(opened(&book, 1).lines[0].quantity.units(), 9);
    }

    #[test]
    fn a_line_that_cannot_be_bought_any_more_can_only_be_removed() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 2)]).given("ArchiveProduct", json!({ "product_id": product(1) }));
        for quantity in [1, 2, 9] {
            assert_eq!(code(book.when("ChangeQuantity", change("a", quantity))), "no_longer_on_sale");
        }
        assert_eq!(book.pointer("ChangeQuantity", change("a", 9)).as_deref(), Some("/sku"));
        book.given("RemoveLine", json!({ "cart_id": cart(1), "sku": "a" }));
    }

    #[test]
    fn a_cart_may_hold_more_than_is_there() {
        let mut book = Book::with_product("a", 5);
        book.with_cart(1, &[("a", 2)]).given("ChangeQuantity", change("a", 500));
        assert_eq!(opened(&book, 1).lines[0].quantity.units(), 500);
    }
}
