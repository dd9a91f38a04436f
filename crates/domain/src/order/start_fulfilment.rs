//! Starting to pick and pack.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FulfilmentStarted, Order, existing::check_move};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::OrderId};

/// Starts to pick and pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartFulfilment {
    /// The order.
    pub order_id: OrderId,
}

impl Decide for StartFulfilment {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let order_id = self.order_id;
        check_move(order_id, "StartFulfilment", context, streams)?;
        Ok(Decision::of::<Order>(&order_id, FulfilmentStarted { order_id }))
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
    fn only_an_accepted_order_is_picked_and_packed() {
        let mut book = Book::with_order();
        let start = json!({ "order_id": order(1) });
        assert_eq!(code(book.when("StartFulfilment", start)), "illegal_move");
        move_to(&mut book, way_to(Phase::InFulfilment));
        assert_eq!(phase(&book), Phase::InFulfilment);
    }
}
