//! Noting that goods have come back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Order, OrderReturned, existing::check_move};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::OrderId, text::Reason};

/// Notes that the goods have come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnOrder {
    /// The order.
    pub order_id: OrderId,
    /// Why; kept in the history of the order.
    pub reason: Reason,
}

impl Decide for ReturnOrder {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { order_id, reason } = self.clone();
        check_move(order_id, "ReturnOrder", context, streams)?;
        Ok(Decision::of::<Order>(&order_id, OrderReturned { order_id, reason }))
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
    fn goods_come_back_after_they_were_sent() {
        for sent in [Phase::Shipped, Phase::Delivered] {
            let mut book = Book::with_order();
            let back = json!({ "order_id": order(1), "reason": "too small" });
            assert_eq!(code(book.when("ReturnOrder", back.clone())), "illegal_move");
            move_to(&mut book, way_to(sent));
            book.given("ReturnOrder", back);
            assert_eq!(phase(&book), Phase::Returned);
        }
    }
}
