//! Holding an order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Order, OrderHeld, existing::check_move};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::OrderId, text::Reason};

/// Holds an order until staff has looked at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldOrder {
    /// The order.
    pub order_id: OrderId,
    /// Why; kept in the history of the order.
    pub reason: Reason,
}

impl Decide for HoldOrder {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { order_id, reason } = self.clone();
        check_move(order_id, "HoldOrder", context, streams)?;
        Ok(Decision::of::<Order>(&order_id, OrderHeld { order_id, reason }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        order::Phase,
        spec::{Book, code, move_to, order, phase, way_to},
    };

    #[test]
    fn an_order_is_held_until_its_goods_have_left() {
        for held_in in [Phase::Placed, Phase::Confirmed, Phase::InFulfilment] {
            let mut book = Book::with_order();
            move_to(&mut book, way_to(held_in));
            book.given("HoldOrder", json!({ "order_id": order(1), "reason": "check" }));
            assert_eq!(phase(&book), Phase::Held);
        }
        let mut book = Book::with_order();
        move_to(&mut book, way_to(Phase::Shipped));
        assert_eq!(code(book.when("HoldOrder", json!({ "order_id": order(1), "reason": "check" }))), "illegal_move");
    }
}
