//! Checkout: one decision over cart, prices, stock and order.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Order, OrderPlaced, Totals,
    checkout::{Checkout, Claim},
    policy,
};
use crate::{
    Context, Decide, Decision, Money, Reads, Rejection, Streams, amount,
    cart::{Cart, CartCheckedOut, check_line_count, require_open},
    general::{check_currency, refuse_all},
    ids::{CartId, LocationId, OrderId},
    inventory::Stock,
};

/// Checks a cart out: quotes it at the prices of now, reserves the stock, freezes the totals and closes the cart, all of it
/// or nothing. A cart that was checked out as this order already has the first outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// The cart.
    pub cart_id: CartId,
    /// The id of the new order, chosen by the caller: a UUID of version 4 or 7. For a guest it is the key to the order, so version 4 is
    /// best.
    #[serde(deserialize_with = "daybook_kernel::ids::unguessable")]
    #[schemars(extend("pattern" = daybook_kernel::ids::UNGUESSABLE))]
    pub order_id: OrderId,
    /// Where the goods may come from, in the order of preference; each line comes from one place. When left out: the locations that the
    /// storefront serves, or `main` where it serves any.
    #[serde(default)]
    #[schemars(length(min = 1, max = policy::MAX_LOCATIONS))]
    pub locations: Option<Vec<LocationId>>,
    /// The total that the customer was shown. If it has changed since, the order is refused with both.
    #[serde(default)]
    pub expected_total: Option<Money>,
}

refusals! {
    /// The id is in use.
    "order_exists" OrderExists: Rule at "order_id" = "order {order_id} exists already", {
        /// The order.
        order_id: OrderId,
    }
    /// The cart holds no line.
    "cart_empty" CartEmpty: Rule at "cart_id" = "cart {cart_id} is empty", {
        /// The cart.
        cart_id: CartId,
    }
    /// The goods have to come from somewhere.
    "location_count" LocationCount: Rule at "locations" = "1 to {limit} locations can be named", {
        /// The limit.
        limit: usize,
    }
    /// A location is named once.
    "location_repeated" LocationRepeated: Rule at "locations" = "location {location} is named twice", {
        /// The location.
        location: LocationId,
        /// The index of its repetition in the command.
        index: usize,
    }
    /// The customer was shown another total.
    "total_changed" TotalChanged: Rule at "expected_total" = "the total is {total}, not {expected}", {
        /// What the customer was shown.
        expected: Money,
        /// What it comes to now.
        total: Money,
    }
}

impl Decide for PlaceOrder {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { cart_id, order_id, .. } = *self;
        if self.locations.as_ref().is_some_and(|named| !(1..=policy::MAX_LOCATIONS).contains(&named.len())) {
            return Err(LocationCount { limit: policy::MAX_LOCATIONS }.into());
        }
        self.check_repetition()?;
        if let Cart::CheckedOut { order_id: placed, .. } = streams.get::<Cart>(&cart_id)?
            && *placed == order_id
        {
            return Ok(Decision::repeating::<Order>(&order_id));
        }
        let cart = require_open(cart_id, context, streams)?;
        check_currency(cart.currency, context.now)?;
        if streams.assume_absent::<Order>(&order_id)?.is_some_and(|order| *order != Order::Absent) {
            return Err(OrderExists { order_id }.into());
        }
        if cart.lines.is_empty() {
            return Err(CartEmpty { cart_id }.into());
        }
        // A cart from before the limit was lowered may hold more lines.
        check_line_count(cart.lines.len())?;
        let locations = self.locations.clone().unwrap_or_else(|| context.storefront.locations_for(cart.lines.len()));
        let checkout = Checkout { cart, locations: &locations, context, streams };
        checkout.load()?;
        self.placed(&checkout)
    }
}

impl PlaceOrder {
    /// A repeated location is refused before anything is loaded.
    fn check_repetition(&self) -> Result<(), LocationRepeated> {
        let named = self.locations.as_deref().unwrap_or_default();
        let repeated = |index: &usize| named[..*index].contains(&named[*index]);
        match (0..named.len()).find(repeated) {
            Some(index) => Err(LocationRepeated { location: named[index].clone(), index }),
            None => Ok(()),
        }
    }

    /// Asks for every line whether it can be bought, and places the order if all can.
    fn placed(&self, checkout: &Checkout<'_, '_>) -> Result<Decision, Rejection> {
        let Self { cart_id, order_id, expected_total, .. } = *self;
        let Checkout { cart, context, .. } = checkout;
        let mut lines = Vec::with_capacity(cart.lines.len());
        let mut claims = Decision::default();
        let mut problems = Vec::new();
        for (index, line) in cart.lines.iter().enumerate() {
            match checkout.quote(index, line)? {
                Ok(quote) => {
                    let Claim { stock, reservation_id, events } = checkout.claim(order_id, &quote, line)?;
                    claims = claims.and_all::<Stock>(&stock, events);
                    lines.push(quote.agreed(line, reservation_id)?);
                }
                Err(of_line) => problems.extend(of_line),
            }
        }
        refuse_all(problems, self.clone()).map_err(Rejection::Refused)?;
        let gross = amount::total(cart.currency, lines.iter().map(|line| line.line_total))?;
        if let Some(expected) = expected_total.filter(|expected| *expected != gross) {
            return Err(TotalChanged { expected, total: gross }.into());
        }
        let placed = OrderPlaced {
            order_id,
            cart_id,
            customer_id: cart.customer_id,
            channel: cart.channel.clone(),
            currency: cart.currency,
            lines,
            totals: Totals { gross, discount: Money::zero(cart.currency), net: gross },
            placed_at: context.now,
        };
        let mut decision =
            Decision::of::<Order>(&order_id, placed).and::<Cart>(&cart_id, CartCheckedOut { cart_id, order_id });
        decision.events.extend(claims.events);
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        Actor, Event, Fold,
        order::Order,
        spec::{Book, cart, code, command, order, product, record},
    };

    fn place(number: u128) -> Value {
        json!({ "cart_id": cart(number), "order_id": order(number) })
    }

    #[test]
    fn checkout_writes_order_cart_and_stock_together() {
        let mut book = Book::with_product("a", 5);
        book.put_on_sale(2, "b", 50, 9).with_cart(1, &[("a", 2), ("b", 3)]);
        let events = book.when("PlaceOrder", place(1));
        let reserved = "inventory.StockReserved";
        assert_eq!(events, Ok(vec!["order.OrderPlaced", "cart.CartCheckedOut", reserved, reserved]));
        assert_eq!((book.stock("a"), book.stock("b")), ((5, 2), (9, 3)));
        assert_eq!(record(&book, 1).totals.net.minor_units, 2 * 199 + 3 * 50);
    }

    #[test]
    fn a_second_click_has_the_first_outcome_or_the_id_of_the_order() {
        let mut book = Book::with_product("a", 5);
        book.with_cart(1, &[("a", 2)]).given("PlaceOrder", place(1));
        let again = book.decide(Actor::Guest, &command("PlaceOrder", place(1))).expect("it is the same order");
        assert_eq!((again.events, again.repeats), (vec![], Some(Order::stream(&order(1)))));
        let other = json!({ "cart_id": cart(1), "order_id": order(2) });
        let refusal = book.when("PlaceOrder", other).expect_err("the cart is another order");
        assert_eq!((refusal.code(), &refusal.data()["order_id"]), ("cart_closed", &json!(order(1))));
        assert_eq!(book.stock("a"), (5, 2));
        book.with_cart(2, &[("a", 1)]);
        let taken = json!({ "cart_id": cart(2), "order_id": order(1) });
        assert_eq!(code(book.when("PlaceOrder", taken)), "order_exists");
    }

    #[test]
    fn every_problem_of_every_line_is_named_at_once() {
        let mut book = Book::with_product("a", 5);
        book.put_on_sale(2, "b", 50, 9).put_on_sale(3, "c", 50, 9);
        book.with_cart(1, &[("a", 7), ("b", 1), ("c", 10)])
            .given("ArchiveProduct", json!({ "product_id": product(2) }));
        book.given("RemovePrice", json!({ "sku": "c", "currency": "EUR" }));
        let refusal = book.when("PlaceOrder", place(1)).expect_err("nothing of it can be bought");
        assert_eq!(refusal.code(), "several_problems");
        let data = refusal.data();
        let problems = data["problems"].as_array().expect("a list");
        let named: Vec<_> =
            problems.iter().map(|problem| (&problem["sku"], &problem["line"], &problem["code"])).collect();
        let named = json!(named);
        assert_eq!(
            named,
            json!([
                ["a", 0, "insufficient_stock"],
                ["b", 1, "no_longer_on_sale"],
                ["c", 2, "no_price"],
                ["c", 2, "insufficient_stock"]
            ])
        );
        assert_eq!((&problems[0]["available"], &problems[1]["because"]), (&json!(5), &json!("archived")));
        assert!(problems.iter().all(|problem| problem["pointer"] == "/cart_id"), "{problems:?}");
        assert_eq!((book.stock("a"), book.stock("c")), ((5, 0), (9, 0)));
    }

    #[test]
    fn goods_come_from_where_they_are_before_they_are_ordered() {
        let mut book = Book::with_product("a", 1);
        book.given("SetBackorders", json!({ "sku": "a", "allowed": true }));
        book.given("ReceiveStock", json!({ "sku": "a", "location": "shop", "quantity": 5 }));
        let from_both =
            |number: u128| json!({ "cart_id": cart(number), "order_id": order(number), "locations": ["main", "shop"] });
        for (number, location) in [(1, "shop"), (2, "main")] {
            book.with_cart(number, &[("a", 4)]).given("PlaceOrder", from_both(number));
            let (reserved, _) = record(&book, number).lines[0].reserved.clone().expect("a claim");
            assert_eq!(reserved.as_str(), location);
        }
    }

    #[test]
    fn an_order_that_names_no_location_gets_its_goods_from_those_of_the_storefront() {
        let mut book = Book::with_product("a", 1);
        book.given("ReceiveStock", json!({ "sku": "a", "location": "berlin", "quantity": 5 }))
            .with_cart(1, &[("a", 2)]);
        book.storefront.locations = Some(vec!["berlin".parse().expect("a location")]);
        book.given("PlaceOrder", place(1));
        let (reserved, _) = record(&book, 1).lines[0].reserved.clone().expect("a claim");
        assert_eq!(reserved.as_str(), "berlin");
    }

    #[test]
    fn an_order_keeps_what_its_variants_are_called() {
        let mut book = Book::new();
        let variant = |sku: &str, colour: &str| json!({ "sku": sku, "name": sku.to_uppercase(), "options": { "colour": colour } });
        book.given(
            "CreateProduct",
            json!({ "product_id": product(1), "name": "Tee", "publish": true,
                                            "variants": [variant("m", "red"), variant("l", "blue")] }),
        );
        for sku in ["m", "l"] {
            book.given("SetPrice", json!({ "sku": sku, "price": { "minor_units": 100, "currency": "EUR" } }));
            book.given("ReceiveStock", json!({ "sku": sku, "quantity": 5 }));
        }
        book.with_cart(1, &[("m", 1), ("l", 1)]).given("PlaceOrder", place(1));
        let placed = book.events.iter().find_map(|(_, event)| match event {
            Event::Order(crate::order::Event::OrderPlaced(placed)) => Some(placed.clone()),
            _ => None,
        });
        let lines = placed.expect("it was placed").lines;
        let named = lines.iter().map(|line| {
            (
                line.name.as_str(),
                line.variant_name.as_ref().map(crate::text::Name::as_str),
                line.options.values().next(),
            )
        });
        let colour = |colour: &str| colour.parse().expect("a name");
        let (red, blue) = (colour("red"), colour("blue"));
        assert!(named.eq([("Tee", Some("M"), Some(&red)), ("Tee", Some("L"), Some(&blue))]));
    }

    #[test]
    fn what_cannot_be_had_is_not_ordered_and_nothing_else_either() {
        let mut book = Book::with_product("a", 5);
        book.put_on_sale(2, "b", 50, 1).with_cart(1, &[("a", 2), ("b", 3)]).with_cart(2, &[]);
        assert_eq!(code(book.when("PlaceOrder", place(1))), "insufficient_stock");
        assert_eq!(book.stock("a"), (5, 0));
        assert_eq!(code(book.when("PlaceOrder", place(2))), "cart_empty");
        let nowhere = json!({ "cart_id": cart(1), "order_id": order(1), "locations": [] });
        assert_eq!(code(book.when("PlaceOrder", nowhere)), "location_count");
        let twice = json!({ "cart_id": cart(1), "order_id": order(1), "locations": ["main", "shop", "main"] });
        assert_eq!(code(book.when("PlaceOrder", twice)), "location_repeated");
        assert_eq!(book.loaded.get(), 0, "it is refused before anything is loaded");
        book.given("ArchiveProduct", json!({ "product_id": product(2) }));
        assert_eq!(code(book.when("PlaceOrder", place(1))), "no_longer_on_sale");
    }

    #[test]
    fn goods_come_from_the_first_location_that_has_enough() {
        let mut book = Book::with_product("a", 1);
        book.given("ReceiveStock", json!({ "sku": "a", "location": "shop", "quantity": 5 })).with_cart(1, &[("a", 2)]);
        let body = json!({ "cart_id": cart(1), "order_id": order(1), "locations": ["main", "shop"] });
        book.given("PlaceOrder", body);
        let reserved = record(&book, 1).lines[0].reserved.clone().map(|(place, _)| place.to_string());
        assert_eq!(reserved.as_deref(), Some("shop"));
    }

    #[test]
    fn a_total_is_what_was_shown_and_frozen_when_it_is_agreed() {
        let mut book = Book::with_product("a", 5);
        book.with_cart(1, &[("a", 1)]);
        let mut body = place(1);
        body["expected_total"] = json!({ "minor_units": 198, "currency": "EUR" });
        assert_eq!(code(book.when("PlaceOrder", body.clone())), "total_changed");
        body["expected_total"] = json!({ "minor_units": 199, "currency": "EUR" });
        book.given("PlaceOrder", body);
        book.given("SetPrice", json!({ "sku": "a", "price": { "minor_units": 900, "currency": "EUR" } }));
        book.given("ConfirmOrder", json!({ "order_id": order(1) }));
        assert_eq!(record(&book, 1).totals.net.minor_units, 199);
    }

    #[test]
    fn an_order_touches_a_bounded_number_of_streams() {
        let mut book = Book::new();
        for nr in 0..51 {
            book.put_on_sale(nr + 1, &format!("s{nr}"), 100, 1);
        }
        let skus: Vec<_> = (0..51).map(|nr| format!("s{nr}")).collect();
        let lines: Vec<_> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
        book.with_cart(1, &lines).with_cart(2, &lines[..45]).with_cart(3, &lines[..48]);
        let locations: Vec<_> = (0..19).map(|nr| format!("l{nr}")).chain(["main".to_owned()]).collect();
        let from_everywhere =
            |number: u128| json!({ "cart_id": cart(number), "order_id": order(number), "locations": locations });
        for number in [1, 3] {
            assert_eq!(code(book.when("PlaceOrder", from_everywhere(number))), "too_many_streams");
            assert_eq!(book.loaded.get(), 1, "only the cart is loaded");
        }
        book.given("PlaceOrder", from_everywhere(2));
    }

    #[test]
    fn only_the_order_ends_what_it_has_claimed() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 1)]).given("PlaceOrder", place(1));
        let claim = record(&book, 1).lines[0].reserved.clone().expect("a claim").1;
        let claimed = json!({ "sku": "a", "reservation_id": claim });
        assert_eq!(code(book.when("ReleaseStock", claimed.clone())), "reservation_of_order");
        assert_eq!(code(book.when("CommitReservation", claimed)), "reservation_of_order");
        let forged = json!({ "sku": "a", "reservation_id": order(9), "owner": "order:9", "quantity": 1 });
        assert_eq!(code(book.when("ReserveStock", forged)), "reservation_of_order");
        for command in ["ConfirmOrder", "StartFulfilment", "ShipOrder"] {
            book.given(command, json!({ "order_id": order(1) }));
        }
        assert_eq!(book.stock("a"), (0, 0));
    }
}
