//! Claiming stock for an owner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Stock, StockId,
    claims::{ReservationRequest, check_known, check_not_of_order, reserve},
};
use crate::{
    Context, Decide, Decision, Quantity, Reads, Rejection, Streams, Timestamp,
    catalog::SkuRecord,
    ids::{LocationId, ReservationId, ReservationOwner, Sku},
};

/// Claims stock for an owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveStock {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// The id of the new reservation, chosen by the caller: a UUID of version 4 or 7.
    #[serde(deserialize_with = "daybook_kernel::ids::unguessable")]
    #[schemars(extend("pattern" = daybook_kernel::ids::UNGUESSABLE))]
    pub reservation_id: ReservationId,
    /// Whose claim it is.
    pub owner: ReservationOwner,
    /// How many.
    pub quantity: Quantity,
    /// Until when the claim holds; for ever when left out.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl Decide for ReserveStock {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<SkuRecord>(&self.sku);
        reads.add::<Stock>(&StockId { sku: self.sku.clone(), location: self.location.clone() });
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { sku, location, reservation_id, owner, quantity, expires_at } = self.clone();
        check_known(&sku, streams)?;
        let id = StockId { sku, location };
        let stock = streams.get::<Stock>(&id)?;
        check_not_of_order(&owner)?;
        let expires_at = expires_at.map(Timestamp::utc);
        let request = ReservationRequest { reservation_id, owner, quantity, expires_at };
        Ok(Decision::default().and_all::<Stock>(&id, reserve(stock, &id, request, context.now)?))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use crate::{
        Command,
        ids::LocationId,
        inventory::{Stock, StockId},
        spec::{Book, code, reservation},
    };

    fn reserve(number: u128, quantity: u32) -> Value {
        json!({ "sku": "a", "reservation_id": reservation(number), "owner": "me", "quantity": quantity })
    }

    #[test]
    fn no_more_is_reserved_than_is_on_hand() {
        let mut book = Book::with_product("a", 5);
        book.given("ReserveStock", reserve(1, 3));
        let refusal = book.when("ReserveStock", reserve(2, 3)).expect_err("two are left");
        assert_eq!((refusal.code(), &refusal.data()["available"]), ("insufficient_stock", &json!(2)));
        assert_eq!(code(book.when("ReserveStock", reserve(1, 1))), "reservation_exists");
        book.given("ReserveStock", reserve(2, 2));
        assert_eq!(book.stock("a"), (5, 5));
    }

    #[test]
    fn an_expired_reservation_gives_way_and_not_before() {
        let mut book = Book::with_product("a", 2);
        let mut body = reserve(1, 2);
        body["expires_at"] = json!(book.now + TimeDelta::minutes(10));
        book.given("ReserveStock", body.clone());
        assert_eq!(code(book.when("ReserveStock", reserve(2, 1))), "insufficient_stock");
        book.pass(TimeDelta::minutes(10));
        let events = vec!["inventory.ReservationReleased", "inventory.StockReserved"];
        assert_eq!(book.when("ReserveStock", reserve(2, 1)), Ok(events));
        body["reservation_id"] = json!(reservation(3));
        assert_eq!(code(book.when("ReserveStock", body)), "expiry_in_the_past");
    }

    #[test]
    fn an_expired_reservation_is_not_counted_as_taken() {
        let mut book = Book::with_product("a", 5);
        let mut body = reserve(1, 3);
        body["expires_at"] = json!(book.now + TimeDelta::minutes(10));
        book.given("ReserveStock", body).given("ReserveStock", reserve(2, 1)).pass(TimeDelta::minutes(10));
        let refusal = book.when("ReserveStock", reserve(3, 9)).expect_err("four are left");
        assert_eq!(refusal.data()["available"], json!(4));
    }

    #[test]
    fn a_reservation_ends_at_a_time_that_everything_can_hold() {
        let mut book = Book::with_product("a", 2);
        let mut body = reserve(1, 1);
        for time in ["+10000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-00:01"] {
            body["expires_at"] = json!(time);
            assert!(Command::deserialize("ReserveStock", body.clone()).is_some_and(|read| read.is_err()), "{time}");
        }
        body["expires_at"] = json!("9999-12-31T23:59:59.9999999Z");
        book.given("ReserveStock", body);
        let mut body = reserve(2, 1);
        body["expires_at"] = json!("2036-12-31T23:59:60.25Z");
        book.given("ReserveStock", body);
        let id = StockId { sku: "a".parse().expect("a SKU"), location: LocationId::default() };
        let kept = |number| book.state::<Stock>(&id).reservations[&reservation(number)].expires_at;
        assert_eq!(kept(1), "9999-12-31T23:59:59.999999Z".parse().ok());
        assert_eq!(kept(2), "2037-01-01T00:00:00.25Z".parse().ok());
    }
}
