//! Adding many lines to a cart at once.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cart,
    lines::{NewLine, add},
    policy::MAX_LINES,
};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, catalog::SkuRecord, ids::CartId};

/// Adds many lines to a cart: all of them or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLines {
    /// The cart.
    pub cart_id: CartId,
    /// The lines.
    #[schemars(length(min = 1, max = MAX_LINES))]
    pub lines: Vec<NewLine>,
}

refusals! {
    /// A command adds at least one line.
    "no_lines" NoLines: Rule at "lines" = "there is no line to add", {}
}

impl Decide for AddLines {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
        // More lines are refused without a look at their SKUs.
        if self.lines.len() <= MAX_LINES {
            reads.add_all::<SkuRecord>(self.lines.iter().map(|line| &line.sku));
        }
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        if self.lines.is_empty() {
            return Err(NoLines {}.into());
        }
        add(self.cart_id, &self.lines, context, streams)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        cart::policy::MAX_LINES,
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
    fn a_refusal_points_at_the_line_that_it_objects_to() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[]);
        let lines = [json!({ "sku": "a", "quantity": 1 }), json!({ "sku": "c", "quantity": 1 })];
        assert_eq!(book.pointer("AddLines", add(&lines)).as_deref(), Some("/lines/1/sku"));
    }
}
