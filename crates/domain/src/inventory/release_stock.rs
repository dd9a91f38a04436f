//! Giving a reservation up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ReleaseCause, Stock, StockId,
    claims::{find_not_of_order, released},
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::{LocationId, ReservationId, Sku},
};

/// Gives a reservation up.
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

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let reservation = find_not_of_order(streams.get::<Stock>(&id)?, &id, self.reservation_id)?;
        let event = released(&id, self.reservation_id, reservation, ReleaseCause::GivenUp);
        Ok(Decision::of::<Stock>(&id, event))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::spec::{Book, code, reservation};

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
