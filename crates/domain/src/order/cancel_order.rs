//! Calling an order off.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Order, OrderCancelled,
    existing::{check_move, claims},
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::OrderId,
    inventory::{Stock, release_for_order},
    text::Reason,
};

/// Calls an order off; its reservations are released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelOrder {
    /// The order.
    pub order_id: OrderId,
    /// Why; kept in the history of the order.
    pub reason: Reason,
}

impl Decide for CancelOrder {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { order_id, reason } = self.clone();
        let claims = claims(check_move(order_id, "CancelOrder", context, streams)?);
        let stocks = streams.get_all::<Stock>(claims.iter().map(|(id, _)| id))?;
        let mut decision = Decision::of::<Order>(&order_id, OrderCancelled { order_id, reason });
        for ((id, reservation_id), stock) in claims.iter().zip(stocks) {
            decision = decision.and_all::<Stock>(id, release_for_order(stock, id, *reservation_id));
        }
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        Actor,
        order::Phase,
        spec::{Book, code, customer, move_to, order, phase, way_to},
    };

    fn cancel() -> Value {
        json!({ "order_id": order(1), "reason": "because" })
    }

    #[test]
    fn cancelling_frees_the_stock() {
        let mut book = Book::with_order();
        assert_eq!(book.stock("a"), (5, 2));
        let cancelled = book.when("CancelOrder", cancel());
        assert_eq!(cancelled, Ok(vec!["order.OrderCancelled", "inventory.ReservationReleased"]));
        assert_eq!(book.stock("a"), (5, 0));
    }

    #[test]
    fn a_customer_cancels_their_own_order_until_it_is_confirmed() {
        let mut book = Book::with_order_of("ann");
        assert_eq!(code(book.when_as(customer("bob"), "CancelOrder", cancel())), "order_not_yours");
        assert_eq!(code(book.when_as(Actor::Guest, "CancelOrder", cancel())), "order_not_yours");
        book.given("ConfirmOrder", json!({ "order_id": order(1) }));
        let refusal = book.when_as(customer("ann"), "CancelOrder", cancel()).expect_err("it is confirmed");
        assert_eq!((refusal.code(), &refusal.data()["next_moves"]), ("illegal_move", &json!([])));
        let words = refusal.to_string();
        assert!(words.ends_with("it can do nothing with the order now"), "{words}");
    }

    #[test]
    fn staff_cancels_an_order_while_it_is_held_and_a_buyer_does_not() {
        let mut book = Book::with_order_of("ann");
        move_to(&mut book, way_to(Phase::Held));
        assert_eq!(code(book.when_as(customer("ann"), "CancelOrder", cancel())), "illegal_move");
        book.given("CancelOrder", cancel());
        assert_eq!(phase(&book), Phase::Cancelled);
        assert_eq!(book.stock("a"), (5, 0), "nothing is reserved");
    }
}
