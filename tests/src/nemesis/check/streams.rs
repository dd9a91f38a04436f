//! Checks the book as a list of events: positions and versions without gaps, and recorded times that never decrease.

use std::collections::HashMap;

use super::Check;
use crate::nemesis::book::Book;

pub(super) fn checks(book: &Book) -> Vec<Check> {
    let mut positions = Check::new("positions are gapless");
    let mut versions = Check::new("versions of every stream are gapless");
    let mut times = Check::new("recorded times never run backwards");
    let mut last: HashMap<&str, i32> = HashMap::new();
    let mut before = None;
    for (nr, event) in (1..).zip(&book.events) {
        positions.holds(event.position == nr, || format!("position {} stands at place {nr}", event.position));
        let version = last.entry(&event.stream).or_insert(0);
        let follows = event.version == *version + 1;
        versions.holds(follows, || {
            format!("version {} of {} at position {} follows {version}", event.version, event.stream, event.position)
        });
        *version = event.version;
        times.holds(before <= Some(event.recorded_at), || {
            format!("position {} is older than its place", event.position)
        });
        before = Some(event.recorded_at);
    }
    vec![positions, versions, times]
}
