//! Given, when, then: the rules of the domain, each as a sentence.

mod cart;
mod catalog;
mod inventory;
mod order;
mod properties;
mod wire;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Actor, Command, Context, Decide, Decision, Event, Refusal, Rejection, Source, State, StreamName, View,
    ids::{CartId, OrderId, ProductId, ReservationId},
};

/// A book in memory, and the clock beside it.
pub(crate) struct Book {
    streams: HashMap<StreamName, (State, i32)>,
    empty: HashMap<&'static str, State>,
    pub(crate) now: DateTime<Utc>,
    /// Everything that was decided, in order.
    pub(crate) events: Vec<(StreamName, Event)>,
}

impl Source for Book {
    fn find(&self, stream: &StreamName) -> Option<(&State, i32)> {
        let known = self.streams.get(stream).map(|(state, version)| (state, *version));
        known.or_else(|| self.empty.get(stream.prefix()).map(|state| (state, 0)))
    }
}

impl Book {
    /// An empty book, at noon of some day.
    pub(crate) fn new() -> Self {
        let prefixes = crate::Slice::ALL.into_iter().flat_map(crate::Slice::stream_prefixes);
        let empty = prefixes.map(|prefix| (*prefix, State::empty(&StreamName::of(prefix, "x")).expect("it is known")));
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("it is a time");
        Self { streams: HashMap::new(), empty: empty.collect(), now, events: Vec::new() }
    }

    /// Decides a command and, if it is accepted, takes its events in.
    pub(crate) fn decide(&mut self, actor: Actor, command: &Command) -> Result<Decision, Refusal> {
        let context = Context { now: self.now, actor, command_id: Uuid::nil() };
        let view = View::over(self);
        let decision = match command.decide(&context, &view) {
            Ok(decision) => decision,
            Err(Rejection::Refused(refusal)) => return Err(refusal),
            Err(Rejection::NotLoaded) => panic!("everything is loaded here, but {:?}", view.missing()),
        };
        assert!(!decision.events.is_empty(), "an accepted command leaves a trace");
        let reads: HashMap<_, _> = view.reads().into_iter().collect();
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

    /// What has happened: a command that is accepted.
    pub(crate) fn given(&mut self, name: &str, body: Value) -> &mut Self {
        self.when(name, body).expect("what is given is accepted");
        self
    }

    /// The administrator sends a command.
    pub(crate) fn when(&mut self, name: &str, body: Value) -> Result<Vec<&'static str>, Refusal> {
        self.when_as(Actor::Admin("ada".into()), name, body)
    }

    /// Somebody sends a command; the names of the events that come of it.
    pub(crate) fn when_as(&mut self, actor: Actor, name: &str, body: Value) -> Result<Vec<&'static str>, Refusal> {
        let command = Command::deserialize(name, body).expect("the command exists").expect("the body has its form");
        let decision = self.decide(actor, &command)?;
        Ok(decision.events.iter().map(|(_, event)| event.type_name()).collect())
    }

    /// Time goes by.
    pub(crate) fn pass(&mut self, time: TimeDelta) -> &mut Self {
        self.now += time;
        self
    }

    /// A stock of a SKU at `main`: on hand, reserved.
    pub(crate) fn stock(&self, sku: &str) -> (i64, i64) {
        match self.find(&StreamName::of("stock", format_args!("{sku}@main"))) {
            Some((State::Stock(stock), _)) => (stock.on_hand, stock.reserved),
            other => panic!("no stock: {other:?}"),
        }
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
        self.given("OpenCart", json!({ "cart_id": cart(number), "currency": "EUR" }));
        for (sku, quantity) in lines {
            self.given("AddLine", json!({ "cart_id": cart(number), "sku": sku, "quantity": quantity }));
        }
        self
    }
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> String {
    outcome.expect_err("it is refused").code()
}

pub(crate) fn product(number: u128) -> ProductId {
    ProductId(Uuid::from_u128(number))
}

pub(crate) fn cart(number: u128) -> CartId {
    CartId(Uuid::from_u128(number))
}

pub(crate) fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

pub(crate) fn reservation(number: u128) -> ReservationId {
    ReservationId(Uuid::from_u128(number))
}

pub(crate) fn customer(id: &str) -> Actor {
    Actor::Customer(id.parse().expect("a valid id"))
}
