//! Adding units of a SKU to a cart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cart,
    lines::{NewLine, add},
};
use crate::{
    Context, Decide, Decision, Quantity, Reads, Rejection, Streams,
    catalog::SkuRecord,
    ids::{CartId, Sku},
    inventory::Line,
};

/// Adds units of a SKU to a cart; to the line that it has, if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLine {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU.
    pub sku: Sku,
    /// How many more.
    pub quantity: Quantity,
}

impl Decide for AddLine {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
        reads.add::<SkuRecord>(&self.sku);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let lines = [NewLine { sku: self.sku.clone(), quantity: self.quantity }];
        add(self.cart_id, &lines, self.clone(), |_| Line::None, context, streams)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Book, cart, code, opened, product};

    fn line(number: u128, sku: &str, quantity: u32) -> Value {
        json!({ "cart_id": cart(number), "sku": sku, "quantity": quantity })
    }

    #[test]
    fn quantities_of_one_sku_add_up_in_one_line() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 2), ("a", 3)]);
        assert_eq!(opened(&book, 1).lines[0].quantity.units(), 5);
        assert_eq!(code(book.when("AddLine", line(1, "a", 10_000_000))), "quantity_too_large");
    }

    #[test]
    fn a_line_comes_to_what_an_order_may_come_to() {
        let mut book = Book::with_product("a", 1);
        book.put_on_sale(2, "b", 100_000_000_000, 1).with_cart(1, &[("b", 60)]).with_cart(2, &[("b", 41)]);
        for more in [41, 10_000] {
            assert_eq!(code(book.when("AddLine", line(1, "b", more))), "amount_overflow");
            assert_eq!(book.pointer("AddLine", line(1, "b", more)).as_deref(), Some("/quantity"));
        }
        let lines =
            json!({ "cart_id": cart(1), "lines": [{ "sku": "a", "quantity": 1 }, { "sku": "b", "quantity": 41 }] });
        assert_eq!(book.pointer("AddLines", lines).as_deref(), Some("/lines/1/quantity"));
        assert_eq!(code(book.when("ChangeQuantity", line(1, "b", 101))), "amount_overflow");
        assert_eq!(code(book.when("MergeCarts", json!({ "from": cart(2), "into": cart(1) }))), "amount_overflow");
        book.given("AddLine", line(1, "b", 40));
        assert_eq!(opened(&book, 1).lines[0].quantity.units(), 100);
    }

    #[test]
    fn only_what_is_on_sale_in_the_currency_of_the_cart_is_added() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[]);
        book.given("OpenCart", json!({ "cart_id": cart(2), "currency": "USD" }));
        book.given("CreateProduct", json!({ "product_id": product(2), "name": "P", "variants": [{ "sku": "b" }] }));
        assert_eq!(code(book.when("AddLine", line(1, "c", 1))), "unknown_sku");
        assert_eq!(code(book.when("AddLine", line(1, "b", 1))), "not_on_sale");
        assert_eq!(code(book.when("AddLine", line(2, "a", 1))), "no_price");
    }

    #[test]
    fn a_refusal_points_at_the_field_that_it_objects_to() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[]);
        assert_eq!(book.pointer("AddLine", line(1, "c", 1)).as_deref(), Some("/sku"));
        let refusal = book.when("AddLine", line(1, "c", 1)).expect_err("it is unknown");
        assert!(!refusal.data().contains_key("line"), "the body has no lines");
        assert_eq!(book.pointer("AddLine", line(9, "a", 1)).as_deref(), Some("/cart_id"));
    }
}
