//! Tests of the checks: a true history passes, and the responsible check finds each kind of falsified history.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::all;
use crate::nemesis::{
    ACTOR,
    book::{Book, Command, Event},
    history::{Answer, Attempt, Call, Read, Receipt, ReceivedEvent, ReceivedStream, Seen, Via},
};

/// A book, and the history of its clients.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) book: Book,
    calls: Vec<Call>,
    reads: Vec<Read>,
    ticks: u64,
}

pub(super) fn time(position: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(position)
}

pub(super) fn id(number: u128) -> Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}

pub(super) const SKU: &str = "hot";

impl Story {
    /// A product, a price, and two units. One is sold, one is reserved, and a third one is refused.
    pub(super) fn true_one() -> Self {
        let mut story = Self { book: Book::default(), calls: Vec::new(), reads: Vec::new(), ticks: 0 };
        let product = json!({ "product_id": id(1), "name": "Hot", "publish": true, "variants": [{ "sku": SKU }] });
        story.accepted("CreateProduct", product);
        story.accepted("SetPrice", json!({ "sku": SKU, "price": { "minor_units": 199, "currency": "EUR" } }));
        story.accepted("ReceiveStock", json!({ "sku": SKU, "quantity": 2 }));
        story.accepted("OpenCart", json!({ "cart_id": id(2), "currency": "EUR" }));
        story.accepted("AddLine", json!({ "cart_id": id(2), "sku": SKU, "quantity": 1 }));
        story.accepted("PlaceOrder", json!({ "cart_id": id(2), "order_id": id(3) }));
        let placed = story.book.head();
        story.accepted("ReserveStock", reservation(4));
        let again = story.calls.last().and_then(|call| call.receipt().cloned()).expect("it was accepted");
        story.answered(Answer::Accepted(Receipt { replayed: true, ..again }));
        story.refused("ReserveStock", reservation(5), "1 of hot were asked for; 0 are available");
        story.refused("ReserveStock", reservation(8), "1 of hot were asked for; 0 are available");
        story.accepted("OpenCart", json!({ "cart_id": id(20), "currency": "EUR" }));
        let shown = story.book.head();
        story.calls.last_mut().expect("it was accepted").attempts[0].answer = Answer::Shown(shown);
        let denied = Answer::Refused { code: "token_expired".to_owned(), detail: "it has run out".to_owned() };
        story.sent("OpenCart", json!({ "cart_id": id(21), "currency": "EUR" }), denied);
        story.calls.last_mut().expect("it was sent").attempts[0].expired = true;
        story.sent("ReserveStock", reservation(6), Answer::Unknown("timeout".to_owned()));
        story.read(placed, Seen::Order { id: id(3), phase: Some("PLACED".to_owned()) });
        story.read(story.book.head(), Seen::Stock { sku: SKU.to_owned(), levels: Some((2, 2)) });
        story
    }

    fn sent(&mut self, name: &'static str, body: Value, answer: Answer) {
        let key = id(1_000 + u128::try_from(self.calls.len()).expect("it fits"));
        self.calls.push(Call { key, name, body, attempts: Vec::new() });
        self.answered(answer);
    }

    /// Adds an attempt to the last call.
    fn answered(&mut self, answer: Answer) {
        let (sent, at) = (self.ticks, time(self.book.head()));
        self.ticks += 2;
        let call = self.calls.last_mut().expect("there is a call");
        call.attempts.push(Attempt {
            sent,
            at,
            answered: sent + 1,
            until: at,
            via: Via::Command(0),
            expired: false,
            answer,
        });
    }

    fn refused(&mut self, name: &'static str, body: Value, detail: &str) {
        let answer = Answer::Refused { code: "insufficient_stock".to_owned(), detail: detail.to_owned() };
        self.sent(name, body, answer);
    }

    fn read(&mut self, min_position: i64, seen: Seen) {
        self.reads.push(Read { min_position, answered: self.ticks, seen });
        self.ticks += 1;
    }

    /// Decides a command of a client, and writes its events.
    pub(super) fn accepted(&mut self, name: &'static str, body: Value) {
        self.sent(name, body, Answer::Unknown(String::new()));
        let call = self.calls.last().expect("it was sent").clone();
        let events = self.writes(&call, &format!("admin:{ACTOR}"), (call.key, call.key));
        let call = self.calls.last_mut().expect("it was sent");
        call.attempts[0].answer = Answer::Accepted(receipt(&events));
    }

    /// A reactor answers the event at a position with a command.
    pub(super) fn reacts(&mut self, reactor: &str, to: i64, name: &'static str, body: Value) {
        let event = self.book.events.iter().find(|event| event.position == to).expect("the book has it");
        let chain = (event.correlation_id, event.event_id);
        let key = id(5_000 + u128::try_from(to).expect("it is positive"));
        self.writes(&Call { key, name, body, attempts: Vec::new() }, &format!("system:{reactor}"), chain);
    }

    /// Decides a command as the engine would, and writes its events with these correlation and causation ids.
    fn writes(&mut self, call: &Call, actor: &str, (correlation_id, causation_id): (Uuid, Uuid)) -> Vec<Event> {
        let first = self.book.head() + 1;
        let decided = super::serial::decided_now(&self.book, call, time(first));
        let events: Vec<_> = (first..)
            .zip(decided)
            .map(|(position, (stream, event_type, data))| {
                let before = self.book.events.iter().filter(|event| event.stream == stream).count();
                let written = Event {
                    position,
                    version: 1 + i32::try_from(before).expect("it fits"),
                    stream,
                    event_type,
                    schema_version: 1,
                    event_id: id(9_000 + u128::try_from(position).expect("it is positive")),
                    recorded_at: time(first),
                    effective_at: time(first),
                    correlation_id,
                    causation_id,
                    actor: actor.to_owned(),
                    data,
                };
                self.book.events.push(written.clone());
                written
            })
            .collect();
        self.book.commands.insert(call.key, Command { first, events: events.len() });
        events
    }

    /// The names of the checks that fail.
    pub(super) fn found(&self) -> Vec<String> {
        let checks = all(&self.book, &self.calls, &self.reads);
        checks.into_iter().filter(|check| check.violations > 0).map(|check| check.name).collect()
    }

    fn assert_found(&self, wanted: &str) {
        let found = self.found();
        assert!(found.iter().any(|name| name.contains(wanted)), "{wanted:?} is not among {found:?}");
    }

    fn call(&mut self, name: &str) -> &mut Call {
        self.calls.iter_mut().find(|call| call.name == name).expect("the call exists")
    }

    /// Writes events that no decision has made.
    fn smuggle(&mut self, key: Uuid, of: &str) {
        let like = self.book.events.iter().rfind(|event| event.event_type == of).expect("the book has one").clone();
        let position = self.book.head() + 1;
        let version = self.book.events.iter().filter(|event| event.stream == like.stream).count() + 1;
        let version = i32::try_from(version).expect("it fits");
        let (recorded_at, effective_at) = (time(position), time(position));
        let mut data = like.data.clone();
        data["reservation_id"] = json!(id(77));
        let event_id = id(99_000);
        self.book.events.push(Event {
            position,
            version,
            correlation_id: key,
            recorded_at,
            effective_at,
            data,
            event_id,
            ..like
        });
        self.book.commands.entry(key).or_insert(Command { first: position, events: 1 });
    }
}

fn reservation(number: u128) -> Value {
    json!({ "sku": SKU, "reservation_id": id(number), "owner": format!("buyer:{}", id(number)), "quantity": 1 })
}

fn receipt(events: &[Event]) -> Receipt {
    let mut streams: Vec<ReceivedStream> = Vec::new();
    for event in events {
        streams.retain(|stream| stream.id != event.stream);
        streams.push(ReceivedStream { id: event.stream.clone(), version: event.version });
    }
    let received = |event: &Event| ReceivedEvent {
        position: event.position,
        stream: event.stream.clone(),
        version: event.version,
        event_type: event.event_type.clone(),
        event_id: event.event_id,
        data: event.data.clone(),
    };
    let position = events.last().map_or(0, |event| event.position);
    Receipt { position, streams, events: events.iter().map(received).collect(), replayed: false }
}

#[test]
fn a_true_history_passes() {
    assert_eq!(Story::true_one().found(), Vec::<String>::new());
}

#[test]
fn an_empty_history_fails_every_check() {
    let story = Story { book: Book::default(), calls: Vec::new(), reads: Vec::new(), ticks: 0 };
    assert_eq!(story.found().len(), all(&story.book, &[], &[]).len(), "every check says that it has checked nothing");
}

#[test]
fn a_lost_acknowledged_command_is_found() {
    let mut story = Story::true_one();
    let key = story.call("ReserveStock").key;
    story.book.commands.remove(&key);
    story.book.events.retain(|event| event.correlation_id != key);
    story.assert_found("every acknowledged command is in the book");
}

#[test]
fn a_receipt_that_differs_from_the_book_is_found() {
    let mut story = Story::true_one();
    for attempt in &mut story.call("PlaceOrder").attempts {
        if let Answer::Accepted(receipt) = &mut attempt.answer {
            receipt.events[0].version += 1;
        }
    }
    story.assert_found("every acknowledged command is in the book, as its receipt says");
}

#[test]
fn a_doubled_command_is_found() {
    let mut story = Story::true_one();
    let key = story.call("ReceiveStock").key;
    story.smuggle(key, "inventory.StockReceived");
    story.assert_found("every command in the book has written once");
}

#[test]
fn a_command_left_open_and_written_twice_is_found() {
    let mut story = Story::true_one();
    let key = story.calls.last().expect("the last one is open").key;
    story.smuggle(key, "inventory.StockReceived");
    story.smuggle(id(55), "inventory.StockReceived");
    story.smuggle(key, "inventory.StockReceived");
    story.assert_found("every command left open is in the book at most once");
    story.assert_found("every command in the book was sent by a client");
}

#[test]
fn a_refused_command_that_was_written_is_found_unless_an_earlier_attempt_was_given_up() {
    let mut story = Story::true_one();
    let refused = story.calls.iter().position(|call| call.refused().is_some()).expect("one is refused");
    let key = story.calls[refused].key;
    story.smuggle(key, "inventory.StockReserved");
    story.assert_found("no refused command is in the book");
    let given_up =
        Attempt { answer: Answer::Unknown("timeout".to_owned()), ..story.calls[refused].attempts[0].clone() };
    story.calls[refused].attempts[0].sent += 1;
    story.calls[refused].attempts[0].answered += 1;
    story.calls[refused].attempts.insert(0, given_up);
    let found = story.found();
    assert!(!found.iter().any(|name| name.contains("no refused command")), "{found:?}");
}

#[test]
fn another_outcome_of_a_repeated_command_is_found() {
    let mut story = Story::true_one();
    let call = story.calls.iter_mut().find(|call| call.attempts.len() == 2).expect("one is repeated");
    if let Answer::Accepted(receipt) = &mut call.attempts[1].answer {
        receipt.replayed = false;
    }
    story.assert_found("a repeated command gets the first outcome");
}

#[test]
fn an_oversell_is_found_by_two_checks() {
    let mut story = Story::true_one();
    let key = story.calls.last().expect("the last one is open").key;
    story.smuggle(key, "inventory.StockReserved");
    story.assert_found("nothing is sold that is not there");
    story.assert_found("decided again in the order of the book");
}

#[test]
fn a_wrong_total_and_a_wrong_price_are_found() {
    for (pointer, value) in [("/totals/net/minor_units", 1), ("/lines/0/unit_price/minor_units", 1)] {
        let mut story = Story::true_one();
        let order =
            story.book.events.iter_mut().find(|event| event.event_type == "order.OrderPlaced").expect("an order");
        *order.data.pointer_mut(pointer).expect("the event has the field") = json!(value);
        story.assert_found("orders come to their lines");
    }
}

#[test]
fn gaps_and_decreasing_times_are_found() {
    let mut story = Story::true_one();
    story.book.events[3].position += 1;
    story.book.events[4].version += 1;
    story.book.events[5].recorded_at = time(-1);
    for wanted in ["positions are gapless", "versions of every stream", "recorded times never"] {
        story.assert_found(wanted);
    }
}

#[test]
fn a_refusal_that_was_right_at_no_position_is_found() {
    let mut story = Story::true_one();
    story.refused("ReserveStock", reservation(7), "1 of hot were asked for; 7 are available");
    story.assert_found("every refusal was right");
    let mut story = Story::true_one();
    story.accepted("ReceiveStock", json!({ "sku": SKU, "quantity": 5 }));
    story.refused("ReserveStock", reservation(7), "1 of hot were asked for; 0 are available");
    story.assert_found("every refusal was right");
}

#[test]
fn a_stale_read_is_found_and_a_fresh_one_is_not() {
    let stock = |levels| Seen::Stock { sku: SKU.to_owned(), levels };
    let mut story = Story::true_one();
    story.accepted("ReceiveStock", json!({ "sku": SKU, "quantity": 5 }));
    let head = story.book.head();
    story.read(head, stock(Some((7, 2))));
    assert_eq!(story.found(), Vec::<String>::new());
    story.read(head, stock(Some((2, 2))));
    story.assert_found("no query has shown less");
    let mut story = Story::true_one();
    story.read(head - 1, Seen::Order { id: id(3), phase: None });
    story.assert_found("no query has shown less");
}

#[test]
fn a_refusal_may_be_right_at_the_moment_in_which_a_claim_expires() {
    let mut story = Story::true_one();
    story.accepted("ReceiveStock", json!({ "sku": SKU, "quantity": 1 }));
    let (begin, run_out) = (time(story.book.head()), time(story.book.head() + 60));
    let mut claim = reservation(9);
    claim["expires_at"] = json!(run_out);
    story.accepted("ReserveStock", claim);
    let mut asked = reservation(10);
    asked["quantity"] = json!(2);
    story.refused("ReserveStock", asked, "2 of hot were asked for; 1 are available");
    story.assert_found("every refusal was right");
    let attempt = &mut story.calls.last_mut().expect("it was refused").attempts[0];
    (attempt.at, attempt.until) = (begin, run_out + TimeDelta::seconds(1));
    assert_eq!(story.found(), Vec::<String>::new());
}

#[test]
fn the_answer_of_a_mutation_is_compared_as_well() {
    let shown = |story: &mut Story, position| {
        let is_shown = |attempt: &Attempt| matches!(attempt.answer, Answer::Shown(_));
        let call = story.calls.iter_mut().find(|call| call.attempts.iter().any(is_shown)).expect("one was a mutation");
        call.attempts[0].answer = Answer::Shown(position);
        call.key
    };
    let mut story = Story::true_one();
    shown(&mut story, 1);
    story.assert_found("every acknowledged command is in the book");
    let mut story = Story::true_one();
    let key = shown(&mut story, 1);
    story.book.commands.remove(&key);
    story.assert_found("every acknowledged command is in the book");
}

#[test]
fn an_expired_token_that_was_accepted_is_found() {
    let mut story = Story::true_one();
    story.call("PlaceOrder").attempts[0].expired = true;
    story.assert_found("a token that has run out");
    let mut story = Story::true_one();
    let expired = story.calls.iter_mut().flat_map(|call| &mut call.attempts).find(|attempt| attempt.expired);
    expired.expect("one token had expired").expired = false;
    story.assert_found("every refusal was right");
}
