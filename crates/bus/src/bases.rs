//! Committed states of streams that were in conflict. The next conflict loads only the events after them.
//!
//! A cached state may include events that are not committed, so it cannot be continued after a conflict. Streams without a conflict have
//! no base and cost nothing.

use daybook_domain::{State, StreamName};
use hashlink::LruCache;

/// A state, and the version of its last event. All its events are committed.
#[derive(Clone)]
pub(super) struct Base {
    pub(super) state: State,
    pub(super) version: i32,
}

/// The bases. The least recently used one is evicted first.
pub(super) struct Bases {
    bases: LruCache<StreamName, (Base, usize)>,
    bytes: usize,
    max_bytes: usize,
}

/// The bytes of a base beside its state: its name, links and hash.
const OVERHEAD: usize = 192;

impl Bases {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { bases: LruCache::new_unbounded(), bytes: 0, max_bytes }
    }

    /// Keeps a base. It replaces an earlier one.
    pub(super) fn insert(&mut self, stream: StreamName, base: Base) {
        self.remove(&stream);
        let size = base.state.heap_size() + OVERHEAD;
        self.bytes += size;
        self.bases.insert(stream, (base, size));
        while self.bytes > self.max_bytes {
            let Some((_, (_, size))) = self.bases.remove_lru() else { break };
            self.bytes = self.bytes.saturating_sub(size);
        }
    }

    /// Takes the base of a stream, to continue it.
    pub(super) fn remove(&mut self, stream: &StreamName) -> Option<Base> {
        let (base, size) = self.bases.remove(stream)?;
        self.bytes = self.bytes.saturating_sub(size);
        Some(base)
    }

    /// Removes all, because none is certain.
    pub(super) fn clear(&mut self) {
        self.bases.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_bounded_and_replaced() {
        let names: Vec<_> = (0..4).map(|nr| StreamName::of("sku", nr)).collect();
        let base = |name: &StreamName, version| {
            let state = State::empty(name).expect("the prefix is known");
            Base { state, version }
        };
        let one = base(&names[0], 0).state.heap_size() + OVERHEAD;
        let mut bases = Bases::new(one * 2);
        for name in &names {
            bases.insert(name.clone(), base(name, 1));
        }
        bases.insert(names[3].clone(), base(&names[3], 2));
        let kept = names.iter().map(|name| bases.remove(name).map(|base| base.version));
        assert_eq!(kept.collect::<Vec<_>>(), [None, None, Some(1), Some(2)]);
        assert_eq!(bases.bytes, 0);
    }
}
