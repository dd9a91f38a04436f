//! Checkout: one decision over cart, prices, stock and order.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Order, OrderLine, OrderPlaced, Totals, policy};
use crate::{
    Context, Decide, Decision, Fold, MAX_STREAMS, Money, Reads, Refusal, Rejection, Streams,
    cart::{Cart, CartCheckedOut, CartLine, NoPrice, OpenedCart, check_line_count, require_open},
    catalog::{Product, SkuRecord},
    general::{TooManyStreams, check_currency},
    ids::{CartId, LocationId, OrderId, ProductId, ReservationId, Sku},
    inventory::{self, InsufficientStock, ReservationRequest, Stock, StockId, reserve},
    text::Name,
};

fn default_locations() -> Vec<LocationId> {
    vec![LocationId::default()]
}

/// Checks a cart out: quotes it at the prices of now, reserves the stock, freezes the totals and closes the cart, all of it
/// or nothing.
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
    /// Where the goods may come from, in the order of preference; each line comes from one place. `main` when left out.
    #[serde(default = "default_locations")]
    #[schemars(length(min = 1, max = policy::MAX_LOCATIONS))]
    pub locations: Vec<LocationId>,
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
    /// A product of the cart went out of sale.
    "no_longer_on_sale" NoLongerOnSale: Rule at "cart_id" = "SKU {sku} is not on sale any more", {
        /// The SKU.
        sku: Sku,
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
        if !(1..=policy::MAX_LOCATIONS).contains(&self.locations.len()) {
            return Err(LocationCount { limit: policy::MAX_LOCATIONS }.into());
        }
        self.check_repetition()?;
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
        self.load_lines(cart, streams)?;
        let mut lines = Vec::with_capacity(cart.lines.len());
        let mut claims = Decision::default();
        for line in &cart.lines {
            let quote = Quote::of(line, cart, streams)?;
            let Claim { stock, reservation_id, events } = self.claim(line, context, streams)?;
            claims = claims.and_all::<Stock>(&stock, events);
            lines.push(quote.agreed(line, stock.location, reservation_id));
        }
        let mut decision = Decision::of::<Order>(&order_id, self.placed(cart, lines, context)?)
            .and::<Cart>(&cart_id, CartCheckedOut { cart_id, order_id });
        decision.events.extend(claims.events);
        Ok(decision)
    }
}

impl PlaceOrder {
    /// A repeated location is refused before anything is loaded.
    fn check_repetition(&self) -> Result<(), LocationRepeated> {
        let repeated = |index: &usize| self.locations[..*index].contains(&self.locations[*index]);
        match (0..self.locations.len()).find(repeated) {
            Some(index) => Err(LocationRepeated { location: self.locations[index].clone(), index }),
            None => Ok(()),
        }
    }

    /// Asks for all that the lines need at once, so that the number of loads does not grow with the cart.
    fn load_lines(&self, cart: &OpenedCart, streams: &Streams<'_>) -> Result<(), Rejection> {
        if cart.lines.len() * self.locations.len() > MAX_STREAMS {
            return Err(TooManyStreams { limit: MAX_STREAMS }.into());
        }
        let stocks: Vec<_> = cart.lines.iter().flat_map(|line| self.stock_ids(line)).collect();
        let stocks = streams.get_all::<Stock>(&stocks);
        let records = streams.get_all::<SkuRecord>(cart.lines.iter().map(|line| &line.sku));
        let known = streams.get_all::<Product>(cart.lines.iter().filter_map(|line| line.product_id.as_ref()));
        // What was asked for last knows whether all are too many. That is refused before anything is loaded.
        known?;
        let records = records?;
        stocks?;
        let products: Vec<_> = records.into_iter().filter_map(SkuRecord::product_id).collect();
        streams.get_all::<Product>(&products)?;
        Ok(())
    }

    /// Claims the stock of a line at the first location that has enough.
    fn claim(&self, line: &CartLine, context: &Context, streams: &Streams<'_>) -> Result<Claim, Rejection> {
        let mut most = 0;
        for stock in self.stock_ids(line) {
            let reservation_id = reservation_of(self.order_id, &stock);
            let request = ReservationRequest {
                reservation_id,
                owner: self.order_id.reservation_owner(),
                quantity: line.quantity,
                // It ends with the order.
                expires_at: None,
            };
            match reserve(streams.get::<Stock>(&stock)?, &stock, request, context.now) {
                Ok(events) => return Ok(Claim { stock, reservation_id, events }),
                Err(Refusal::Inventory(inventory::Refusal::InsufficientStock(short))) => {
                    most = most.max(short.available);
                }
                Err(other) => return Err(other.into()),
            }
        }
        let (sku, requested) = (line.sku.clone(), line.quantity.units());
        Err(InsufficientStock { sku, requested, available: most, locations: self.locations.clone() }.into())
    }

    fn placed(&self, cart: &OpenedCart, lines: Vec<OrderLine>, context: &Context) -> Result<OrderPlaced, Rejection> {
        let gross = policy::countable(Money::sum(cart.currency, lines.iter().map(|line| line.line_total))?)?;
        if let Some(expected) = self.expected_total.filter(|expected| *expected != gross) {
            return Err(TotalChanged { expected, total: gross }.into());
        }
        Ok(OrderPlaced {
            order_id: self.order_id,
            cart_id: self.cart_id,
            customer_id: cart.customer_id,
            channel: cart.channel.clone(),
            currency: cart.currency,
            lines,
            totals: Totals { gross, discount: Money::zero(cart.currency), net: gross },
            placed_at: context.now,
        })
    }

    fn stock_ids<'a>(&'a self, line: &'a CartLine) -> impl Iterator<Item = StockId> + 'a {
        let sku = &line.sku;
        self.locations.iter().map(|location| StockId { sku: sku.clone(), location: location.clone() })
    }
}

/// Stock that was claimed for a line.
struct Claim {
    stock: StockId,
    reservation_id: ReservationId,
    events: Vec<inventory::Event>,
}

/// A line at the price of now.
struct Quote {
    product_id: ProductId,
    name: Name,
    unit_price: Money,
    line_total: Money,
}

impl Quote {
    fn of(line: &CartLine, cart: &OpenedCart, streams: &Streams<'_>) -> Result<Self, Rejection> {
        let sku = &line.sku;
        let record = streams.get::<SkuRecord>(sku)?;
        let gone = || NoLongerOnSale { sku: sku.clone() };
        let product_id = record.product_id().ok_or_else(gone)?;
        let Product::Published(details) = streams.get::<Product>(&product_id)? else { return Err(gone().into()) };
        let unit_price = record.price(&cart.channel, cart.currency).ok_or_else(|| NoPrice {
            sku: sku.clone(),
            currency: cart.currency,
            channel: cart.channel.clone(),
            line: None,
        })?;
        let line_total = unit_price.times(line.quantity.units())?;
        Ok(Self { product_id, name: details.name.clone(), unit_price, line_total })
    }

    /// The line as it is agreed, with the claim on its stock.
    fn agreed(self, line: &CartLine, location: LocationId, reservation_id: ReservationId) -> OrderLine {
        let Self { product_id, name, unit_price, line_total } = self;
        let CartLine { sku, quantity, .. } = line.clone();
        OrderLine { sku, product_id, name, quantity, unit_price, line_total, location, reservation_id }
    }
}

/// The claim of an order on a stock has an id that follows from both, so that deciding again makes the same claim.
fn reservation_of(order_id: OrderId, stock: &StockId) -> ReservationId {
    ReservationId(Uuid::new_v5(&order_id.0, Stock::stream(stock).as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Book, cart, code, order, product, record};

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
        assert_eq!(code(book.when("PlaceOrder", place(1))), "cart_closed");
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
