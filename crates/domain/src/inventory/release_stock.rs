//! Giving a reservation up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Stock, StockId,
    claims::{find_not_of_order, given_up},
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::{LocationId, ReservationId, Sku},
};

/// Gives a reservation up. One whose time is over is recorded as expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseStock {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// The reservation.
    pub reservation_id: ReservationId,
}

impl Decide for ReleaseStock {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Stock>(&StockId { sku: self.sku.clone(), location: self.location.clone() });
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let reservation = find_not_of_order(streams.get::<Stock>(&id)?, &id, self.reservation_id)?;
        Ok(Decision::of::<Stock>(&id, given_up(&id, self.reservation_id, reservation, context.now)))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use crate::{
        Event,
        inventory::{self, ReleaseCause},
        spec::{Book, code, reservation},
    };

    #[test]
    fn a_claim_whose_time_is_over_has_expired_whoever_ends_it() {
        for (minutes, cause) in [(4, ReleaseCause::GivenUp), (5, ReleaseCause::Expired)] {
            let mut book = Book::with_product("a", 5);
            let expires_at = book.now + TimeDelta::minutes(5);
            let claim = json!({ "sku": "a", "reservation_id": reservation(1), "owner": "me", "quantity": 2, "expires_at": expires_at });
            book.given("ReserveStock", claim).pass(TimeDelta::minutes(minutes));
            book.given("ReleaseStock", json!({ "sku": "a", "reservation_id": reservation(1) }));
            let Some((_, Event::Inventory(inventory::Event::ReservationReleased(released)))) = book.events.last()
            else {
                panic!("it is released")
            };
            assert_eq!(released.cause, cause);
        }
    }

    #[test]
    fn a_reservation_is_given_up_once() {
        let mut book = Book::with_product("a", 5);
        let named = json!({ "sku": "a", "reservation_id": reservation(1) });
        book.given(
            "ReserveStock",
            json!({ "sku": "a", "reservation_id": reservation(1), "owner": "me", "quantity": 2 }),
        );
        book.given("ReleaseStock", named.clone());
        assert_eq!(book.stock("a"), (5, 0));
        assert_eq!(code(book.when("ReleaseStock", named)), "reservation_not_found");
    }
}
