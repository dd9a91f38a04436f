//! What waits, of many senders. Each sender gets its turn: one of each is taken before a second of any.

use std::collections::{HashMap, VecDeque};

/// A sender: an actor, or the address of a guest, as a number. Two senders with the same number only share their turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SenderId(pub(crate) u64);

/// What one sender has waiting.
struct Line<T> {
    items: VecDeque<T>,
    bytes: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0 }
    }
}

/// Something that waits, and the memory that it takes.
pub(crate) trait Weighed {
    /// Its size in bytes, at least 1. It does not change.
    fn bytes(&self) -> usize;
}

/// What waits, by sender.
pub(crate) struct Turns<T> {
    lines: HashMap<SenderId, Line<T>>,
    /// The senders that have something waiting, the next one first.
    next: VecDeque<SenderId>,
    len: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), next: VecDeque::new(), len: 0 }
    }
}

impl<T: Weighed> Turns<T> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push(&mut self, sender: SenderId, item: T) {
        let line = self.lines.entry(sender).or_default();
        if line.items.is_empty() {
            self.next.push_back(sender);
        }
        line.bytes += item.bytes();
        line.items.push_back(item);
        self.len += 1;
    }

    /// The oldest of the sender whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let sender = self.next.pop_front()?;
        let line = self.lines.get_mut(&sender)?;
        let item = line.items.pop_front()?;
        line.bytes -= item.bytes();
        self.len -= 1;
        if line.items.is_empty() {
            self.lines.remove(&sender);
        } else {
            self.next.push_back(sender);
        }
        Some(item)
    }

    /// Takes the newest of another sender, the one that has the most bytes waiting, to make room for `bytes`. None if that sender
    /// would then have less than the other one.
    pub(crate) fn displace(&mut self, sender: SenderId, bytes: usize, may: impl Fn(&T) -> bool) -> Option<T> {
        let own = self.lines.get(&sender).map_or(0, |line| line.bytes);
        let others = self.next.iter().filter(|id| **id != sender).filter_map(|id| Some((*id, self.lines.get(id)?)));
        let may = |(_, line): &(SenderId, &Line<T>)| line.items.back().is_some_and(&may);
        let most = others.filter(may).max_by_key(|(_, line)| line.bytes)?.0;
        let line = self.lines.get_mut(&most)?;
        let newest = line.items.back()?.bytes();
        if line.bytes - newest < own + bytes {
            return None;
        }
        let item = line.items.pop_back()?;
        line.bytes -= newest;
        self.len -= 1;
        if line.items.is_empty() {
            self.lines.remove(&most);
            self.next.retain(|id| *id != most);
        }
        Some(item)
    }

    /// Takes everything, turn by turn.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weighed for u64 {
        fn bytes(&self) -> usize {
            10
        }
    }

    fn turns(items: &[(u64, u64)]) -> Turns<u64> {
        let mut turns = Turns::default();
        for (sender, item) in items {
            turns.push(SenderId(*sender), *item);
        }
        turns
    }

    #[test]
    fn each_sender_gets_its_turn() {
        let mut turns = turns(&[(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)]);
        assert_eq!(turns.len(), 6);
        assert_eq!(turns.drain().collect::<Vec<_>>(), [10, 20, 30, 11, 21, 12]);
        assert!(turns.is_empty() && turns.lines.is_empty());
    }

    #[test]
    fn the_sender_with_the_most_gives_way_to_one_with_less() {
        let mut turns = turns(&[(1, 10), (1, 11), (1, 12), (2, 20)]);
        assert_eq!(turns.displace(SenderId(1), 10, |_| true), None, "the other one has less");
        assert_eq!(turns.displace(SenderId(3), 10, |item| *item != 12), None, "it may not be taken");
        assert_eq!(turns.displace(SenderId(3), 10, |_| true), Some(12));
        turns.push(SenderId(3), 30);
        assert_eq!(turns.displace(SenderId(3), 10, |_| true), None, "it would have less");
        assert_eq!(turns.drain().collect::<Vec<_>>(), [10, 20, 30, 11]);
    }
}
