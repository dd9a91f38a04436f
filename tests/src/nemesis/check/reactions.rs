//! Reactors: each of their commands answers one event, once. What expires ends once. What may still expire has a timer.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Check;
use crate::nemesis::{
    book::{Book, Event},
    history::Call,
    rest::Timer,
};

/// A reactor, written here a second time.
struct Reactor {
    name: &'static str,
    /// The event that it answers.
    on: &'static str,
    /// The command that it answers with.
    command: &'static str,
    /// The fields of the command, which are fields of the event.
    fields: &'static [&'static str],
}

const CARTS: Reactor =
    Reactor { name: "cart_expiry", on: "cart.CartOpened", command: "ExpireCart", fields: &["cart_id"] };
const RESERVATIONS: Reactor = Reactor {
    name: "reservation_expiry",
    on: "inventory.StockReserved",
    command: "ExpireReservation",
    fields: &["sku", "location", "reservation_id"],
};

/// The events that end a cart.
const ENDS_OF_CARTS: [&str; 4] =
    ["cart.CartCheckedOut", "cart.CartMergedInto", "cart.CartAbandoned", "cart.CartExpired"];
const RELEASED: &str = "inventory.ReservationReleased";
const COMMITTED: &str = "inventory.ReservationCommitted";

/// Compares the reactors with the book. `timers` are the reactions that wait, and `ended` is the time at which clients had ended.
#[must_use]
pub fn checks(book: &Book, timers: &BTreeSet<Timer>, ended: DateTime<Utc>) -> Vec<Check> {
    vec![answers(book).done(), expired(book, ended).done(), waiting(book, timers).done()]
}

/// The commands of reactors in the book, as calls without answers. So they are decided again like all others.
pub(super) fn calls(book: &Book) -> Vec<Call> {
    let events = by_id(book);
    let sent = book.commands.iter().filter_map(|(id, command)| {
        let first = book.of(*command).first()?;
        let (reactor, event) = answered(first, &events)?;
        let fields = reactor.fields.iter().map(|field| ((*field).to_owned(), event.data[*field].clone()));
        let body = Value::Object(fields.collect::<Map<_, _>>());
        Some(Call { key: *id, name: reactor.command, body, attempts: Vec::new() })
    });
    sent.collect()
}

fn by_id(book: &Book) -> HashMap<Uuid, &Event> {
    book.events.iter().map(|event| (event.event_id, event)).collect()
}

/// The reactor whose command has written an event, and the event that it answers.
fn answered<'b>(written: &Event, events: &HashMap<Uuid, &'b Event>) -> Option<(Reactor, &'b Event)> {
    let name = written.reactor()?;
    let reactor = [CARTS, RESERVATIONS].into_iter().find(|reactor| reactor.name == name)?;
    let event = events.get(&written.causation_id).filter(|event| event.event_type == reactor.on)?;
    Some((reactor, event))
}

fn answers(book: &Book) -> Check {
    let mut check =
        Check::new("every command of a reactor answers one event that it is for, and no other command answers that");
    let (events, mut seen) = (by_id(book), HashSet::new());
    for (id, command) in book.in_order() {
        let written = book.of(command);
        let Some(first) = written.first().filter(|event| event.reactor().is_some()) else { continue };
        let right = answered(first, &events)
            .is_some_and(|(_, event)| event.position < first.position && event.correlation_id == first.correlation_id);
        let alone = seen.insert(first.writer());
        check.holds(right && alone, || {
            format!("{id} of {}, at position {}, answers {}", first.actor, first.position, first.causation_id)
        });
    }
    check
}

/// What names a reservation: its stream and its id.
fn reservation(event: &Event) -> Option<(&str, &str)> {
    Some((event.stream.as_str(), event.data["reservation_id"].as_str()?))
}

fn expires_at(event: &Event) -> Option<DateTime<Utc>> {
    event.data["expires_at"].as_str()?.parse().ok()
}

/// The events that end each reservation.
fn ends(book: &Book) -> HashMap<(&str, &str), Vec<&Event>> {
    let mut ends: HashMap<_, Vec<_>> = HashMap::new();
    let all = book.events.iter().filter(|event| [RELEASED, COMMITTED].contains(&event.event_type.as_str()));
    for event in all {
        if let Some(reservation) = reservation(event) {
            ends.entry(reservation).or_default().push(event);
        }
    }
    ends
}

/// A reservation whose time is over has ended: a client has given it up or has committed it before, another claim has displaced it, or a
/// reactor has ended it.
fn expired(book: &Book, ended: DateTime<Utc>) -> Check {
    let mut check = Check::new("every reservation whose time is over has ended once, by its client or as expired");
    let ends = ends(book);
    for event in book.events.iter().filter(|event| event.event_type == RESERVATIONS.on) {
        let (Some(name), Some(expires_at)) = (reservation(event), expires_at(event)) else { continue };
        if expires_at > ended {
            continue;
        }
        let ends = ends.get(&name).map_or(&[][..], Vec::as_slice);
        let right = matches!(ends, [end] if is_right(end, event, expires_at));
        check.holds(right, || {
            let ends: Vec<_> = ends.iter().map(|end| (end.position, &end.actor, &end.data["cause"])).collect();
            format!("{name:?} of position {} expired at {expires_at} and was ended by {ends:?}", event.position)
        });
    }
    check
}

fn is_right(end: &Event, reserved: &Event, expires_at: DateTime<Utc>) -> bool {
    let in_time = match end.data["cause"].as_str() {
        Some("expired") => end.effective_at >= expires_at,
        // It was given up. A reactor gives nothing up.
        Some(_) => end.reactor().is_none(),
        None => end.event_type == COMMITTED && end.effective_at < expires_at && end.reactor().is_none(),
    };
    in_time && end.position > reserved.position
}

fn waiting(book: &Book, timers: &BTreeSet<Timer>) -> Check {
    let mut check =
        Check::new("every open cart and every reservation that expires later has a timer, and nothing else has");
    let ends = ends(book);
    let mut expected: BTreeSet<Timer> = BTreeSet::new();
    for event in &book.events {
        let text = |field: &str| event.data[field].as_str().unwrap_or_default().to_owned();
        let event_type = event.event_type.as_str();
        if event_type == CARTS.on {
            expected.insert((CARTS.name.to_owned(), text("cart_id")));
        } else if ENDS_OF_CARTS.contains(&event_type) {
            expected.remove(&(CARTS.name.to_owned(), text("cart_id")));
        } else if event_type == RESERVATIONS.on
            && expires_at(event).is_some()
            && reservation(event).is_some_and(|name| !ends.contains_key(&name))
        {
            let key = format!("{}@{}/{}", text("sku"), text("location"), text("reservation_id"));
            expected.insert((RESERVATIONS.name.to_owned(), key));
        }
    }
    for timer in expected.union(timers) {
        let (is_expected, is_there) = (expected.contains(timer), timers.contains(timer));
        check.holds(is_expected && is_there, || {
            let (reactor, key) = timer;
            format!("{reactor} has {} timer for {key}", if is_there { "a" } else { "no" })
        });
    }
    check
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::nemesis::check::{
        all,
        forged::{SKU, Story, id, time},
    };

    /// A story with a reservation that a reactor has ended, one that its client has given up, one that was committed, and one that another
    /// claim has displaced; and with what waits.
    struct Run {
        story: Story,
        timers: BTreeSet<Timer>,
        ended: DateTime<Utc>,
    }

    fn claim(number: u128, expires_at: i64) -> Value {
        json!({ "sku": SKU, "reservation_id": id(number), "owner": format!("buyer:{}", id(number)), "quantity": 1,
                "expires_at": time(expires_at) })
    }

    fn named(number: u128) -> Value {
        json!({ "sku": SKU, "location": "main", "reservation_id": id(number) })
    }

    impl Run {
        fn true_one() -> Self {
            let mut story = Story::true_one();
            story.accepted("ReceiveStock", json!({ "sku": SKU, "quantity": 4 }));
            // An event takes effect at the second of its position.
            let head = story.book.head();
            story.accepted("ReserveStock", claim(31, head + 5));
            story.accepted("ReserveStock", claim(32, head + 90));
            story.accepted("ReserveStock", claim(33, head + 90));
            story.accepted("ReserveStock", claim(34, head + 6));
            story.reacts(RESERVATIONS.name, head + 1, "ExpireReservation", named(31));
            story.accepted("ReleaseStock", named(32));
            story.accepted("CommitReservation", named(33));
            let mut all = claim(35, head + 5_000);
            all["quantity"] = json!(3);
            // It displaces the one that has expired.
            story.accepted("ReserveStock", all);
            let open = (CARTS.name.to_owned(), id(20).to_string());
            let later = (RESERVATIONS.name.to_owned(), format!("{SKU}@main/{}", id(35)));
            let ended = time(story.book.head() + 1_000);
            Self { story, timers: [open, later].into(), ended }
        }

        fn found(&self) -> Vec<String> {
            let checks = checks(&self.story.book, &self.timers, self.ended);
            checks.into_iter().filter(|check| check.violations > 0).map(|check| check.name).collect()
        }

        fn assert_found(&self, wanted: &[&str]) {
            let found = self.found();
            let same = found.len() == wanted.len() && found.iter().zip(wanted).all(|(name, part)| name.contains(part));
            assert!(same, "{found:?} and not {wanted:?}");
        }

        /// The event by which the reactor has ended a reservation.
        fn reaction(&mut self) -> &mut Event {
            self.story.book.events.iter_mut().find(|event| event.reactor().is_some()).expect("one is a reactor's")
        }

        /// Removes an event from the book.
        fn forgets(&mut self, is_forgotten: impl Fn(&Event) -> bool) {
            self.story.book.events.retain(|event| !is_forgotten(event));
        }
    }

    const ANSWERS: &str = "answers one event";
    const EXPIRED: &str = "has ended once";
    const WAITING: &str = "has a timer";

    fn is_of(event: &Event, number: u128) -> bool {
        event.data["reservation_id"] == json!(id(number))
    }

    #[test]
    fn a_true_history_with_reactions_passes_these_checks_and_all_others() {
        let run = Run::true_one();
        run.assert_found(&[]);
        assert_eq!(run.story.found(), Vec::<String>::new());
    }

    #[test]
    fn no_reactions_fail_every_check() {
        let checks = checks(&Book::default(), &BTreeSet::new(), time(0));
        assert!(checks.iter().all(|check| check.violations > 0), "{checks:?}");
    }

    #[test]
    fn a_command_of_a_reactor_that_answers_nothing_or_something_else_is_found() {
        let mut run = Run::true_one();
        run.reaction().causation_id = id(12_345);
        run.assert_found(&[ANSWERS]);

        let mut run = Run::true_one();
        let received = run.story.book.events.iter().find(|event| event.event_type == "inventory.StockReceived");
        let received = received.expect("goods came in").event_id;
        run.reaction().causation_id = received;
        run.assert_found(&[ANSWERS]);

        let mut run = Run::true_one();
        run.reaction().correlation_id = id(12_345);
        run.assert_found(&[ANSWERS]);

        let mut run = Run::true_one();
        "system:unknown".clone_into(&mut run.reaction().actor);
        run.assert_found(&[ANSWERS]);
    }

    #[test]
    fn two_commands_of_a_reactor_for_one_event_are_found() {
        let mut run = Run::true_one();
        let event = run.reaction().clone();
        let position = run.story.book.head() + 1;
        run.story.book.events.push(Event { position, event_id: id(98_000), ..event });
        run.story.book.commands.insert(id(98_001), crate::nemesis::book::Command { first: position, events: 1 });
        run.assert_found(&[ANSWERS, EXPIRED]);
        let found: Vec<_> = run.story.found();
        assert!(found.iter().any(|name| name.contains("has written once")), "{found:?}");
    }

    #[test]
    fn the_command_of_a_reactor_is_decided_again() {
        let mut run = Run::true_one();
        run.reaction().data["quantity"] = json!(7);
        let checks = all(&run.story.book, &[], &[]);
        let again = checks.iter().find(|check| check.name.contains("decided again")).expect("the check exists");
        assert_eq!(again.violations, 1, "{again:?}");
    }

    #[test]
    fn a_reservation_that_does_not_end_or_ends_twice_or_too_early_is_found() {
        for number in [31, 32, 33, 34] {
            let mut run = Run::true_one();
            run.forgets(|event| is_of(event, number) && [RELEASED, COMMITTED].contains(&event.event_type.as_str()));
            // A timer of it would still wait.
            let found = run.found();
            assert!(found.iter().any(|name| name.contains(EXPIRED)), "{number}: {found:?}");
        }
        let mut run = Run::true_one();
        let again = run.reaction().clone();
        run.story.book.events.push(Event { actor: "admin:nemesis".to_owned(), ..again });
        run.assert_found(&[EXPIRED]);

        let mut run = Run::true_one();
        run.reaction().effective_at = time(0);
        run.assert_found(&[EXPIRED]);

        let mut run = Run::true_one();
        run.reaction().data["cause"] = json!("given_up");
        run.assert_found(&[EXPIRED]);

        let mut run = Run::true_one();
        let committed = run.story.book.events.iter_mut().find(|event| event.event_type == COMMITTED);
        committed.expect("one was committed").effective_at += chrono::TimeDelta::days(1);
        run.assert_found(&[EXPIRED]);
    }

    #[test]
    fn a_reservation_that_expires_after_the_run_need_not_end() {
        let mut run = Run::true_one();
        run.ended = time(run.story.book.head() + 9_000);
        run.assert_found(&[EXPIRED]);
    }

    #[test]
    fn a_timer_that_is_lost_or_left_over_is_found() {
        for timer in Run::true_one().timers {
            let mut run = Run::true_one();
            run.timers.remove(&timer);
            run.assert_found(&[WAITING]);
        }
        for key in [id(2).to_string(), format!("{SKU}@main/{}", id(31))] {
            let mut run = Run::true_one();
            let reactor = if key.contains('@') { RESERVATIONS.name } else { CARTS.name };
            run.timers.insert((reactor.to_owned(), key));
            run.assert_found(&[WAITING]);
        }
    }
}
