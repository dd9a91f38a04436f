//! Given, when, then: the book in memory on which the tests of every use case run, and what holds across slices.

mod access;
mod bounds;
mod examples;
mod moves;
mod names;
mod pointers;
mod properties;
mod sizes;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Actor, Command, Context, Decide, Decision, Event, Fold, MAX_STREAMS, Reads, Refusal, Rejection, Source, State,
    Storefront, StreamName, Streams, authorise,
    cart::{Cart, OpenedCart},
    ids::{CartId, CustomerId, CustomerRef, OrderId, ProductId, ReservationId},
    order::{Order, OrderRecord, Phase},
};

/// A book in memory, and the clock beside it.
pub(crate) struct Book {
    streams: HashMap<StreamName, (State, i32)>,
    empty: HashMap<&'static str, State>,
    pub(crate) now: DateTime<Utc>,
    /// Everything that was decided, in order.
    pub(crate) events: Vec<(StreamName, Event)>,
    /// How many streams the last command would have loaded on an empty cache.
    pub(crate) loaded: Cell<usize>,
    /// What the storefront serves.
    pub(crate) storefront: Storefront,
}

impl Source<State> for Book {
    fn find(&self, stream: &StreamName) -> Option<(&State, i32)> {
        let known = self.streams.get(stream).map(|(state, version)| (state, *version));
        known.or_else(|| self.empty.get(stream.prefix()).map(|state| (state, 0)))
    }
}

/// The same book, of which only some streams are loaded.
struct Cold<'b> {
    book: &'b Book,
    loaded: RefCell<HashSet<StreamName>>,
}

impl Source<State> for Cold<'_> {
    fn find(&self, stream: &StreamName) -> Option<(&State, i32)> {
        self.loaded.borrow().contains(stream).then(|| self.book.find(stream)).flatten()
    }
}

/// Commands that walk up the category tree load once a level.
const WALKS: [&str; 3] = ["CreateCategory", "MoveCategory", "RemoveCategory"];

impl Book {
    /// An empty book, at noon of some day.
    pub(crate) fn new() -> Self {
        let prefixes = crate::Slice::ALL.iter().flat_map(|slice| slice.stream_prefixes());
        let empty = prefixes.map(|prefix| (*prefix, State::empty(&StreamName::of(prefix, "x")).expect("it is known")));
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("it is a time");
        Self {
            streams: HashMap::new(),
            empty: empty.collect(),
            now,
            events: Vec::new(),
            loaded: Cell::default(),
            storefront: Storefront::default(),
        }
    }

    /// Decides a command as the bus does and, if it is accepted, applies its events.
    pub(crate) fn decide(&mut self, actor: Actor, command: &Command) -> Result<Decision, Refusal> {
        let storefront = Arc::new(self.storefront.clone());
        let context = Context { now: self.now, actor, command_id: Uuid::nil(), storefront: Arc::clone(&storefront) };
        let streams = Streams::over(self);
        let decided =
            authorise(command, &context.actor, &storefront, &streams).and_then(|()| command.decide(&context, &streams));
        assert_eq!(decided, self.decide_cold(&context, &storefront, command), "a cold decision is the same");
        let decision = match decided {
            Ok(decision) => decision,
            Err(Rejection::Refused(refusal)) => return Err(refusal),
            Err(Rejection::NotLoaded) => panic!("everything is loaded here, but {:?}", streams.missing()),
        };
        let reads: HashMap<_, _> = streams.reads().into_iter().collect();
        for (stream, event) in &decision.events {
            assert!(reads.contains_key(stream), "{stream} is written and was not read");
            let empty = || State::empty(stream).expect("the prefix is known");
            let (state, version) = self.streams.entry(stream.clone()).or_insert_with(|| (empty(), 0));
            state.evolve(event, decision.effective_at.unwrap_or(self.now));
            *version += 1;
        }
        self.events.extend(decision.events.clone());
        Ok(decision)
    }

    /// Decides with nothing loaded, as the bus does on an empty cache: what is missing is loaded together with what the command
    /// says that it reads.
    fn decide_cold(
        &self,
        context: &Context,
        storefront: &Storefront,
        command: &Command,
    ) -> Result<Decision, Rejection> {
        let cold = Cold { book: self, loaded: RefCell::default() };
        let mut loads = 0;
        self.loaded.set(0);
        loop {
            let streams = Streams::over(&cold);
            let decided = authorise(command, &context.actor, storefront, &streams)
                .and_then(|()| command.decide(context, &streams));
            if decided != Err(Rejection::NotLoaded) {
                // The commit finds out what was wrongly assumed to be absent, and the bus loads it.
                let is_stale =
                    |(stream, version): &(StreamName, i32)| self.find(stream).is_some_and(|(_, now)| now != *version);
                let stale: Vec<_> = streams.reads().into_iter().filter(is_stale).map(|(stream, _)| stream).collect();
                if stale.is_empty() {
                    assert!(loads <= 2 || WALKS.contains(&command.name()), "{} took {loads} loads", command.name());
                    return decided;
                }
                cold.loaded.borrow_mut().extend(stale);
                continue;
            }
            loads += 1;
            let mut reads = Reads::default();
            command.reads(&mut reads);
            let missing = streams.missing();
            let others = reads.unloaded(&missing, &cold);
            cold.loaded.borrow_mut().extend(missing.into_iter().chain(others));
            self.loaded.set(cold.loaded.borrow().len());
            assert!(self.loaded.get() <= MAX_STREAMS, "{} loads {} streams", command.name(), self.loaded.get());
        }
    }

    /// What has happened: a command that is accepted.
    pub(crate) fn given(&mut self, name: &str, body: Value) -> &mut Self {
        self.when(name, body).expect("what is given is accepted");
        self
    }

    /// The administrator sends a command.
    pub(crate) fn when(&mut self, name: &str, body: Value) -> Result<Vec<&'static str>, Refusal> {
        self.when_as(Actor::Admin("ada".into()), name, body)
    }

    /// An actor sends a command; the types of the events that come of it.
    pub(crate) fn when_as(&mut self, actor: Actor, name: &str, body: Value) -> Result<Vec<&'static str>, Refusal> {
        let decision = self.decide(actor, &command(name, body))?;
        Ok(decision.events.iter().map(|(_, event)| event.type_name()).collect())
    }

    /// Where in its body a command is refused.
    pub(crate) fn pointer(&mut self, name: &str, body: Value) -> Option<String> {
        let command = command(name, body);
        self.decide(Actor::Admin("ada".into()), &command).expect_err("it is refused").pointer(&command)
    }

    /// What has happened whether today's rules allow it or not.
    pub(crate) fn happened<S: Fold>(&mut self, id: &S::Id, event: impl Into<Event>) -> &mut Self {
        let (stream, event) = (S::stream(id), event.into());
        let empty = || State::empty(&stream).expect("the prefix is known");
        let (state, version) = self.streams.entry(stream.clone()).or_insert_with(|| (empty(), 0));
        state.evolve(&event, self.now);
        *version += 1;
        self
    }

    /// Time goes by.
    pub(crate) fn pass(&mut self, time: TimeDelta) -> &mut Self {
        self.now += time;
        self
    }

    /// The state of a stream.
    pub(crate) fn state<S: Fold>(&self, id: &S::Id) -> &S
    where
        for<'a> &'a S: TryFrom<&'a State>,
    {
        Streams::over(self).get::<S>(id).expect("everything is loaded")
    }

    /// A stock of a SKU at `main`: on hand, reserved.
    pub(crate) fn stock(&self, sku: &str) -> (i64, i64) {
        let id =
            crate::inventory::StockId { sku: sku.parse().expect("a SKU"), location: crate::ids::LocationId::default() };
        let stock = self.state::<crate::inventory::Stock>(&id);
        (stock.on_hand, stock.reserved)
    }

    /// A product on sale for 199 cents, with stock.
    pub(crate) fn with_product(sku: &str, units: i64) -> Self {
        let mut book = Self::new();
        book.put_on_sale(1, sku, 199, units);
        book
    }

    pub(crate) fn put_on_sale(&mut self, number: u128, sku: &str, cents: i64, units: i64) -> &mut Self {
        let product =
            json!({ "product_id": product(number), "name": sku, "variants": [{ "sku": sku }], "publish": true });
        self.given("CreateProduct", product)
            .given("SetPrice", json!({ "sku": sku, "price": { "minor_units": cents, "currency": "EUR" } }))
            .given("ReceiveStock", json!({ "sku": sku, "quantity": units }))
    }

    /// A guest's cart with lines.
    pub(crate) fn with_cart(&mut self, number: u128, lines: &[(&str, u32)]) -> &mut Self {
        self.given("OpenCart", json!({ "cart_id": cart(number), "currency": "EUR" })).with_lines(number, lines)
    }

    /// A customer's cart with lines.
    pub(crate) fn with_customer_cart(&mut self, number: u128, customer: &str, lines: &[(&str, u32)]) -> &mut Self {
        let open = json!({ "cart_id": cart(number), "currency": "EUR", "customer_id": customer_id(customer) });
        self.given("OpenCart", open).with_lines(number, lines)
    }

    fn with_lines(&mut self, number: u128, lines: &[(&str, u32)]) -> &mut Self {
        for (sku, quantity) in lines {
            self.given("AddLine", json!({ "cart_id": cart(number), "sku": sku, "quantity": quantity }));
        }
        self
    }

    /// Order 1, of a guest: two of five.
    pub(crate) fn with_order() -> Self {
        let mut book = Self::with_product("a", 5);
        book.with_cart(1, &[("a", 2)]);
        book.given("PlaceOrder", json!({ "cart_id": cart(1), "order_id": order(1) }));
        book
    }

    /// Order 1, of a customer: two of five.
    pub(crate) fn with_order_of(customer: &str) -> Self {
        let mut book = Self::with_product("a", 5);
        book.with_customer_cart(1, customer, &[("a", 2)]);
        book.given("PlaceOrder", json!({ "cart_id": cart(1), "order_id": order(1) }));
        book
    }
}

/// A command with its body.
pub(crate) fn command(name: &str, body: Value) -> Command {
    Command::deserialize(name, body).expect("the command exists").expect("the body has its form")
}

/// An open cart.
pub(crate) fn opened(book: &Book, number: u128) -> OpenedCart {
    match book.state::<Cart>(&cart(number)) {
        Cart::Open(cart) => cart.clone(),
        other => panic!("the cart is not open: {other:?}"),
    }
}

/// An order that exists.
pub(crate) fn record(book: &Book, number: u128) -> OrderRecord {
    book.state::<Order>(&order(number)).record().expect("the order exists").clone()
}

/// The phase of order 1.
pub(crate) fn phase(book: &Book) -> Phase {
    record(book, 1).progress.phase()
}

/// The body of a move of order 1.
pub(crate) fn move_body(command: &str) -> Value {
    let reasoned = ["HoldOrder", "CancelOrder", "ReturnOrder", "RefundOrder"].contains(&command);
    if reasoned { json!({ "order_id": order(1), "reason": "because" }) } else { json!({ "order_id": order(1) }) }
}

/// Moves order 1.
pub(crate) fn move_to(book: &mut Book, way: &[&str]) {
    for command in way {
        book.given(command, move_body(command));
    }
}

/// The shortest way from placement to each phase.
pub(crate) fn way_to(phase: Phase) -> &'static [&'static str] {
    match phase {
        Phase::Placed => &[],
        Phase::Confirmed => &["ConfirmOrder"],
        Phase::Held => &["HoldOrder"],
        Phase::InFulfilment => &["ConfirmOrder", "StartFulfilment"],
        Phase::Shipped => &["ConfirmOrder", "StartFulfilment", "ShipOrder"],
        Phase::Delivered => &["ConfirmOrder", "StartFulfilment", "ShipOrder", "DeliverOrder"],
        Phase::Cancelled => &["CancelOrder"],
        Phase::Returned => &["ConfirmOrder", "StartFulfilment", "ShipOrder", "ReturnOrder"],
        Phase::Refunded => &["CancelOrder", "RefundOrder"],
    }
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> &'static str {
    outcome.expect_err("it is refused").code()
}

pub(crate) fn product(number: u128) -> ProductId {
    ProductId(Uuid::from_u128(number))
}

/// A UUID of version 4, as callers choose them.
pub(crate) fn uuid(number: u128) -> Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}

pub(crate) fn cart(number: u128) -> CartId {
    CartId(uuid(number))
}

pub(crate) fn order(number: u128) -> OrderId {
    OrderId(uuid(number))
}

pub(crate) fn reservation(number: u128) -> ReservationId {
    ReservationId(uuid(number))
}

/// The id of a customer, by a name.
pub(crate) fn customer_id(name: &str) -> CustomerId {
    CustomerId::imported(&CustomerRef::new(name).expect("a valid name"))
}

pub(crate) fn customer(name: &str) -> Actor {
    Actor::Customer(customer_id(name))
}

/// A timer of the engine.
pub(crate) fn engine() -> Actor {
    Actor::System("expiry")
}
