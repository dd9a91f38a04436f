//! Checks that the outcomes are those of a serial execution in the order of the book. Every command is decided again on the state after
//! the commands before it, and must give the same events. A refusal must be right, and a query result true, at some position between
//! request and answer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use daybook_domain::{
    Actor, Command, Context, Decide, Decision, Event as DomainEvent, Refusal, Rejection, Source, State, StreamName,
    Streams, inventory, order,
};
use serde_json::Value;
use uuid::Uuid;

use super::Check;
use crate::nemesis::{
    ACTOR,
    book::{Book, Event},
    history::{Answer, Attempt, Call, Read, Seen},
    load::{HOT, ITEMS, item},
};

/// By how much the clocks of two processes of one machine may differ. In virtual machines they do differ.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::milliseconds(50);

/// The shop at a position.
#[derive(Default)]
struct Shop(HashMap<StreamName, (State, i32)>);

impl Source<State> for Shop {
    fn find(&self, stream: &StreamName) -> Option<(&State, i32)> {
        self.0.get(stream).map(|(state, version)| (state, *version))
    }
}

impl Shop {
    /// Decides a command on all events so far.
    fn decide(&mut self, call: &Call, now: DateTime<Utc>) -> Result<Decision, Refused> {
        let command = match Command::deserialize(call.name, &call.body) {
            Some(Ok(command)) => command,
            _ => return Err(Refused::Malformed),
        };
        let (actor, storefront) = (Actor::Admin(ACTOR.to_owned()), Arc::default());
        let context = Context { now, actor, command_id: call.key, storefront };
        loop {
            let streams = Streams::over(self);
            let missing = match command.decide(&context, &streams) {
                Ok(decision) => return Ok(decision),
                Err(Rejection::Refused(refusal)) => return Err(Refused::By(refusal)),
                Err(Rejection::NotLoaded) => streams.missing(),
            };
            for stream in missing {
                let Some(state) = State::empty(&stream) else { return Err(Refused::Malformed) };
                self.0.insert(stream, (state, 0));
            }
        }
    }

    fn take_in(&mut self, event: &Event) -> Result<(), String> {
        let stream = StreamName::from(Arc::<str>::from(event.stream.as_str()));
        let data = event.data.to_string();
        let decoded = daybook_codec::decode(&event.event_type, event.schema_version, data.as_bytes());
        let decoded = decoded.map_err(|error| error.to_string())?;
        let empty = State::empty(&stream).ok_or("no slice has such a stream")?;
        let (state, version) = self.0.entry(stream).or_insert((empty, 0));
        state.evolve(&decoded, event.effective_at);
        *version = event.version;
        Ok(())
    }

    /// When claims expire. Clients make such claims on these stocks only.
    fn expiries(&self) -> impl Iterator<Item = DateTime<Utc>> {
        let skus = (0..ITEMS).map(item).chain([HOT.to_owned()]);
        let stocks = skus.filter_map(|sku| match self.find(&StreamName::of("stock", format_args!("{sku}@main"))) {
            Some((State::Inventory(inventory::State::Stock(stock)), _)) => Some(stock),
            _ => None,
        });
        stocks.flat_map(|stock| stock.reservations.values().filter_map(|claim| claim.expires_at))
    }

    /// Whether a query at this position would show this.
    fn shows(&self, seen: &Seen) -> bool {
        match seen {
            Seen::Stock { sku, levels } => {
                let there = match self.find(&StreamName::of("stock", format_args!("{sku}@main"))) {
                    Some((State::Inventory(inventory::State::Stock(stock)), _)) => Some(stock),
                    _ => None,
                };
                match (there, levels) {
                    (Some(stock), Some((on_hand, reserved))) => {
                        stock.on_hand == *on_hand && reserved_at_some_time(stock).any(|some| some == *reserved)
                    }
                    (there, levels) => there.is_none() && levels.is_none(),
                }
            }
            Seen::Order { id, phase } => {
                let there = match self.find(&StreamName::of("order", id)) {
                    Some((State::Order(order::State::Order(order)), _)) => {
                        order.record().map(|order| in_graphql(&order.progress.phase()))
                    }
                    _ => None,
                };
                there == *phase
            }
        }
    }
}

/// What a query can show as reserved: claims end by the clock one after the other, before an event ends them.
fn reserved_at_some_time(stock: &inventory::Stock) -> impl Iterator<Item = i64> {
    let ends = stock.reservations.values().filter_map(|claim| claim.expires_at);
    let times = [DateTime::<Utc>::MIN_UTC].into_iter().chain(ends);
    times.map(|now| stock.level(now).claimed())
}

/// The events of a command if it were decided after the whole book: streams, types and data.
#[cfg(test)]
pub(super) fn decided_now(book: &Book, call: &Call, now: DateTime<Utc>) -> Vec<(String, String, Value)> {
    let mut shop = Shop::default();
    book.events.iter().for_each(|event| shop.take_in(event).expect("the past can be read"));
    let decision = shop.decide(call, now).ok().expect("it is accepted");
    let compared = |(stream, event): &(StreamName, DomainEvent)| {
        let data = serde_json::to_value(event).expect("it is JSON");
        (stream.to_string(), event.type_name().to_owned(), data)
    };
    decision.events.iter().map(compared).collect()
}

fn in_graphql(phase: &impl serde::Serialize) -> String {
    serde_json::to_value(phase).ok().and_then(|name| Some(name.as_str()?.to_uppercase())).unwrap_or_default()
}

enum Refused {
    By(Refusal),
    Malformed,
}

/// A statement that must have been true at some position.
enum Claim<'h> {
    Refusal(&'h Call, &'h Attempt),
    Shown(&'h Read),
}

/// A statement, and the positions between which it was made.
struct Window<'h> {
    low: i64,
    high: i64,
    claim: Claim<'h>,
}

/// `reactions` are the commands of reactors, which no client has sent.
pub(super) fn checks(book: &Book, calls: &[Call], reactions: &[Call], reads: &[Read]) -> Vec<Check> {
    let mut replay = Replay {
        accepted: Check::new("every command comes to the same when it is decided again in the order of the book"),
        refused: Check::new("every refusal was right at a position between question and answer"),
        shown: Check::new("no query has shown less than the position that was asked for"),
        shop: Shop::default(),
        windows: windows(book, calls, reads),
        open: Vec::new(),
    };
    let sent: HashMap<Uuid, &Call> = calls.iter().chain(reactions).map(|call| (call.key, call)).collect();
    replay.look(0, true);
    for (id, command) in book.in_order() {
        let events = book.of(command);
        if let Some(call) = sent.get(&id) {
            replay.decide_again(call, events);
        }
        for (nr, event) in (1..).zip(events) {
            if let Err(error) = replay.shop.take_in(event) {
                replay.accepted.violates(|| format!("position {} cannot be read: {error}", event.position));
            }
            replay.look(event.position, nr == events.len());
        }
    }
    replay.end()
}

struct Replay<'h> {
    accepted: Check,
    refused: Check,
    shown: Check,
    shop: Shop,
    /// Statements whose first position is not reached yet, by that position.
    windows: BTreeMap<i64, Vec<Window<'h>>>,
    /// Statements that may be true from now on, and were not true so far.
    open: Vec<Window<'h>>,
}

impl Replay<'_> {
    fn decide_again(&mut self, call: &Call, events: &[Event]) {
        let Some(first) = events.first() else { return };
        // An import takes effect in the past. Every other command takes effect at its decision.
        let now = if call.name == "ImportOrder" { first.recorded_at } else { first.effective_at };
        let again: Option<Vec<(String, Value)>> = self.shop.decide(call, now).ok().map(|decision| {
            let compared = |(stream, event): &(StreamName, DomainEvent)| {
                let data = serde_json::to_value(event).ok();
                (stream.to_string(), data.unwrap_or(Value::Null))
            };
            decision.events.iter().map(compared).collect()
        });
        let written: Vec<_> = events.iter().map(|event| (event.stream.clone(), event.data.clone())).collect();
        self.accepted.holds(again.as_ref() == Some(&written), || {
            format!("{} {} at position {} would now come to {again:?}", call.name, call.key, first.position)
        });
    }

    /// Tests statements at this position, and reports those whose last position has passed.
    fn look(&mut self, position: i64, between_commands: bool) {
        let (open, shop) = (std::mem::take(&mut self.open), &mut self.shop);
        let later = self.windows.split_off(&(position + 1));
        let begun = std::mem::replace(&mut self.windows, later).into_values().flatten();
        for window in open.into_iter().chain(begun) {
            let in_time = position <= window.high;
            let holds = in_time
                && match &window.claim {
                    Claim::Refusal(call, attempt) => between_commands && is_right(shop, call, attempt),
                    Claim::Shown(read) => shop.shows(&read.seen),
                };
            let check = match &window.claim {
                Claim::Refusal(..) => &mut self.refused,
                Claim::Shown(_) => &mut self.shown,
            };
            if holds {
                check.holds(true, String::new);
            } else if in_time {
                self.open.push(window);
            } else {
                check.holds(false, || window.described());
            }
        }
    }

    fn end(mut self) -> Vec<Check> {
        for window in self.open.into_iter().chain(self.windows.into_values().flatten()) {
            let check = match &window.claim {
                Claim::Refusal(..) => &mut self.refused,
                Claim::Shown(_) => &mut self.shown,
            };
            check.holds(false, || window.described());
        }
        vec![self.accepted, self.refused, self.shown]
    }
}

/// Whether a refusal is right at this position, at any moment between request and answer. Claims expire meanwhile.
fn is_right(shop: &mut Shop, call: &Call, attempt: &Attempt) -> bool {
    let Answer::Refused { code, detail } = &attempt.answer else { return true };
    let (begin, end) = (attempt.at - CLOCKS_DIFFER, attempt.until + CLOCKS_DIFFER);
    let expiries = shop.expiries().filter(|expiry| begin < *expiry && *expiry < end);
    // A refusal may say the time of its decision.
    let stated = stated_time(detail).filter(|stated| begin <= *stated && *stated <= end);
    let moments: Vec<_> = expiries.chain([begin, end]).chain(stated).collect();
    moments.into_iter().any(|now| match shop.decide(call, now) {
        Err(Refused::By(refusal)) => refusal.code() == *code && refusal.to_string() == *detail,
        _ => false,
    })
}

/// The time that a refusal says it was decided at.
fn stated_time(detail: &str) -> Option<DateTime<Utc>> {
    let (_, stated) = detail.split_once("the time here")?;
    let (stated, _) = stated.trim_start_matches([',', ' ', 'i', 's']).split_once(" UTC")?;
    let stated = NaiveDateTime::parse_from_str(stated, "%Y-%m-%d %H:%M:%S%.f");
    stated.ok().map(|time| time.and_utc())
}

impl Window<'_> {
    fn described(&self) -> String {
        let Self { low, high, claim } = self;
        match claim {
            Claim::Refusal(call, attempt) => {
                format!("{} {} was never right from {low} to {high}: {:?}", call.name, call.key, attempt.answer)
            }
            Claim::Shown(read) => format!("was never so from {low} to {high}: {:?}", read.seen),
        }
    }
}

/// The statements of all clients, by their first position.
fn windows<'h>(book: &Book, calls: &'h [Call], reads: &'h [Read]) -> BTreeMap<i64, Vec<Window<'h>>> {
    let bounds = Bounds::new(book, calls);
    let refusals = calls.iter().filter_map(|call| {
        // A refusal of an invalid token is no refusal by a rule.
        let attempt = call.refused().filter(|attempt| !attempt.expired)?;
        let (low, high) = (bounds.known_before(attempt.sent), bounds.possible_before(attempt.answered));
        Some(Window { low, high, claim: Claim::Refusal(call, attempt) })
    });
    let shown = reads.iter().map(|read| Window {
        low: read.min_position,
        high: bounds.possible_before(read.answered),
        claim: Claim::Shown(read),
    });
    let mut windows: BTreeMap<i64, Vec<Window<'h>>> = BTreeMap::new();
    for window in refusals.chain(shown) {
        windows.entry(window.low).or_default().push(window);
    }
    windows
}

/// The relation between ticks and positions.
struct Bounds {
    /// Answers by tick, each with the highest position that was acknowledged up to then.
    known: BTreeMap<u64, i64>,
    /// First attempts by tick, each with the lowest position of all commands that were sent from then on.
    possible: BTreeMap<u64, i64>,
    head: i64,
}

impl Bounds {
    fn new(book: &Book, calls: &[Call]) -> Self {
        let (mut known, mut possible) = (BTreeMap::new(), BTreeMap::new());
        for call in calls {
            for attempt in &call.attempts {
                if let Some(position) = attempt.answer.position() {
                    known.insert(attempt.answered, position);
                }
            }
            // The time at which an import has sent a command is unknown.
            if let Some(command) = book.commands.get(&call.key).filter(|_| !call.attempts.is_empty()) {
                possible.insert(call.sent(), command.first);
            }
        }
        let mut highest = 0;
        for position in known.values_mut() {
            highest = highest.max(*position);
            *position = highest;
        }
        let mut lowest = i64::MAX;
        for position in possible.values_mut().rev() {
            lowest = lowest.min(*position);
            *position = lowest;
        }
        Self { known, possible, head: book.head() }
    }

    /// Everything up to this position was committed before this tick.
    fn known_before(&self, tick: u64) -> i64 {
        self.known.range(..tick).next_back().map_or(0, |(_, position)| *position)
    }

    /// Nothing after this position was committed before this tick.
    fn possible_before(&self, tick: u64) -> i64 {
        self.possible.range(tick..).next().map_or(self.head, |(_, position)| position - 1)
    }
}

#[cfg(test)]
mod tests {
    use daybook_domain::{inventory::ExpiryInThePast, order::PlacedInTheFuture};

    use super::*;

    #[test]
    fn the_time_of_a_decision_is_found_in_every_refusal_that_states_it() {
        let now = DateTime::from_timestamp(1_700_000_000, 307_729_000).expect("a time");
        let future = PlacedInTheFuture {
            placed_at: now + TimeDelta::days(1),
            now,
            ahead_seconds: 86_400,
            tolerated_seconds: 300,
        };
        let past = ExpiryInThePast { expires_at: now - TimeDelta::days(1), now };
        assert_eq!([future.to_string(), past.to_string()].map(|detail| stated_time(&detail)), [Some(now); 2]);
        assert_eq!(stated_time("nothing of the kind"), None);
    }
}
