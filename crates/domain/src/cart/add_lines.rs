//! Adding many lines to a cart at once.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cart,
    lines::{NewLine, add, skus},
    policy::{MAX_LINES, MAX_NEW_LINES},
};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, catalog::SkuRecord, ids::CartId, inventory::Line};

/// Adds many lines to a cart: all of them or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLines {
    /// The cart.
    pub cart_id: CartId,
    /// The lines. Those of one SKU become one line of the cart.
    #[schemars(length(min = 1, max = MAX_NEW_LINES))]
    pub lines: Vec<NewLine>,
}

refusals! {
    /// A command adds at least one line.
    "no_lines" NoLines: Rule at "lines" = "there is no line to add", {}
    /// A command adds a bounded number of lines.
    "too_many_new_lines" TooManyNewLines: Rule at "lines" = "a command adds at most {limit} lines, not {lines}", {
        /// The limit.
        limit: usize,
        /// How many there are.
        lines: usize,
    }
}

impl Decide for AddLines {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
        // More are refused without a look at their SKUs.
        if self.lines.len() <= MAX_NEW_LINES && skus(&self.lines).len() <= MAX_LINES {
            reads.add_all::<SkuRecord>(self.lines.iter().map(|line| &line.sku));
        }
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        if self.lines.is_empty() {
            return Err(NoLines {}.into());
        }
        if self.lines.len() > MAX_NEW_LINES {
            return Err(TooManyNewLines { limit: MAX_NEW_LINES, lines: self.lines.len() }.into());
        }
        add(self.cart_id, &self.lines, self.clone(), Line::OfCommand, context, streams)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        Money, Quantity,
        cart::{
            Cart, LineAdded,
            policy::{MAX_LINES, MAX_NEW_LINES},
        },
        spec::{Book, cart, code, opened},
    };

    fn add(lines: &[Value]) -> Value {
        json!({ "cart_id": cart(1), "lines": lines })
    }

    #[test]
    fn quantities_of_one_sku_add_up_in_one_line() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 5)]);
        let one = json!({ "sku": "a", "quantity": 1 });
        book.given("AddLines", add(&[one.clone(), one]));
        assert_eq!(opened(&book, 1).lines[0].quantity.units(), 7);
        assert_eq!(code(book.when("AddLines", add(&[]))), "no_lines");
    }

    #[test]
    fn many_units_that_are_scanned_one_by_one_are_one_line() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[]);
        let scans = vec![json!({ "sku": "a", "quantity": 1 }); MAX_NEW_LINES];
        book.given("AddLines", add(&scans));
        let quantity = opened(&book, 1).lines[0].quantity.units();
        assert_eq!((opened(&book, 1).lines.len(), usize::try_from(quantity)), (1, Ok(MAX_NEW_LINES)));
        let one_more = [scans, vec![json!({ "sku": "a", "quantity": 1 })]].concat();
        assert_eq!(code(book.when("AddLines", add(&one_more))), "too_many_new_lines");
    }

    #[test]
    fn a_cart_holds_as_many_lines_as_can_be_ordered() {
        let mut book = Book::new();
        let lines: Vec<_> = (0..=MAX_LINES).map(|nr| json!({ "sku": format!("s{nr}"), "quantity": 1 })).collect();
        for nr in 0..=MAX_LINES {
            book.put_on_sale(nr as u128 + 1, &format!("s{nr}"), 100, 1);
        }
        book.with_cart(1, &[]);
        assert_eq!(code(book.when("AddLines", add(&lines))), "too_many_lines");
        book.given("AddLines", add(&lines[..MAX_LINES]));
        let one_more = json!({ "cart_id": cart(1), "sku": format!("s{MAX_LINES}"), "quantity": 1 });
        assert_eq!(code(book.when("AddLine", one_more)), "too_many_lines");
        book.given("PlaceOrder", json!({ "cart_id": cart(1), "order_id": cart(1) }));
    }

    #[test]
    fn a_cart_from_before_the_limit_can_have_more_of_what_it_holds_and_an_order_says_what_is_too_many() {
        let mut book = Book::new();
        book.with_cart(1, &[]);
        for nr in 0..=MAX_LINES {
            book.put_on_sale(nr as u128 + 1, &format!("s{nr}"), 100, 9);
            let sku = format!("s{nr}").parse().expect("a SKU");
            let line = LineAdded {
                cart_id: cart(1),
                sku,
                product_id: None,
                quantity: Quantity::new(1).expect("it is positive"),
                unit_price: Money::new(100, "EUR".parse().expect("a currency")),
            };
            book.happened::<Cart>(&cart(1), line);
        }
        let one = |sku: &str| json!({ "cart_id": cart(1), "sku": sku, "quantity": 1 });
        book.given("AddLine", one("s0"));
        book.put_on_sale(9_000, "new", 100, 9);
        assert_eq!(code(book.when("AddLine", one("new"))), "too_many_lines");
        let place = json!({ "cart_id": cart(1), "order_id": cart(1) });
        assert_eq!(code(book.when("PlaceOrder", place.clone())), "too_many_lines");
        assert_eq!(book.pointer("PlaceOrder", place).as_deref(), Some("/cart_id"));
    }

    #[test]
    fn every_line_that_cannot_be_added_is_named() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[]);
        let line = |sku: &str| json!({ "sku": sku, "quantity": 1 });
        let refusal = book.when("AddLines", add(&[line("b"), line("a"), line("c")])).expect_err("two are unknown");
        assert_eq!(refusal.code(), "several_problems");
        let problem = |nr: usize, sku: &str| {
            json!({ "code": "unknown_sku", "message": format!("there is no SKU {sku}"), "sku": sku, "line": nr,
                    "pointer": format!("/lines/{nr}/sku") })
        };
        assert_eq!(refusal.data()["problems"], json!([problem(0, "b"), problem(2, "c")]));
        assert_eq!(opened(&book, 1).lines, []);
    }

    #[test]
    fn a_refusal_points_at_the_line_that_it_objects_to() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[]);
        let lines = [json!({ "sku": "a", "quantity": 1 }), json!({ "sku": "c", "quantity": 1 })];
        assert_eq!(book.pointer("AddLines", add(&lines)).as_deref(), Some("/lines/1/sku"));
    }
}
