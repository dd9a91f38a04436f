//! Accepting an order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Order, OrderConfirmed, existing::check_move};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::OrderId};

/// Accepts an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmOrder {
    /// The order.
    pub order_id: OrderId,
}

impl Decide for ConfirmOrder {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let order_id = self.order_id;
        check_move(order_id, "ConfirmOrder", context, streams)?;
        Ok(Decision::of::<Order>(&order_id, OrderConfirmed { order_id }))
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
    fn an_order_is_accepted_once() {
        let mut book = Book::with_order();
        move_to(&mut book, way_to(Phase::Confirmed));
        assert_eq!(phase(&book), Phase::Confirmed);
        assert_eq!(code(book.when("ConfirmOrder", json!({ "order_id": order(1) }))), "illegal_move");
        assert_eq!(code(book.when("ConfirmOrder", json!({ "order_id": order(9) }))), "order_not_found");
    }
}
