//! Ending a cart that was not changed for too long.

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cart, CartExpired, require_open::require_not_ended};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::CartId};

/// Ends a cart whose time is over. A timer of the engine sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpireCart {
    /// The cart.
    pub cart_id: CartId,
}

refusals! {
    /// The cart was changed since the timer was set, and lives on.
    "cart_not_expired" CartNotExpired: Rule at "cart_id" = "cart {cart_id} does not expire before {expires_at}", {
        /// The cart.
        cart_id: CartId,
        /// When it expires, if it is not changed before.
        expires_at: DateTime<Utc>,
    }
}

impl Decide for ExpireCart {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let cart_id = self.cart_id;
        let cart = require_not_ended(cart_id, streams)?;
        let expires_at = cart.expires_at();
        if !cart.is_expired(context.now) {
            return Err(CartNotExpired { cart_id, expires_at }.into());
        }
        Ok(Decision::of::<Cart>(&cart_id, CartExpired { cart_id, expired_at: expires_at }))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use crate::spec::{Book, cart, code, engine};

    fn line(number: u128) -> Value {
        json!({ "cart_id": cart(number), "sku": "a", "quantity": 1 })
    }

    #[test]
    fn a_cart_expires_a_week_or_a_month_after_its_last_change() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 1)]).with_customer_cart(2, "ann", &[]);
        book.pass(TimeDelta::days(6)).given("AddLine", line(1));
        book.pass(TimeDelta::days(7));
        assert_eq!(code(book.when("AddLine", line(1))), "cart_expired");
        book.given("AddLine", line(2)).pass(TimeDelta::days(30));
        assert_eq!(code(book.when("AddLine", line(2))), "cart_expired");
    }

    #[test]
    fn the_engine_ends_a_cart_when_its_time_is_over_and_not_before() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 1)]);
        let expire = json!({ "cart_id": cart(1) });
        assert_eq!(code(book.when("ExpireCart", expire.clone())), "forbidden");
        book.pass(TimeDelta::days(7) - TimeDelta::seconds(1));
        assert_eq!(code(book.when_as(engine(), "ExpireCart", expire.clone())), "cart_not_expired");
        book.pass(TimeDelta::seconds(1));
        assert_eq!(book.when_as(engine(), "ExpireCart", expire.clone()), Ok(vec!["cart.CartExpired"]));
        assert_eq!(code(book.when_as(engine(), "ExpireCart", expire.clone())), "cart_expired");
        assert_eq!(code(book.when("AddLine", line(1))), "cart_expired");
        book.with_cart(2, &[]).given("AbandonCart", json!({ "cart_id": cart(2) }));
        assert_eq!(code(book.when_as(engine(), "ExpireCart", json!({ "cart_id": cart(2) }))), "cart_closed");
    }
}
