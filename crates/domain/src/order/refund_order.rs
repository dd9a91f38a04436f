//! Noting that money has gone back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Order, OrderRefunded, existing::check_move};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::OrderId, text::Reason};

/// Notes that the money has gone back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundOrder {
    /// The order.
    pub order_id: OrderId,
    /// Why; kept in the history of the order.
    pub reason: Reason,
}

impl Decide for RefundOrder {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { order_id, reason } = self.clone();
        check_move(order_id, "RefundOrder", context, streams)?;
        Ok(Decision::of::<Order>(&order_id, OrderRefunded { order_id, reason }))
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
    fn money_goes_back_after_a_return_or_a_cancellation_and_once() {
        for before in [Phase::Returned, Phase::Cancelled] {
            let mut book = Book::with_order();
            let refund = json!({ "order_id": order(1), "reason": "as agreed" });
            assert_eq!(code(book.when("RefundOrder", refund.clone())), "illegal_move");
            move_to(&mut book, way_to(before));
            book.given("RefundOrder", refund.clone());
            assert_eq!(phase(&book), Phase::Refunded);
            assert_eq!(code(book.when("RefundOrder", refund)), "illegal_move");
        }
    }
}
