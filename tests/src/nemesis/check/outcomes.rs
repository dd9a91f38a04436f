//! Every answer beside the book: what was acknowledged is there once and as the receipt says, what was refused is not there, and
//! what was left open is there at most once.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::Check;
use crate::nemesis::{
    book::Book,
    history::{Call, Receipt, ReceivedEvent},
};

pub(super) fn checks(book: &Book, calls: &[Call]) -> Vec<Check> {
    vec![
        acknowledged(book, calls),
        refused(book, calls),
        open(book, calls),
        repeated(calls),
        once(book),
        asked_for(book, calls),
    ]
}

fn acknowledged(book: &Book, calls: &[Call]) -> Check {
    let mut check = Check::new("every acknowledged command is in the book, as its receipt says");
    for call in calls {
        let Some(receipt) = call.receipt() else { continue };
        let wrong = match book.commands.get(&call.key) {
            None => Some("is not there".to_owned()),
            Some(command) => difference(book, receipt, command.first, command.events),
        };
        check.holds(wrong.is_none(), || format!("{} {} {}", call.name, call.key, wrong.unwrap_or_default()));
    }
    check
}

/// In what a receipt and the book differ.
fn difference(book: &Book, receipt: &Receipt, first: i64, events: usize) -> Option<String> {
    let written: Vec<_> = book
        .of(crate::nemesis::book::Command { first, events })
        .iter()
        .map(|event| ReceivedEvent {
            position: event.position,
            stream: event.stream.clone(),
            version: event.version,
            event_type: event.event_type.clone(),
            event_id: event.event_id,
            data: event.data.clone(),
        })
        .collect();
    if written != receipt.events {
        return Some(format!("has other events in the book, from position {first} on"));
    }
    if written.last().map(|event| event.position) != Some(receipt.position) {
        return Some(format!("says position {}, its events end elsewhere", receipt.position));
    }
    let streams: BTreeMap<_, _> = written.iter().map(|event| (event.stream.as_str(), event.version)).collect();
    let said: BTreeMap<_, _> = receipt.streams.iter().map(|stream| (stream.id.as_str(), stream.version)).collect();
    (streams != said).then(|| "names other streams than its events".to_owned())
}

/// A refusal is final when nothing else was sent under the same key whose outcome is open. An attempt that was given up may still be
/// under way when the next one is refused; it then counts as left open.
fn refused(book: &Book, calls: &[Call]) -> Check {
    let mut check = Check::new("no refused command is in the book");
    for call in calls {
        let Some(refused) = call.refused().filter(|refused| !call.is_open_before(refused.answered)) else { continue };
        let wrong = book.commands.contains_key(&call.key);
        check.holds(!wrong, || format!("{} {} was refused and is there: {:?}", call.name, call.key, refused.answer));
    }
    check
}

fn open(book: &Book, calls: &[Call]) -> Check {
    let mut check = Check::new("every command left open is in the book at most once");
    let written = written(book);
    let open = calls.iter().filter(|call| call.receipt().is_none() && call.is_open_before(u64::MAX));
    for call in open {
        let times = written.get(&call.key).copied().unwrap_or(0);
        check.holds(times <= 1, || format!("{} {} is there {times} times", call.name, call.key));
    }
    check
}

fn repeated(calls: &[Call]) -> Check {
    let mut check = Check::new("a repeated command gets the first outcome");
    for call in calls {
        let mut receipts = call.receipts();
        let Some(first) = receipts.next() else { continue };
        for again in receipts {
            let same = (again.position, &again.streams, &again.events, again.replayed)
                == (first.position, &first.streams, &first.events, true);
            check.holds(same, || format!("{} {} got another outcome the second time", call.name, call.key));
        }
        let late = call.refused().is_some_and(|refused| call.attempts[0].sent < refused.sent);
        let accepted_before = call
            .attempts
            .first()
            .is_some_and(|attempt| matches!(attempt.answer, crate::nemesis::history::Answer::Accepted(_)));
        if late && accepted_before {
            check.violates(|| format!("{} {} was accepted, and refused the second time", call.name, call.key));
        }
    }
    check
}

/// How often each command has written: runs of events without a gap between them count once.
fn written(book: &Book) -> HashMap<Uuid, usize> {
    let mut written = HashMap::new();
    let mut before = None;
    for event in &book.events {
        if before != Some(event.correlation_id) {
            *written.entry(event.correlation_id).or_insert(0) += 1;
        }
        before = Some(event.correlation_id);
    }
    written
}

fn once(book: &Book) -> Check {
    let mut check = Check::new("every command in the book has written once");
    for (id, times) in written(book) {
        let known = book
            .commands
            .get(&id)
            .map_or(0, |command| book.of(*command).iter().filter(|event| event.correlation_id == id).count());
        let all = book.commands.get(&id).map_or(0, |command| command.events);
        check.holds(times == 1 && known == all && all > 0, || {
            format!("{id} has written {times} times, {known} of {all}")
        });
    }
    check
}

fn asked_for(book: &Book, calls: &[Call]) -> Check {
    let mut check = Check::new("nobody has written what no client has sent");
    let sent: HashMap<Uuid, ()> = calls.iter().map(|call| (call.key, ())).collect();
    for id in book.commands.keys() {
        check.holds(sent.contains_key(id), || format!("nobody has sent {id}"));
    }
    check
}
