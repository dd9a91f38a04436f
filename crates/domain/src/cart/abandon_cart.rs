//! Giving a cart up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cart, CartAbandoned, require_open::require_open};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::CartId};

/// Closes a cart that will not be bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbandonCart {
    /// The cart.
    pub cart_id: CartId,
}

impl Decide for AbandonCart {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let cart_id = self.cart_id;
        require_open(cart_id, context, streams)?;
        Ok(Decision::of::<Cart>(&cart_id, CartAbandoned { cart_id }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        Actor,
        spec::{Book, cart, code, customer},
    };

    #[test]
    fn an_abandoned_cart_is_closed() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 2)]).given("AbandonCart", json!({ "cart_id": cart(1) }));
        let line = |number| json!({ "cart_id": cart(number), "sku": "a", "quantity": 1 });
        assert_eq!(code(book.when("AddLine", line(1))), "cart_closed");
        assert_eq!(code(book.when("AddLine", line(9))), "cart_not_found");
    }

    #[test]
    fn a_customer_touches_only_their_own_cart() {
        let mut book = Book::with_product("a", 1);
        book.with_customer_cart(1, "ann", &[]);
        let abandon = json!({ "cart_id": cart(1) });
        for other in [customer("bob"), Actor::Guest] {
            assert_eq!(code(book.when_as(other, "AbandonCart", abandon.clone())), "cart_not_yours");
        }
        assert!(book.when_as(customer("ann"), "AbandonCart", abandon).is_ok());
    }
}
