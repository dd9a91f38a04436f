//! Noting that the customer has the goods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Order, OrderDelivered, existing::check_move};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::OrderId};

/// Notes that the customer has the goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliverOrder {
    /// The order.
    pub order_id: OrderId,
}

impl Decide for DeliverOrder {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let order_id = self.order_id;
        check_move(order_id, "DeliverOrder", context, streams)?;
        Ok(Decision::of::<Order>(&order_id, OrderDelivered { order_id }))
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
    fn goods_are_delivered_after_they_were_sent() {
        let mut book = Book::with_order();
        assert_eq!(code(book.when("DeliverOrder", json!({ "order_id": order(1) }))), "illegal_move");
        move_to(&mut book, way_to(Phase::Delivered));
        assert_eq!(phase(&book), Phase::Delivered);
    }
}
