//! Turning a reservation into goods that have left.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Stock, StockId,
    claims::{committed, find_not_of_order},
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::{LocationId, ReservationId, Sku},
};

/// Turns a reservation into goods that have left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitReservation {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// The reservation.
    pub reservation_id: ReservationId,
}

refusals! {
    /// The reservation has expired: the goods are free again.
    "reservation_expired" ReservationExpired: Rule at "reservation_id" = "reservation {reservation_id} has expired", {
        /// The reservation.
        reservation_id: ReservationId,
    }
}

impl Decide for CommitReservation {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Stock>(&StockId { sku: self.sku.clone(), location: self.location.clone() });
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let reservation_id = self.reservation_id;
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let stock = streams.get::<Stock>(&id)?;
        let reservation = find_not_of_order(stock, &id, reservation_id)?;
        if reservation.has_expired(context.now) {
            return Err(ReservationExpired { reservation_id }.into());
        }
        Ok(Decision::of::<Stock>(&id, committed(stock, &id, reservation_id, reservation)?))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use crate::spec::{Book, code, reservation};

    fn named(number: u128) -> Value {
        json!({ "sku": "a", "reservation_id": reservation(number) })
    }

    fn reserve(number: u128) -> Value {
        json!({ "sku": "a", "reservation_id": reservation(number), "owner": "me", "quantity": 2 })
    }

    #[test]
    fn a_reservation_becomes_goods_that_have_left_once() {
        let mut book = Book::with_product("a", 5);
        book.given("ReserveStock", reserve(2)).given("CommitReservation", named(2));
        assert_eq!(book.stock("a"), (3, 0));
        assert_eq!(code(book.when("CommitReservation", named(2))), "reservation_not_found");
    }

    #[test]
    fn a_reservation_whose_time_is_over_does_not_hold_and_is_not_in_the_way() {
        let mut book = Book::with_product("a", 2);
        let mut claim = reserve(1);
        claim["expires_at"] = json!(book.now + TimeDelta::minutes(5));
        book.given("ReserveStock", claim).pass(TimeDelta::minutes(10));
        assert_eq!(code(book.when("CommitReservation", named(1))), "reservation_expired");
        let transfer = json!({ "sku": "a", "from": "main", "to": "shop", "quantity": 1 });
        let moved = ["inventory.ReservationReleased", "inventory.StockTransferredOut", "inventory.StockTransferredIn"];
        assert_eq!(book.when("TransferStock", transfer), Ok(moved.to_vec()));
        let adjusted = book.when("AdjustStock", json!({ "sku": "a", "delta": -1, "reason": "count" }));
        assert_eq!(adjusted, Ok(vec!["inventory.StockAdjusted"]));
    }
}
