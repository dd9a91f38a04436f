//! Sending the goods of an order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Order, OrderShipped,
    existing::{check_move, claims},
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::OrderId,
    inventory::{Stock, ship},
};

/// Sends the goods; the reservations become goods that have left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShipOrder {
    /// The order.
    pub order_id: OrderId,
}

impl Decide for ShipOrder {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let order_id = self.order_id;
        let claims = claims(check_move(order_id, "ShipOrder", context, streams)?);
        let stocks = streams.get_all::<Stock>(claims.iter().map(|(id, _)| id))?;
        let mut decision = Decision::of::<Order>(&order_id, OrderShipped { order_id });
        for ((id, reservation_id), stock) in claims.iter().zip(stocks) {
            decision = decision.and::<Stock>(id, ship(stock, id, *reservation_id)?);
        }
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        order::Phase,
        spec::{Book, cart, move_to, order, way_to},
    };

    #[test]
    fn what_is_sent_leaves_the_stock() {
        let mut book = Book::with_order();
        move_to(&mut book, way_to(Phase::InFulfilment));
        assert_eq!(book.stock("a"), (5, 2));
        let shipped = book.when("ShipOrder", json!({ "order_id": order(1) }));
        assert_eq!(shipped, Ok(vec!["order.OrderShipped", "inventory.ReservationCommitted"]));
        assert_eq!(book.stock("a"), (3, 0));
    }

    #[test]
    fn goods_that_are_not_there_do_not_leave() {
        let mut book = Book::with_product("a", 1);
        book.given("SetBackorders", json!({ "sku": "a", "allowed": true }));
        book.with_cart(1, &[("a", 2)]).given("PlaceOrder", json!({ "cart_id": cart(1), "order_id": order(1) }));
        move_to(&mut book, way_to(Phase::InFulfilment));
        let ship = json!({ "order_id": order(1) });
        let refusal = book.when("ShipOrder", ship.clone()).expect_err("one of two is there");
        assert_eq!((refusal.code(), &refusal.data()["on_hand"]), ("not_on_hand", &json!(1)));
        book.given("ReceiveStock", json!({ "sku": "a", "quantity": 1 })).given("ShipOrder", ship);
        assert_eq!(book.stock("a"), (0, 0));
    }
}
