//! Ending a reservation whose time is over.

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ReleaseCause, Stock, StockId,
    claims::{find, released},
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::{LocationId, ReservationId, Sku},
};

/// Ends a reservation whose time is over, so that its stock is free for all to see. A timer of the engine sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpireReservation {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are.
    pub location: LocationId,
    /// The reservation.
    pub reservation_id: ReservationId,
}

refusals! {
    /// The reservation still holds.
    "reservation_not_expired" ReservationNotExpired: Rule at "reservation_id" = "reservation {reservation_id} still holds", {
        /// The reservation.
        reservation_id: ReservationId,
        /// Until when it holds; for ever when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    }
}

impl Decide for ExpireReservation {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Stock>(&StockId { sku: self.sku.clone(), location: self.location.clone() });
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let reservation_id = self.reservation_id;
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let reservation = find(streams.get::<Stock>(&id)?, &id, reservation_id)?;
        if !reservation.has_expired(context.now) {
            return Err(ReservationNotExpired { reservation_id, expires_at: reservation.expires_at }.into());
        }
        Ok(Decision::of::<Stock>(&id, released(&id, reservation_id, reservation, ReleaseCause::Expired)))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use crate::spec::{Book, code, engine, reservation};

    #[test]
    fn the_engine_ends_a_reservation_when_its_time_is_over_and_not_before() {
        let mut book = Book::with_product("a", 5);
        let expires_at = book.now + TimeDelta::minutes(5);
        let claim = json!({ "sku": "a", "reservation_id": reservation(1), "owner": "me", "quantity": 2, "expires_at": expires_at });
        let lasting = json!({ "sku": "a", "reservation_id": reservation(2), "owner": "me", "quantity": 1 });
        book.given("ReserveStock", claim).given("ReserveStock", lasting);
        let expire = |nr: u128| json!({ "sku": "a", "location": "main", "reservation_id": reservation(nr) });
        assert_eq!(code(book.when("ExpireReservation", expire(1))), "forbidden");
        assert_eq!(code(book.when_as(engine(), "ExpireReservation", expire(1))), "reservation_not_expired");
        book.pass(TimeDelta::minutes(5));
        let ended = book.when_as(engine(), "ExpireReservation", expire(1));
        assert_eq!(ended, Ok(vec!["inventory.ReservationReleased"]));
        assert_eq!(book.stock("a"), (5, 1));
        assert_eq!(code(book.when_as(engine(), "ExpireReservation", expire(1))), "reservation_not_found");
        assert_eq!(code(book.when_as(engine(), "ExpireReservation", expire(2))), "reservation_not_expired");
    }
}
