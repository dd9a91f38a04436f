//! Opening a cart.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cart, CartOpened};
use crate::{
    Context, Currency, Decide, Decision, Reads, Rejection, Streams,
    general::check_currency,
    ids::{CartId, Channel, CustomerId},
};

/// Opens a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenCart {
    /// The id of the new cart, chosen by the caller: a UUID of version 4 or 7. For a guest it is the key to the cart, so version 4 is
    /// best.
    #[serde(deserialize_with = "daybook_kernel::ids::unguessable")]
    #[schemars(extend("pattern" = daybook_kernel::ids::UNGUESSABLE))]
    pub cart_id: CartId,
    /// Whose cart it is; when left out, the customer's who opens it, and otherwise a guest's.
    #[serde(default)]
    pub customer_id: Option<CustomerId>,
    /// The channel whose prices hold; the first that the storefront serves when left out.
    #[serde(default)]
    pub channel: Option<Channel>,
    /// The currency of its prices.
    pub currency: Currency,
}

refusals! {
    /// The id is in use.
    "cart_exists" CartExists: Rule at "cart_id" = "cart {cart_id} exists already", {
        /// The cart.
        cart_id: CartId,
    }
}

impl Decide for OpenCart {
    fn reads(&self, _reads: &mut Reads) {}

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let cart_id = self.cart_id;
        check_currency(self.currency, context.now)?;
        if streams.assume_absent::<Cart>(&cart_id)?.is_some_and(|cart| *cart != Cart::Absent) {
            return Err(CartExists { cart_id }.into());
        }
        // A customer who names no customer opens a cart of their own.
        let customer_id = self.customer_id.or(context.actor.customer());
        let channel = self.channel.clone().unwrap_or_else(|| context.storefront.default_channel());
        let opened = CartOpened { cart_id, customer_id, channel, currency: self.currency };
        Ok(Decision::of::<Cart>(&cart_id, opened))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        Actor,
        cart::Cart,
        ids::Channel,
        spec::{Book, cart, code, customer, customer_id},
    };

    #[test]
    fn a_customer_who_names_no_customer_opens_a_cart_of_their_own() {
        let mut book = Book::new();
        let opened = book.when_as(customer("ann"), "OpenCart", json!({ "cart_id": cart(1), "currency": "EUR" }));
        assert_eq!(opened, Ok(vec!["cart.CartOpened"]));
        let Cart::Open(opened) = book.state::<Cart>(&cart(1)) else { panic!("it is open") };
        assert_eq!(opened.customer_id, Some(customer_id("ann")));
    }

    #[test]
    fn a_cart_without_a_channel_has_the_first_that_the_storefront_serves() {
        let mut book = Book::new();
        book.storefront.channels = ["app", "web"].map(|name| Channel::new(name).expect("a channel")).into();
        for (nr, actor) in [(1, Actor::Guest), (2, Actor::Support("sue".into()))] {
            let opened = book.when_as(actor, "OpenCart", json!({ "cart_id": cart(nr), "currency": "EUR" }));
            assert_eq!(opened, Ok(vec!["cart.CartOpened"]));
            let Cart::Open(opened) = book.state::<Cart>(&cart(nr)) else { panic!("it is open") };
            assert_eq!(opened.channel.as_str(), "app");
        }
    }

    #[test]
    fn a_cart_is_opened_in_a_currency_of_today() {
        let mut book = Book::new();
        let open = |currency: &str| json!({ "cart_id": cart(1), "currency": currency });
        assert_eq!(code(book.when("OpenCart", open("DEM"))), "currency_not_valid");
        let refusal = book.when("OpenCart", open("XCG")).expect_err("it was introduced later");
        let expected = json!({ "currency": "XCG", "date": "2023-11-14", "first_day": "2025-03-31", "last_day": null });
        assert_eq!(json!(refusal.data()), expected);
        assert_eq!(refusal.to_string(), "XCG is not a currency on 2023-11-14: it was introduced on 2025-03-31");
    }

    #[test]
    fn buyers_open_carts_for_themselves_only_and_an_id_is_used_once() {
        let mut book = Book::new();
        let open = json!({ "cart_id": cart(1), "currency": "EUR", "customer_id": customer_id("ann") });
        assert_eq!(code(book.when_as(customer("bob"), "OpenCart", open.clone())), "for_another_customer");
        assert_eq!(code(book.when_as(Actor::Guest, "OpenCart", open.clone())), "for_another_customer");
        assert!(book.when_as(customer("ann"), "OpenCart", open.clone()).is_ok());
        assert_eq!(code(book.when("OpenCart", open)), "cart_exists");
    }
}
