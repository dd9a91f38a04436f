//! Letting a held order go on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Order, OrderResumed, existing::check_move};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::OrderId};

/// Lets a held order go on from where it was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeOrder {
    /// The order.
    pub order_id: OrderId,
}

impl Decide for ResumeOrder {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let order_id = self.order_id;
        check_move(order_id, "ResumeOrder", context, streams)?;
        Ok(Decision::of::<Order>(&order_id, OrderResumed { order_id }))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        order::Phase,
        spec::{Book, move_to, phase, way_to},
    };

    #[test]
    fn a_held_order_goes_on_from_where_it_was_held() {
        for held_in in [Phase::Placed, Phase::Confirmed, Phase::InFulfilment] {
            let mut book = Book::with_order();
            move_to(&mut book, way_to(held_in));
            move_to(&mut book, &["HoldOrder", "ResumeOrder"]);
            assert_eq!(phase(&book), held_in);
        }
    }
}
