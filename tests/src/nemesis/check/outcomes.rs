//! Compares every answer with the book. An acknowledged command is in the book once, as its receipt says. A refused command is not in the
//! book. A command without an outcome is in the book at most once.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::Check;
use crate::nemesis::{
    book::{Book, Command, Writer},
    history::{Answer, Call, Receipt, ReceivedEvent},
};

pub(super) fn checks(book: &Book, calls: &[Call]) -> Vec<Check> {
    vec![
        acknowledged(book, calls),
        refused(book, calls),
        open(book, calls),
        repeated(calls),
        expired(calls),
        once(book),
        asked_for(book, calls),
    ]
}

fn acknowledged(book: &Book, calls: &[Call]) -> Check {
    let mut check = Check::new("every acknowledged command is in the book, as its receipt says");
    for call in calls {
        let Some(position) = call.acknowledged() else { continue };
        let wrong = match (book.commands.get(&call.key), call.receipt()) {
            (None, _) => Some("is not in the book".to_owned()),
            (Some(command), Some(receipt)) => difference(book, receipt, *command),
            // A mutation returns the position only.
            (Some(command), None) => (end_of(book, *command) != position)
                .then(|| format!("says position {position}, its events end elsewhere")),
        };
        check.holds(wrong.is_none(), || format!("{} {} {}", call.name, call.key, wrong.unwrap_or_default()));
    }
    check
}

/// The position that the receipt of a command says. A command that changed nothing has no events, and says the end of the book.
fn end_of(book: &Book, command: Command) -> i64 {
    book.of(command).last().map_or(command.first - 1, |event| event.position)
}

/// The difference between a receipt and the book, if they differ.
fn difference(book: &Book, receipt: &Receipt, command: Command) -> Option<String> {
    let written: Vec<_> = book
        .of(command)
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
        return Some(format!("has other events in the book, from position {} on", command.first));
    }
    if end_of(book, command) != receipt.position {
        return Some(format!("says position {}, its events end elsewhere", receipt.position));
    }
    let streams: BTreeMap<_, _> = written.iter().map(|event| (event.stream.as_str(), event.version)).collect();
    let said: BTreeMap<_, _> = receipt.streams.iter().map(|stream| (stream.id.as_str(), stream.version)).collect();
    (streams != said).then(|| "names other streams than its events".to_owned())
}

/// A refusal is final unless another attempt with the same key has no outcome. An attempt that timed out may still be running when the
/// next one is refused, so the command then counts as left open.
fn refused(book: &Book, calls: &[Call]) -> Check {
    let mut check = Check::new("no refused command is in the book");
    for call in calls {
        let Some(refused) = call.refused().filter(|refused| !call.is_open_before(refused.answered)) else { continue };
        if refused.expired && call.acknowledged().is_some() {
            // The command was accepted before, and repeated with an invalid token.
            continue;
        }
        let wrong = book.commands.contains_key(&call.key);
        check.holds(!wrong, || {
            format!("{} {} was refused and is in the book: {:?}", call.name, call.key, refused.answer)
        });
    }
    check
}

fn open(book: &Book, calls: &[Call]) -> Check {
    let mut check = Check::new("every command left open is in the book at most once");
    let written = written(book);
    let times = |call: &Call| written.get(&Writer::Command(call.key)).map_or(0, |(times, _)| *times);
    let open = calls.iter().filter(|call| call.acknowledged().is_none() && call.is_open_before(u64::MAX));
    for call in open {
        let times = times(call);
        check.holds(times <= 1, || format!("{} {} is in the book {times} times", call.name, call.key));
    }
    check
}

fn repeated(calls: &[Call]) -> Check {
    let mut check = Check::new("a repeated command gets the first outcome");
    for call in calls {
        let Some(first) = call.attempts.iter().position(|attempt| attempt.answer.position().is_some()) else {
            continue;
        };
        let accepted = &call.attempts[first].answer;
        for again in call.attempts[first + 1..].iter().filter(|again| !again.expired) {
            let same = match (accepted, &again.answer) {
                // The attempt has no answer.
                (_, Answer::Unknown(_)) => continue,
                (Answer::Accepted(accepted), Answer::Accepted(again)) => {
                    (again.position, &again.streams, &again.events, again.replayed)
                        == (accepted.position, &accepted.streams, &accepted.events, true)
                }
                (_, Answer::Accepted(again)) => accepted.position() == Some(again.position) && again.replayed,
                (_, again) => accepted.position() == again.position(),
            };
            check.holds(same, || format!("{} {} got another outcome the second time", call.name, call.key));
        }
    }
    check
}

/// The codes with which command-api and query-api refuse an expired token.
pub(super) const EXPIRED: [&str; 2] = ["token_expired", "UNAUTHENTICATED"];

fn expired(calls: &[Call]) -> Check {
    let mut check = Check::new("a token that has run out opens nothing");
    for call in calls {
        for attempt in call.attempts.iter().filter(|attempt| attempt.expired) {
            let wrong = match &attempt.answer {
                Answer::Unknown(_) => continue,
                Answer::Refused { code, .. } => !EXPIRED.contains(&code.as_str()),
                Answer::Accepted(_) | Answer::Shown(_) => true,
            };
            check.holds(!wrong, || format!("{} {} was answered {:?}", call.name, call.key, attempt.answer));
        }
    }
    check
}

/// How often each command has written, and where first. Its events without a gap between them count once.
fn written(book: &Book) -> HashMap<Writer<'_>, (usize, i64)> {
    let mut written = HashMap::new();
    let mut before = None;
    for event in &book.events {
        let writer = event.writer();
        if before != Some(writer) {
            written.entry(writer).or_insert((0, event.position)).0 += 1;
        }
        before = Some(writer);
    }
    written
}

fn once(book: &Book) -> Check {
    let mut check = Check::new("every command in the book has written once");
    let with_events = book.commands.values().filter(|command| command.events > 0);
    let by_place: HashMap<i64, Command> = with_events.map(|command| (command.first, *command)).collect();
    for (writer, (times, first)) in written(book) {
        // An event of a reactor does not name its command, which begins where the event stands.
        let command = match writer {
            Writer::Command(id) => book.commands.get(&id),
            Writer::Reaction(..) => by_place.get(&first),
        };
        let known =
            command.map_or(0, |command| book.of(*command).iter().filter(|event| event.writer() == writer).count());
        let all = command.map_or(0, |command| command.events);
        check.holds(times == 1 && known == all && all > 0, || {
            format!("{writer:?} has written {times} times, {known} of {all}")
        });
    }
    check
}

/// The commands of reactors have a check of their own.
fn asked_for(book: &Book, calls: &[Call]) -> Check {
    let mut check = Check::new("every command in the book was sent by a client or by a reactor");
    let sent: HashSet<Uuid> = calls.iter().map(|call| call.key).collect();
    for (id, command) in &book.commands {
        let is_reaction = book.of(*command).iter().any(|event| event.reactor().is_some());
        check.holds(is_reaction || sent.contains(id), || format!("no client has sent {id}"));
    }
    check
}
